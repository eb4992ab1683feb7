// What a leader decides: this child runs it, or none shall. A decision is a record; the books follow it in the same
// step.

import type { ChildId, InstanceKey } from '../overlay/kernel/ids.ts'
import { isDomain, isWithin, splitInstanceKey } from '../overlay/kernel/ids.ts'
import {
  compareClocks,
  compareFences,
  type InstanceRecord,
  type PlacementRecord,
  type SealedRecord,
} from '../services-registry/record.ts'
import { replacedBy } from './absence.ts'
import { AVOID_MS_MAX, AVOID_MS_MIN, REASON_CHARS_MAX } from './constants.ts'
import { attemptsOf, baselineOf, isOfVersion, lastWordOf, orderFor, placementOf, runBelow } from './desire.ts'
import { enterLeaving, enterPlaced } from './ledger.ts'
import { NOTHING, needOf } from './need.ts'
import type { Outcome } from './outcome.ts'
import { beginMove, change, drop, type KnownSpec, show, type Turn, tell, type Work } from './scheduler-state.ts'
import { findSpec } from './versions.ts'

/** Places an instance on a child that offered; `from` goes on running it until that child does. */
export function commit(
  turn: Turn,
  key: InstanceKey,
  child: ChildId,
  known: KnownSpec,
  reason: string,
  from: ChildId | null,
): void {
  const { state, context } = turn
  const { service, number } = splitInstanceKey(key)
  const last = isDomain(child) ? null : lastWordOf(state, service, number, child)
  const previous = from ?? (isDomain(child) ? awaitedAbove(turn, service, number) : null)
  const replaced = replacedBy(turn, placementOf(state, key), child, known)
  const former = { ...(previous !== null && { previous }), ...(replaced !== null && { replaced }) }
  if (!author(turn, key, { child, reason, ...madeFor(turn, key, child, known), ...former })) return
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
      baseline: last === null ? null : baselineOf(last),
      move: previous === null ? null : beginMove(context.now),
    },
  )
  enterPlaced(state.ledger, key, child, needOf(known.spec))
  enterLeaving(state.ledger, key, from, needOf(known.spec))
  tell(turn, 'instance-placed', { service, number, child, reason, ...(from !== null && { from }) })
}

/** The place outside this domain that the parent moves an instance away from, and waits to hear that it runs here. */
function awaitedAbove({ state }: Turn, service: PlacementRecord['service'], number: number): ChildId | null {
  const order = state.view.parentStore()?.placement(service, number)?.message ?? null
  return order !== null && order.child === state.domain ? (order.previous ?? null) : null
}

/** It runs where it was moved to: the former place is told to end it. */
export function finishMove(turn: Turn, key: InstanceKey, placed: PlacementRecord): void {
  const { service, number, child, previous = null } = placed
  const { previous: _left, ...terms } = termsOf(placed)
  if (!author(turn, key, terms)) return
  enterLeaving(turn.state.ledger, key, null, NOTHING)
  change(turn, key, placed, { phase: { kind: 'idle' }, move: null, baseline: null })
  tell(turn, 'instance-moved', { service, number, from: previous, child })
}

/** It does not run where it was moved to: it stays where it was, with the version that it has there. */
export function goBack(turn: Turn, key: InstanceKey, placed: PlacementRecord, to: ChildId, why: string): void {
  const { service, number, child } = placed
  const reason = `it stays here, as it could not be moved to ${child}: ${why}`
  if (!author(turn, key, { child: to, reason, ...versionAt(turn, placed, to) })) return
  const need = turn.state.ledger.leaving.get(key)?.need ?? NOTHING
  enterLeaving(turn.state.ledger, key, null, NOTHING)
  enterPlaced(turn.state.ledger, key, to, need)
  change(turn, key, placed, { phase: { kind: 'idle' }, move: null, baseline: null })
  tell(turn, 'instance-stays', { service, number, child: to, reason }, 'warn')
}

/** The device that was away has its copy back; the one that stood in for it goes on until that is known to run. */
export function keepOriginal(
  turn: Turn,
  key: InstanceKey,
  placed: PlacementRecord,
  original: ChildId,
  rule: string,
): void {
  const { service, number, child } = placed
  if (child === null) return
  const reason = `back where it was before: ${original} has returned (disconnect.reconcile is ${rule})`
  const { replaced: _replaced, ...terms } = termsOf(placed)
  const back = { ...terms, ...versionAt(turn, placed, original), child: original, previous: child, reason }
  if (!author(turn, key, back)) return
  change(turn, key, placed, { phase: { kind: 'idle' }, move: beginMove(turn.context.now), baseline: null })
  tell(turn, 'instance-reunited', { service, number, child: original, reason })
}

/** The device that was away is told to end its copy. */
export function keepReplacement(turn: Turn, key: InstanceKey, placed: PlacementRecord, why: string): void {
  const { service, number, child } = placed
  const { replaced: _replaced, ...terms } = termsOf(placed)
  if (!author(turn, key, terms)) return
  tell(turn, 'instance-reunited', { service, number, child, reason: why })
}

