// A new version comes instance by instance, and counts only when it has run for a while. The leader of the domain that
// owns the spec decides the pace; everyone below obeys its placements. How far it has come is read from placements and
// instance records each time, so that a new leader goes on where the last one stopped; only what cannot be read from
// those, that a version is paused or was rolled back, is a record of its own.

import {
  type ChildId,
  type InstanceKey,
  instanceKey,
  isDomain,
  isWithin,
  type ServiceId,
} from '../overlay/kernel/ids.ts'
import { earlier, type Millis } from '../overlay/kernel/time.ts'
import {
  compareClocks,
  compareFences,
  type InstanceRecord,
  type PlacementRecord,
  type RolloutState,
  type SealedRecord,
} from '../services-registry/record.ts'
import { isNumberOf } from '../services-registry/view.ts'
import { REASON_CHARS_MAX } from './constants.ts'
import { keysOfService, placementOf, verdictOf, wishOf } from './desire.ts'
import { type KnownSpec, type Pace, type Turn, tell } from './scheduler-state.ts'
import type { ServiceSpec } from './spec.ts'
import { rolloutOf, runsSpec, type Target, targetOf } from './versions.ts'

/**
 * Looks how far a service has come and whose turn it is now: all of it, or where only one instance has a new record no
 * more than that needs. Returns whether the others had to be looked at.
 */
export function keepPace(turn: Turn, service: ServiceId, only: number | null = null): boolean {
  const { state } = turn
  if (state.lead === null || state.lead.listenUntil !== null) return false
  const target = targetOf(state, service)
  if (target === null || target.known.spec.kind === 'job') {
    state.paces.delete(service)
    if (state.view.store.spec(service)?.message.spec === null) noteRemoval(turn, service)
    return false
  }
  renewWord(turn, service)
  if (only !== null && isNothingToOthers(turn, service, only, target)) return false
  lookAtAll(turn, service, target)
  return true
}

/**
 * Says once more, under this epoch, what was said under an earlier one. Where two lines of a domain met, those of one
 * cannot check what a leader of the other said, so some would know how far the version has come and some never.
 */
function renewWord(turn: Turn, service: ServiceId): void {
  const last = rolloutOf(turn.state, service)
  if (last === null || last.state === 'gone' || last.fence.epoch >= (turn.state.lead?.fence.epoch ?? 0)) return
  author(turn, service, { version: last.version, state: last.state, reason: last.reason })
}

/** While no version is on its way nobody waits for a turn; only an instance of another version makes one begin. */
function isNothingToOthers({ state }: Turn, service: ServiceId, number: number, target: Target): boolean {
  const stage = target.rollout?.state ?? 'done'
  if (state.paces.has(service) || (stage !== 'done' && stage !== 'paused')) return false
  const placed = placementOf(state, instanceKey(service, number))
  return placed === null || placed.child === null || runsSpec(placed, target.known)
}

function lookAtAll(turn: Turn, service: ServiceId, target: Target): void {
  const { state } = turn
  const placed = placedOf(turn, service, target)
  const behind = placed.filter((one) => !runsSpec(one, target.known))
  const stage = target.rollout?.state ?? null
  const isOver = behind.length === 0 && stage !== 'rolling'
  if (isOver || stage === 'paused') {
    state.paces.delete(service)
    return
  }
  if (stage !== 'rolling' && stage !== 'rolled-back') {
    noteRollout(turn, service, target, 'rolling', `${behind.length} of ${placed.length} instances are to be replaced`)
  }
  const before = state.paces.get(service)
  const isGoingOn = before !== undefined && compareClocks(before.target.clock, target.known.clock) === 0
  const look = lookAt(turn, service, target, placed, isGoingOn ? before : beginning(target.known))
  if (look.failure !== null) onFailure(turn, service, target, look.failure)
  else advance(turn, service, target, placed, look.pace)
}

const beginning = (target: KnownSpec): Pace => ({
  target,
  turned: new Set(),
  passed: new Set(),
  runsSince: new Map(),
  lastPassedAt: null,
  dueAt: null,
})

/** The placements that stand, of numbers that are wanted. */
function placedOf({ state }: Turn, service: ServiceId, { known }: Target): readonly PlacementRecord[] {
  return keysOfService(state, service).flatMap((key) => {
    const placed = placementOf(state, key)
    if (placed === null || placed.child === null) return []
    return known.spec.kind === 'daemon' || placed.number < known.spec.replicas ? [placed] : []
  })
}

