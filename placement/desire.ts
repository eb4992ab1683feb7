// What is wanted of a domain, and whether what is placed meets it. Both are read from records each time they are
// needed: the leader keeps no list of its own that could differ from them.

import type { ChildId, InstanceKey, ServiceId } from '../overlay/kernel/ids.ts'
import { instanceKey, isDomain, splitInstanceKey } from '../overlay/kernel/ids.ts'
import type { Millis } from '../overlay/kernel/time.ts'
import {
  CHILDREN_PER_NUMBER,
  type Clock,
  compareClocks,
  compareFences,
  type InstanceRecord,
  type PlacementRecord,
} from '../services-registry/record.ts'
import { type Absence, absenceOf } from './absence.ts'
import { outcomeOf } from './outcome.ts'
import type { Failure, KnownSpec, SchedulerState, Work } from './scheduler-state.ts'
import { compareMeant, findSpec, learnRecord, runsSpec, type Target, targetOf } from './versions.ts'
import type { ChildrenView } from './view.ts'

export type Wish =
  /** `known` is null while the spec of that clock has not arrived or cannot be read. */
  | {
      readonly kind: 'wanted'
      readonly by: 'own' | 'parent'
      readonly clock: Clock
      /** The newer version that was rolled back in favour of this one. */
      readonly over?: Clock
      readonly known: KnownSpec | null
      readonly problem: string
      /** The one child that may run it: a daemon's. */
      readonly only?: ChildId
    }
  | { readonly kind: 'unwanted'; readonly why: string }
  /** Nothing is known of it; what nothing is known of is left alone. */
  | { readonly kind: 'unknown' }

export function wishOf(state: SchedulerState, service: ServiceId, number: number): Wish {
  const own = state.view.store.spec(service)?.message ?? null
  if (own !== null && own.spec !== null) return ownWish(state, service, number, own.clock)
  const order = orderFor(state, service, number)
  if (order !== null && order.child !== null && isFormer(order, state.domain)) return goesOn(state, order)
  if (order !== null && order.child === state.domain) {
    const held = state.view.parentStore()?.spec(service)?.message ?? null
    if (held !== null) learnRecord(state, held)
    const known = withOver(findSpec(state, service, order.specClock), order.over)
    const problem = known === null ? 'its specification has not arrived yet' : ''
    const wish: Wish = { kind: 'wanted', by: 'parent', clock: order.specClock, known, problem, ...overOf(order) }
    return order.each === true ? forSlot(state, service, number, wish) : wish
  }
  if (own !== null) return { kind: 'unwanted', why: 'the service was removed' }
  if (order !== null)
    return { kind: 'unwanted', why: order.child === null ? order.reason : `it is placed on ${order.child} now` }
  return { kind: 'unknown' }
}

/** Whether the parent has another child run it, and this one go on until it is told to end. */
const isFormer = ({ previous, replaced }: PlacementRecord, domain: ChildId): boolean =>
  previous === domain || replaced?.child === domain
/** The parent's placement that an instance here is for: of its own number, or of the number above a daemon's. */
export function orderFor(state: SchedulerState, service: ServiceId, number: number): PlacementRecord | null {
  const store = state.view.parentStore()
  const above = store?.placement(service, Math.floor(number / CHILDREN_PER_NUMBER))?.message ?? null
  if (above?.each === true) return above
  const exact = store?.placement(service, number)?.message ?? null
  return exact?.each === true ? null : exact
}

function ownWish(state: SchedulerState, service: ServiceId, number: number, clock: Clock): Wish {
  const target = targetOf(state, service)
  if (target === null)
    return { kind: 'wanted', by: 'own', clock, known: null, problem: 'its specification cannot be read' }
  const { kind, replicas } = target.known.spec
  if (kind !== 'daemon' && number >= replicas) return { kind: 'unwanted', why: `there shall be ${replicas} only` }
  const wish = versionFor(state, service, number, target)
  return kind === 'daemon' ? forSlot(state, service, number, wish) : wish
}

/** The parent moves it elsewhere: until it runs there, what is placed here stays as it is. */
function goesOn(state: SchedulerState, order: PlacementRecord): Wish {
  const { service, number, child } = order
  const placed = placementOf(state, instanceKey(service, number))
  if (placed === null || placed.child === null) return { kind: 'unwanted', why: `it is moved to ${child}` }
  const known = withOver(findSpec(state, service, placed.specClock), placed.over)
  const problem = known === null ? 'its specification has not arrived yet' : ''
  return { kind: 'wanted', by: 'parent', clock: placed.specClock, known, problem, ...overOf(placed) }
}

/** Of a service that is updated, an instance keeps its version until it is its turn. */
function versionFor(
  state: SchedulerState,
  service: ServiceId,
  number: number,
  { known, claimed }: Target,
): Wish & { readonly kind: 'wanted' } {
  const placed = placementOf(state, instanceKey(service, number))
  if (placed === null || placed.child === null) return meaning(known)
  const isSame = runsSpec(placed, known)
  if (known.spec.kind === 'job') {
    // What is done of a job is done by its clock: another number of instances gives it no other.
    const isLater = !isSame || compareClocks(claimed, placed.specClock) > 0
    return meaning(isLater ? known : { ...known, clock: placed.specClock })
  }
  if (isSame || isTurned(state, service, number, known)) return meaning(known)
  const old = withOver(findSpec(state, service, placed.specClock), placed.over)
  const problem = old === null ? 'the version that it runs is not known here' : ''
  return { kind: 'wanted', by: 'own', clock: placed.specClock, known: old, problem, ...overOf(placed) }
}