/** The version that a child runs, as far as its nodes have said. */
function versionAt(
  { state }: Turn,
  { service, number, specClock, specId }: PlacementRecord,
  child: ChildId,
): Pick<Terms, 'specClock' | 'specId'> {
  const isThere = ({ from, message }: SealedRecord<InstanceRecord>): boolean =>
    message.live && (isDomain(child) ? isWithin(message.domain, child) : from === child)
  const clock = state.view.store.instancesOf(service, number).find(isThere)?.message.specClock ?? specClock
  const id = compareClocks(clock, specClock) === 0 ? specId : findSpec(state, service, clock)?.id
  return { specClock: clock, ...(id !== undefined && { specId: id }) }
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
  const { specClock, each } = placed
  if (!author(turn, key, { child: null, specClock, reason, ...(each === true && { each }) })) return
  enterPlaced(turn.state.ledger, key, null, NOTHING)
  enterLeaving(turn.state.ledger, key, null, NOTHING)
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
  if (run === null || !author(turn, key, { child: null, specClock: run.specClock, reason })) return
  tell(turn, 'instance-withdrawn', { service, number, child: null, reason })
}

/** Says of what is placed below, by an order that is known to nobody here, that nobody wants it. */
export function disown(turn: Turn, key: InstanceKey, reason: string): void {
  const { state } = turn
  const { service, number } = splitInstanceKey(key)
  const specClock = state.view.store.spec(service)?.message.clock ?? orderFor(state, service, number)?.specClock
  if (specClock === undefined || !author(turn, key, { child: null, specClock, reason })) return
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

/** As long as there is no other place the order stands, and all of this line have to know of it. */
export function renewPending(turn: Turn, key: InstanceKey, placed: PlacementRecord | null): void {
  if (turn.state.work.get(key)?.phase.kind === 'pending') renew(turn, key, placed)
}

/** Gives the same order in a new record, which reaches also those whom the old one missed. */
export function repeatOrder(turn: Turn, key: InstanceKey, placed: PlacementRecord): void {
  author(turn, key, termsOf(placed))
}

/**
 * Writes down how a job ended. The order stays, but no other copy goes on; whoever looks at it knows that nothing is
 * left to run.
 */
export function noteOutcome(
  turn: Turn,
  key: InstanceKey,
  placed: PlacementRecord,
  outcome: Outcome,
  why: string,
): void {
  const { previous: _left, replaced: _replaced, ...terms } = termsOf(placed)
  if (!author(turn, key, { ...terms, outcome, reason: why })) return
  const { service, number, child } = placed
  enterPlaced(turn.state.ledger, key, child, NOTHING)
  enterLeaving(turn.state.ledger, key, null, NOTHING)
  tell(turn, `job-${outcome}`, { service, number, child, reason: why }, outcome === 'done' ? 'info' : 'warn')
}

/** Which version a placement is made for, and what is remembered of a job's earlier attempts at it. */
function madeFor(turn: Turn, key: InstanceKey, child: ChildId, known: KnownSpec): Omit<Terms, 'child' | 'reason'> {
  const { state } = turn
  const before = placementOf(state, key)
  const isSame = before !== null && compareClocks(before.specClock, known.clock) === 0
  const isJob = known.spec.kind === 'job'
  const attempts = isJob && isSame ? attemptsOf(state, before, state.work.get(key)) : 0
  return {
    specClock: known.clock,
    specId: known.id,
    ...(known.over !== null && { over: known.over }),
    ...(attempts > 0 && { attempts }),
    ...(known.spec.kind === 'daemon' && isDomain(child) && { each: true }),
  }
}

/** What a placement says, but for who says it and when. */
type Terms = Omit<PlacementRecord, 'kind' | 'domain' | 'service' | 'number' | 'fence' | 'sequence'>

function termsOf(placed: PlacementRecord): Terms {
  const { kind: _kind, domain: _domain, service: _service, number: _number, fence: _fence, sequence, ...terms } = placed
  return terms
}

/** Remembers that a child could not run an instance, so that others are asked first. */
export function noteFailure(turn: Turn, key: InstanceKey, child: ChildId, detail: string): void {
  const { service, number } = splitInstanceKey(key)
  const before = turn.state.work.get(key)
  const failures = (before?.failures ?? 0) + 1
  const until = turn.context.now + Math.min(AVOID_MS_MAX, AVOID_MS_MIN * 2 ** (failures - 1))
  const placed = placementOf(turn.state, key)
  const specClock = placed?.child === child ? placed.specClock : null
  const avoid = new Map(before?.avoid).set(child, { until, detail: detail.slice(0, 200), specClock })
  change(turn, key, { service, number }, { failures, avoid, goodSince: null })
  tell(turn, 'instance-failed-there', { service, number, child, detail }, 'warn')
}

/** Where this version of it could not run. */
export function failuresOf({ state }: Turn, key: InstanceKey, { clock }: KnownSpec): Work['avoid'] {
  const failures = state.work.get(key)?.avoid ?? new Map()
  return new Map([...failures].filter(([, failure]) => isOfVersion(failure, clock)))
}

/** Writes the placement record; false when a newer leader has ordered already. */
function author(turn: Turn, key: InstanceKey, order: Terms): boolean {
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
    ...order,
    fence,
    sequence: (before?.sequence ?? 0) + 1,
    reason: order.reason.slice(0, REASON_CHARS_MAX),
  }
  state.authored.set(key, { record, at: context.now })
  effects.push({ kind: 'author', record })
  return true
}