interface Look {
  readonly pace: Pace
  /** Why the version is no good; null while nothing speaks against it. */
  readonly failure: string | null
}

/** Which of those that have the version count by now, and whether one has failed before it did. */
function lookAt(turn: Turn, service: ServiceId, target: Target, placed: readonly PlacementRecord[], pace: Pace): Look {
  const { now } = turn.context
  const isBack = target.rollout?.state === 'rolled-back'
  const { monitorMs, onFailure: action } = target.latest.spec.update
  const forMs = isBack ? 0 : monitorMs
  const recordsOf = recordsByPlacement(turn, service, placed)
  const turned = new Set(pace.turned)
  const passed = new Set(pace.passed)
  const runsSince = new Map<number, Millis>()
  let { lastPassedAt } = pace
  for (const one of placed) {
    const { number } = one
    const isPlaced = runsSpec(one, target.known)
    if (isPlaced) turned.add(number)
    if (passed.has(number) || !turned.has(number)) continue
    const state = isPlaced
      ? stateOf(one, recordsOf(one), isBack ? null : target.known.spec)
      : triedBefore(recordsOf(one), target.known)
    const since = pace.runsSince.get(number) ?? now
    const isBad = state.kind === 'failed'
    if (isBad && !isBack && action !== 'continue') return { pace, failure: `#${number}: ${state.reason}` }
    if (isBad || (state.kind === 'runs' && now - since >= forMs)) {
      passed.add(number)
      lastPassedAt = now
    } else if (state.kind === 'runs') runsSince.set(number, since)
  }
  return { pace: { ...pace, turned, passed, runsSince, lastPassedAt }, failure: null }
}

/** What is said of the instances that a placement is about: its own, or those that a daemon has below it. */
function recordsByPlacement(
  { state }: Turn,
  service: ServiceId,
  placed: readonly PlacementRecord[],
): (one: PlacementRecord) => readonly SealedRecord<InstanceRecord>[] {
  const { store } = state.view
  const ofDaemon = placed.some(({ each }) => each === true) ? store.instances(service) : []
  return (one) =>
    one.each === true
      ? ofDaemon.filter(({ message }) => isNumberOf(one, message.number))
      : store.instancesOf(service, one.number)
}

type RunState =
  | { readonly kind: 'starts' }
  | { readonly kind: 'runs' }
  | { readonly kind: 'failed'; readonly reason: string }

/**
 * What the nodes say of the placed version. One end that nobody asked for is enough to fail it. Of a version that is
 * gone back to (`spec` null) nobody waits for more than that it was started.
 */
function stateOf(
  placed: PlacementRecord,
  records: readonly SealedRecord<InstanceRecord>[],
  spec: ServiceSpec | null,
): RunState {
  const isHere = (child: ChildId | null, { from, message }: SealedRecord<InstanceRecord>): boolean =>
    child !== null && (isDomain(child) ? isWithin(message.domain, child) : from === child)
  const here = records.filter((one) => isHere(placed.child, one))
  const isOfVersion = ({ message }: SealedRecord<InstanceRecord>): boolean =>
    compareClocks(message.specClock, placed.specClock) === 0
  const bad = here.find((one) => isOfVersion(one) && hasFailed(one.message))
  if (bad !== undefined) return failedAs(bad)
  const live = here.filter(({ message }) => message.live)
  const isGood = (one: SealedRecord<InstanceRecord>): boolean =>
    isOfVersion(one) && (spec === null ? hasStarted(one.message) : isServing(one.message, spec))
  if (placed.each === true) {
    // Of its devices those count that have the version: what the others last said may be all that is left of them.
    const having = live.filter(isOfVersion)
    return { kind: (having.length > 0 ? having.every(isGood) : live.length === 0) ? 'runs' : 'starts' }
  }
  return { kind: live.some(isGood) ? 'runs' : 'starts' }
}

/** Of one that went back to its old place: whether the version has failed at the place that it was tried at. */
function triedBefore(records: readonly SealedRecord<InstanceRecord>[], { clock }: KnownSpec): RunState {
  const bad = records.find(({ message }) => compareClocks(message.specClock, clock) === 0 && hasFailed(message))
  return bad === undefined ? { kind: 'starts' } : failedAs(bad)
}

const failedAs = ({ from, message }: SealedRecord<InstanceRecord>): RunState => {
  const { nodeName, reason, state } = message
  return { kind: 'failed', reason: `${nodeName ?? from}: ${reason || state}`.slice(0, REASON_CHARS_MAX / 2) }
}