function isTurned(state: SchedulerState, service: ServiceId, number: number, towards: KnownSpec): boolean {
  const pace = state.paces.get(service)
  return pace !== undefined && compareClocks(pace.target.clock, towards.clock) === 0 && pace.turned.has(number)
}

const meaning = (known: KnownSpec): Wish & { readonly kind: 'wanted' } => ({
  kind: 'wanted',
  by: 'own',
  clock: known.clock,
  known,
  problem: '',
  ...(known.over !== null && { over: known.over }),
})

const withOver = (known: KnownSpec | null, over: Clock | undefined): KnownSpec | null =>
  known === null || over === undefined ? known : { ...known, over }
const overOf = ({ over }: PlacementRecord): { readonly over?: Clock } => (over === undefined ? {} : { over })

/** A daemon's instance is for one child; before the numbers are given out, for the one that has it. */
function forSlot(
  state: SchedulerState,
  service: ServiceId,
  number: number,
  wish: Wish & { readonly kind: 'wanted' },
): Wish {
  const slots = state.slots.get(service)
  const placed = placementOf(state, instanceKey(service, number))?.child ?? null
  if (slots === undefined) return placed === null ? { kind: 'unknown' } : { ...wish, only: placed }
  for (const [child, slot] of slots) if (slot === number) return { ...wish, only: child }
  return { kind: 'unwanted', why: 'no device that shall run it has this number any more' }
}

/** Where an instance is placed: what the store shows, or what this leader authored since. */
export function placementOf(state: SchedulerState, key: InstanceKey): PlacementRecord | null {
  const { service, number } = splitInstanceKey(key)
  const shown = state.view.store.placement(service, number)?.message ?? null
  const own = state.authored.get(key)?.record ?? null
  if (shown === null || own === null) return shown ?? own
  return (compareFences(own.fence, shown.fence) || own.sequence - shown.sequence) > 0 ? own : shown
}

export type Verdict =
  | { readonly kind: 'good' }
  /** Placed, but its node has not said yet that it obeys. */
  | { readonly kind: 'unconfirmed'; readonly child: ChildId }
  | Absence
  /** It needs a place; `failed` names the child that could not run it. */
  | {
      readonly kind: 'replace'
      readonly why: string
      readonly failed: { readonly child: ChildId; readonly detail: string } | null
    }

/** Whether the placement meets the wish. */
export function verdictOf(
  state: SchedulerState,
  placed: PlacementRecord | null,
  wish: Wish & { readonly kind: 'wanted' },
  children: ChildrenView,
  work: Work | undefined,
  now: Millis,
): Verdict {
  if (placed === null || placed.child === null) return { kind: 'replace', why: 'it has no place yet', failed: null }
  const { child } = placed
  if (isOutdated(placed, wish)) return { kind: 'replace', why: 'its specification changed', failed: null }
  if (outcomeOf(state.view.store, placed) !== null) return { kind: 'good' }
  if (isLost(state, child, children, now)) {
    const absence = wish.known === null ? null : absenceOf(wish.known.spec, placed, work?.absentSince ?? now, now)
    return absence ?? { kind: 'replace', why: `${child} is gone`, failed: null }
  }
  const avoided = work?.avoid.get(child)
  const handedBack: Verdict = { kind: 'replace', why: `${child} could not run it`, failed: null }
  const isHandedBack = avoided !== undefined && avoided.until > now && isOfVersion(avoided, placed.specClock)
  if (isDomain(child)) return isHandedBack ? handedBack : { kind: 'good' }
  const report = reportOf(state, placed, child, work)
  if (report === null) return isHandedBack ? handedBack : { kind: 'unconfirmed', child }
  if (report.live || endedForGood(report, wish.known)) return { kind: 'good' }
  return { kind: 'replace', why: `${child} gave it up`, failed: { child, detail: report.reason } }
}

/** Whether a failure says something of a version. */
export const isOfVersion = ({ specClock }: Failure, version: Clock): boolean =>
  specClock === null || compareClocks(specClock, version) === 0

/** Whether another version is meant by now; what a later leader placed means more than this one knows. */
export function isOutdated(placed: PlacementRecord, wish: Wish & { readonly kind: 'wanted' }): boolean {
  if (compareClocks(placed.specClock, wish.clock) === 0) return false
  return compareMeant({ specClock: wish.clock, ...(wish.over !== undefined && { over: wish.over }) }, placed) > 0
}

