// What a leader decides: this child runs it, or none shall. A decision is a record; the books follow it in the same
// step.

import type { ChildId, InstanceKey } from '../overlay/kernel/ids.ts'
import { isDomain, splitInstanceKey } from '../overlay/kernel/ids.ts'
import { compareFences, type PlacementRecord } from '../services-registry/record.ts'
import { AVOID_MS_MAX, AVOID_MS_MIN, REASON_CHARS_MAX } from './constants.ts'
import { lastWordOf, placementOf, runBelow } from './desire.ts'
import { enterPlaced } from './ledger.ts'
import { NOTHING, needOf } from './need.ts'
import { change, drop, type KnownSpec, show, type Turn, tell } from './scheduler-state.ts'

/** Places an instance on a child that offered. */
export function commit(turn: Turn, key: InstanceKey, child: ChildId, known: KnownSpec, reason: string): void {
  const { state, context } = turn
  const { service, number } = splitInstanceKey(key)
  const last = isDomain(child) ? null : lastWordOf(state, service, number, child)
  if (!author(turn, key, child, known.clock, reason)) return
  show(turn, key, null)
  change(
    turn,
    key,
    { service, number },
    {
      phase: isDomain(child)
        ? { kind: 'idle' }
        : { kind: 'confirming', askId: null, deadline: context.now + state.timing.confirmMs, reminders: 0 },
      order: null,
      rounds: 0,
      stuckSince: null,
      goodSince: null,
      baseline: last === null ? null : { incarnation: last.incarnation, sequence: last.sequence },
    },
  )
  enterPlaced(state.ledger, key, child, needOf(known.spec))
  tell(turn, 'instance-placed', { service, number, child, reason })
}

/** Nobody wants an instance here: its place is taken away, and what runs without one is ended too. */
export function takeAway(turn: Turn, key: InstanceKey, placed: PlacementRecord | null, why: string): void {
  const work = turn.state.work.get(key)
  if (placed?.child === null) renew(turn, key, placed)
  if (work !== undefined && work.order !== null) return
  if (placed !== null && placed.child !== null) return withdraw(turn, key, placed, why)
  if (placed === null) overrule(turn, key, why)
  if (work !== undefined) drop(turn, key)
}

function withdraw(turn: Turn, key: InstanceKey, placed: PlacementRecord, reason: string): void {
  const { service, number } = placed
  if (!author(turn, key, null, placed.specClock, reason)) return
  enterPlaced(turn.state.ledger, key, null, NOTHING)
  tell(turn, 'instance-withdrawn', { service, number, child: placed.child, reason })
  drop(turn, key)
}

/**
 * Takes back what another line of the domain ordered and a node still runs. Who led that line was never proven here,
 * so its order is not known to the leader that has to end it; what the node says of itself is.
 */
function overrule(turn: Turn, key: InstanceKey, reason: string): void {
  const { service, number } = splitInstanceKey(key)
  const run = runBelow(turn.state, service, number)
  if (run === null || !author(turn, key, null, run.specClock, reason)) return
  tell(turn, 'instance-withdrawn', { service, number, child: null, reason })
}

/**
 * Gives an order of an earlier epoch once more, under this one. Where two lines of a domain met, each had given orders
 * of its own, and those of the line that was left may carry the higher fence until they are overruled.
 */
export function renew(turn: Turn, key: InstanceKey, placed: PlacementRecord | null): void {
  const epoch = turn.state.lead?.fence.epoch ?? 0
  if (placed !== null && placed.fence.epoch < epoch) repeatOrder(turn, key, placed)
}

/** Gives the same order in a new record, which reaches also those whom the old one missed. */
export function repeatOrder(turn: Turn, key: InstanceKey, placed: PlacementRecord): void {
  author(turn, key, placed.child, placed.specClock, placed.reason)
}

/** Remembers that a child could not run an instance, so that others are asked first. */
export function noteFailure(turn: Turn, key: InstanceKey, child: ChildId, detail: string): void {
  const { service, number } = splitInstanceKey(key)
  const before = turn.state.work.get(key)
  const failures = (before?.failures ?? 0) + 1
  const until = turn.context.now + Math.min(AVOID_MS_MAX, AVOID_MS_MIN * 2 ** (failures - 1))
  const avoid = new Map(before?.avoid).set(child, { until, detail: detail.slice(0, 200) })
  change(turn, key, { service, number }, { failures, avoid, goodSince: null })
  tell(turn, 'instance-failed-there', { service, number, child, detail }, 'warn')
}

/** Writes the placement record; false when a newer leader has ordered already. */
function author(
  turn: Turn,
  key: InstanceKey,
  child: ChildId | null,
  specClock: PlacementRecord['specClock'],
  reason: string,
): boolean {
  const { state, context, effects } = turn
  const { service, number } = splitInstanceKey(key)
  const before = placementOf(state, key)
  const fence = state.lead?.fence
  if (fence === undefined || (before !== null && compareFences(before.fence, fence) > 0)) return false
  const record: PlacementRecord = {
    kind: 'record/placement',
    domain: state.domain,
    service,
    number,
    child,
    fence,
    sequence: (before?.sequence ?? 0) + 1,
    specClock,
    reason: reason.slice(0, REASON_CHARS_MAX),
  }
  state.authored.set(key, { record, at: context.now })
  effects.push({ kind: 'author', record })
  return true
}