const hasFailed = ({ state, live, restarts }: InstanceRecord): boolean =>
  state === 'unhealthy' || (live ? restarts > 0 : state === 'failed')

const hasStarted = ({ state }: InstanceRecord): boolean => state === 'running' || state === 'unhealthy'

/** Whether an instance runs and, where there is a health check, has passed it. */
export const isServing = ({ live, state, healthy = false }: InstanceRecord, spec: ServiceSpec): boolean =>
  live && state === 'running' && (spec.healthcheck === null || healthy)

function onFailure(turn: Turn, service: ServiceId, target: Target, failure: string): void {
  const isRollback = target.latest.spec.update.onFailure === 'rollback'
  if (isRollback && target.before !== null) {
    noteRollout(turn, service, target, 'rolled-back', failure)
    keepPace(turn, service)
    return
  }
  const why = isRollback ? `${failure} (there is no version to go back to)` : failure
  noteRollout(turn, service, target, 'paused', why)
  turn.state.paces.delete(service)
}

/** Gives the version to as many more as may be under way, and says when all have it. */
function advance(turn: Turn, service: ServiceId, target: Target, placed: readonly PlacementRecord[], pace: Pace): void {
  const { state, context } = turn
  const { parallel, delayMs, monitorMs } = target.latest.spec.update
  const turned = new Set(pace.turned)
  const waiting = placed.filter(({ number }) => !turned.has(number))
  const unwell = new Set(waiting.filter((one) => isUnwell(turn, one)).map(({ number }) => number))
  // What does not run loses nothing by being replaced first, whatever else is under way.
  for (const number of unwell) turned.add(number)
  const nextAt = pace.lastPassedAt === null ? context.now : pace.lastPassedAt + delayMs
  let underWay = placed.filter(({ number }) => turned.has(number) && !pace.passed.has(number)).length
  for (const { number } of waiting) {
    if (context.now < nextAt || underWay >= parallel) break
    if (turned.has(number)) continue
    turned.add(number)
    underWay += 1
  }
  if (placed.every(({ number }) => pace.passed.has(number))) {
    state.paces.delete(service)
    if (target.rollout?.state !== 'rolled-back') {
      noteRollout(turn, service, target, 'done', `all ${placed.length} instances run it`)
    }
    return
  }
  let dueAt: Millis | null = nextAt > context.now ? nextAt : null
  for (const since of pace.runsSince.values()) dueAt = earlier(dueAt, since + monitorMs)
  state.paces.set(service, { ...pace, turned, dueAt })
}

/**
 * Whether what is placed does not run, and cannot run again as it was: its version is not known here any more. With a
 * known one it gets that one back first.
 */
function isUnwell({ state, children, context }: Turn, placed: PlacementRecord): boolean {
  const key: InstanceKey = instanceKey(placed.service, placed.number)
  const wish = wishOf(state, placed.service, placed.number)
  if (wish.kind !== 'wanted' || wish.known !== null) return false
  return verdictOf(state, placed, wish, children, state.work.get(key), context.now).kind === 'replace'
}

/** The service is gone, and with it how far it had come. */
function noteRemoval(turn: Turn, service: ServiceId): void {
  const last = rolloutOf(turn.state, service)
  if (last === null || last.state === 'gone') return
  author(turn, service, { version: last.version, state: 'gone', reason: 'the service was removed' })
}

function noteRollout(turn: Turn, service: ServiceId, target: Target, state: RolloutState, reason: string): void {
  if (!author(turn, service, { version: target.version, state, reason })) return
  const level = state === 'paused' || state === 'rolled-back' ? 'warn' : 'info'
  tell(turn, `rollout-${state}`, { service, reason }, level)
}

/** Writes the record; false when a newer leader has spoken already. */
function author(
  turn: Turn,
  service: ServiceId,
  word: { readonly version: Target['version']; readonly state: RolloutState; readonly reason: string },
): boolean {
  const { state, effects } = turn
  const before = rolloutOf(state, service)
  const fence = state.lead?.fence
  if (fence === undefined || (before !== null && compareFences(before.fence, fence) > 0)) return false
  const record = {
    kind: 'record/rollout' as const,
    domain: state.domain,
    service,
    ...word,
    reason: word.reason.slice(0, REASON_CHARS_MAX),
    fence,
    sequence: (before?.sequence ?? 0) + 1,
  }
  state.rollouts.set(service, record)
  effects.push({ kind: 'author', record })
  return true
}