/** What the node says of this very placement; null while it says nothing that is newer. */
export function reportOf(
  state: SchedulerState,
  placed: PlacementRecord,
  child: ChildId,
  work: Work | undefined,
): InstanceRecord | null {
  const found = lastWordOf(state, placed.service, placed.number, child)
  if (found === null) return null
  const byFence = compareFences(found.fence, placed.fence)
  const obeys = byFence > 0 || (byFence === 0 && compareClocks(found.specClock, placed.specClock) === 0)
  const baseline = work?.baseline ?? null
  const isNews =
    baseline === null || (found.incarnation - baseline.incarnation || found.sequence - baseline.sequence) > 0
  return obeys && isNews ? found : null
}

/** Starts of the placed version that failed so far, those of the place that it had last included. */
export function attemptsOf(state: SchedulerState, placed: PlacementRecord, work: Work | undefined): number {
  const before = placed.attempts ?? 0
  if (placed.child === null) return before
  if (isDomain(placed.child)) return before + Number(work?.avoid.has(placed.child) === true)
  const report = reportOf(state, placed, placed.child, work)
  return before + (report !== null && report.state === 'failed' && !report.live ? report.restarts + 1 : 0)
}

/** What a node says after this is news. */
export const baselineOf = ({ incarnation, sequence }: InstanceRecord): NonNullable<Work['baseline']> => ({
  incarnation,
  sequence,
})

/** The last record of an instance by one node. */
export function lastWordOf(
  state: SchedulerState,
  service: ServiceId,
  number: number,
  child: ChildId,
): InstanceRecord | null {
  const records = state.view.store.instancesOf(service, number)
  return records.find((record) => record.from === child)?.message ?? null
}

/** What a node of this cluster says that it runs, whoever told it to. */
export function runBelow(state: SchedulerState, service: ServiceId, number: number): InstanceRecord | null {
  const records = state.view.store.instancesOf(service, number)
  const isMeant = (one: InstanceRecord): boolean => one.live && one.domain === state.domain
  return records.find(({ message }) => isMeant(message))?.message ?? null
}

/** Whether an end was the wanted one: the restart policy says whether another start is due. */
function endedForGood(report: InstanceRecord, known: KnownSpec | null): boolean {
  const policy = known?.spec.restart.policy ?? 'always'
  if (policy === 'always' || known?.spec.kind === 'job') return false
  return report.state === 'stopped' || (report.state === 'failed' && policy === 'never')
}

/**
 * Whether a child is gone: dead by the roster, or a domain that was silent for too long. One that nobody mentions gets
 * as long as a silent one, counted from when this leader began.
 */
export function isLost(state: SchedulerState, child: ChildId, children: ChildrenView, now: Millis): boolean {
  const view = children.get(child)
  if (view !== undefined && !view.alive) return true
  if (view !== undefined && !isDomain(child)) return false
  return now >= silentAt(state, child)
}

/** When a child of which nothing is heard counts as lost. */
export function silentAt(state: SchedulerState, child: ChildId): Millis {
  const heard = state.view.inventory.get(child)?.arrivedAt ?? Number.NEGATIVE_INFINITY
  return Math.max(heard, state.lead?.since ?? 0) + state.timing.silentMs
}

/** Every instance of a service that is wanted, placed or worked on, by number. */
export function keysOfService(state: SchedulerState, service: ServiceId): readonly InstanceKey[] {
  const numbers = new Set<number>(state.slots.get(service)?.values())
  const known = targetOf(state, service)?.known.spec ?? null
  const replicas = known === null || known.kind === 'daemon' ? 0 : known.replicas
  for (let number = 0; number < replicas; number++) numbers.add(number)
  for (const { message } of state.view.store.placements(service)) numbers.add(message.number)
  for (const { message } of state.view.parentStore()?.placements(service) ?? []) {
    if (message.child === state.domain && message.each !== true) numbers.add(message.number)
  }
  for (const { message } of state.view.store.instances(service)) {
    if (message.live && message.domain === state.domain) numbers.add(message.number)
  }
  return [...numbers].sort((a, b) => a - b).map((number) => instanceKey(service, number))
}

/** Every service that the domain may have to do with. */
export function servicesOf(state: SchedulerState, children: Iterable<ChildId>): ReadonlySet<ServiceId> {
  const { view, domain } = state
  const services = new Set<ServiceId>()
  for (const { message } of view.store.specs()) services.add(message.service)
  for (const { message } of view.parentStore()?.placedOn(domain) ?? []) services.add(message.service)
  for (const child of children) for (const { message } of view.store.placedOn(child)) services.add(message.service)
  for (const { message } of view.store.allInstances()) {
    if (message.live && message.domain === domain) services.add(message.service)
  }
  return services
}

/** Every instance that the domain may have to do with. */
export function allKeys(state: SchedulerState, children: Iterable<ChildId>): ReadonlySet<InstanceKey> {
  const keys = new Set<InstanceKey>(state.work.keys())
  for (const service of servicesOf(state, children)) for (const key of keysOfService(state, service)) keys.add(key)
  return keys
}

/** Whether a service of this name was submitted to the domain itself, so that the parent's cannot live here. */
export function isNameTaken(state: SchedulerState, service: ServiceId): boolean {
  const own = state.view.store.spec(service)?.message
  return own !== undefined && own.spec !== null
}
