// What a service says of the time in which its device cannot be reached: how long to wait, whether to replace at all,
// and which copy stays when the device comes back (`disconnect` and `autonomy` of its descriptor).

import { type ChildId, type InstanceKey, isDomain, isWithin } from '../overlay/kernel/ids.ts'
import type { Millis } from '../overlay/kernel/time.ts'
import { compareFences, type InstanceRecord, type PlacementRecord } from '../services-registry/record.ts'
import { keepOriginal, keepReplacement } from './commitment.ts'
import { isLost, lastWordOf } from './desire.ts'
import { planInstance } from './plan.ts'
import { change, type KnownSpec, type SchedulerState, show, type Turn } from './scheduler-state.ts'
import type { ServiceSpec } from './spec.ts'

/** Why an instance of a lost child is not replaced yet; `until` is null while only a person or its return helps. */
export interface Absence {
  readonly kind: 'absent'
  readonly reason: string
  readonly until: Millis | null
}

/** Whether the service waits for the child that is gone; null when it may be replaced now. */
export function absenceOf(
  { disconnect, autonomy, stopGraceMs }: ServiceSpec,
  { service, number, child }: PlacementRecord,
  absentSince: Millis,
  now: Millis,
): Absence | null {
  const gone = `${child} is gone`
  if (autonomy === 'manual') {
    const hint = `\`coppice migrate ${service}#${number}\` moves it`
    return { kind: 'absent', reason: `${gone}, and nobody but a person moves it: ${hint}`, until: null }
  }
  if (!disconnect.replace)
    return { kind: 'absent', reason: `${gone}, and it waits for its return (disconnect.replace)`, until: null }
  const { lostAfterMs, stopAfterMs } = disconnect
  // What ends itself has ended by then; a service that says a time of its own gets that.
  const untilEnded = stopAfterMs === null ? 0 : stopAfterMs + stopGraceMs
  const until = absentSince + (lostAfterMs ?? untilEnded)
  if (until <= now) return null
  const seconds = Math.ceil((until - now) / 1_000)
  return { kind: 'absent', reason: `${gone}, and counts as lost in ${seconds} s (disconnect.lost_after)`, until }
}

/** Nothing is asked while the service waits; people see why. */
export function stayAbsent(turn: Turn, key: InstanceKey, { reason, until }: Absence): void {
  const { now } = turn.context
  const name = turn.state.work.get(key)
  if (name === undefined) return
  const retryAt = until ?? now + turn.state.timing.retryMsMax
  change(turn, key, name, { phase: { kind: 'pending', retryAt, plannedAt: now, clock: null } })
  show(turn, key, reason)
}

/** Remembers since when the child of an instance is lost, as far as this leader saw it. */
export function noteAbsence(turn: Turn, key: InstanceKey, placed: PlacementRecord | null): void {
  const { state, children, context } = turn
  const work = state.work.get(key)
  const isGone = placed !== null && placed.child !== null && isLost(state, placed.child, children, context.now)
  if (!isGone && work !== undefined && work.absentSince !== null) change(turn, key, work, { absentSince: null })
  if (isGone && placed !== null && (work?.absentSince ?? null) === null)
    change(turn, key, placed, { absentSince: context.now })
}

/** Whom a new placement remembers, so that the two can be compared when it returns; null where the newer one stays. */
export function replacedBy(
  { state, children, context }: Turn,
  placed: PlacementRecord | null,
  child: ChildId,
  { spec }: KnownSpec,
): NonNullable<PlacementRecord['replaced']> | null {
  if (placed === null || spec.disconnect.reconcile === 'keep_replacement') return null
  if (placed.replaced !== undefined) return placed.replaced.child === child ? null : placed.replaced
  if (placed.child === null || placed.child === child || !isLost(state, placed.child, children, context.now))
    return null
  const incarnation = wordOf(state, placed, placed.child)?.incarnation ?? 0
  return { child: placed.child, incarnation: isDomain(placed.child) ? 0 : incarnation }
}

/**
 * The device whose instance was replaced is back: one of the two copies stays. True when that was decided now. A device
 * that was started anew meanwhile lost what it ran, and has nothing to compare.
 */
export function reunite(
  turn: Turn,
  key: InstanceKey,
  placed: PlacementRecord | null,
  known: KnownSpec | null,
): boolean {
  if (placed === null || placed.replaced === undefined || placed.previous !== undefined || known === null) return false
  const { state, children, context } = turn
  const { child: original, incarnation } = placed.replaced
  if (placed.child === null || isLost(state, original, children, context.now)) return false
  const word = wordOf(state, placed, original)
  const isRestarted = !isDomain(original) && word !== null && word.incarnation !== incarnation
  const isOver = word !== null && (!word.live || word.state === 'stopped')
  if (isRestarted || isOver) {
    const why = isRestarted ? 'was started anew meanwhile' : 'ended it meanwhile'
    keepReplacement(turn, key, placed, `${original} ${why}`)
    return true
  }
  const hasObeyed = word !== null && (isDomain(original) || compareFences(word.fence, placed.fence) >= 0)
  if (!hasObeyed || word.state !== 'running') return false
  const newer = wordOf(state, placed, placed.child)
  const { reconcile } = known.spec.disconnect
  if (originalStays(turn, key, placed, known, word, newer)) keepOriginal(turn, key, placed, original, reconcile)
  else keepReplacement(turn, key, placed, `disconnect.reconcile is ${reconcile}`)
  return true
}

function originalStays(
  turn: Turn,
  key: InstanceKey,
  placed: PlacementRecord,
  known: KnownSpec,
  word: InstanceRecord,
  newer: InstanceRecord | null,
): boolean {
  const { reconcile } = known.spec.disconnect
  const isNewerUp = newer?.live === true && newer.state === 'running'
  if (!isNewerUp || reconcile === 'keep_original') return true
  if (reconcile === 'longest_running') return word.since <= newer.since
  return reconcile === 'best_score' && bestOf(turn, key, placed, known) === placed.replaced?.child
}

/** Which of the two places the domain's scheduler prefers, as if the instance ran at neither. */
function bestOf(turn: Turn, key: InstanceKey, placed: PlacementRecord, known: KnownSpec): ChildId | null {
  const { state, children, context } = turn
  const two = [placed.child, placed.replaced?.child]
  const plan = planInstance({
    key,
    spec: known.spec,
    domain: state.domain,
    children: [...children.values()].filter(({ child }) => two.includes(child)),
    inventory: state.view.inventory,
    ledger: state.ledger,
    plugin: state.plugin,
    current: null,
    leaving: null,
    to: null,
    tried: new Set(),
    avoid: new Map(),
    avoidNodes: [],
    now: context.now,
  })
  return plan.ranked[0]?.child ?? null
}

/** What the nodes of a child last said of an instance; of several that of the one that runs. */
function wordOf(
  state: SchedulerState,
  { service, number }: Pick<PlacementRecord, 'service' | 'number'>,
  child: ChildId,
): InstanceRecord | null {
  if (!isDomain(child)) return lastWordOf(state, service, number, child)
  const below = state.view.store.instancesOf(service, number).filter(({ message }) => isWithin(message.domain, child))
  return (below.find(({ message }) => message.live) ?? below[0])?.message ?? null
}
