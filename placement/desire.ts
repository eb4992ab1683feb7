// What is wanted of a domain, and whether what is placed meets it. Both are read from records each time they are
// needed: the leader keeps no list of its own that could differ from them.

import type { ChildId, InstanceKey, ServiceId } from '../overlay/kernel/ids.ts'
import { instanceKey, isDomain, splitInstanceKey } from '../overlay/kernel/ids.ts'
import type { Millis } from '../overlay/kernel/time.ts'
import {
  type Clock,
  compareClocks,
  compareFences,
  type InstanceRecord,
  type PlacementRecord,
} from '../services-registry/record.ts'
import { compareBytes } from '../services-registry/version.ts'
import type { KnownSpec, SchedulerState, Work } from './scheduler-state.ts'
import { decodeSpec } from './spec.ts'
import type { ChildView } from './view.ts'

export type Wish =
  /** `known` is null while the spec of that clock has not arrived or cannot be read. */
  | {
      readonly kind: 'wanted'
      readonly by: 'own' | 'parent'
      readonly clock: Clock
      readonly known: KnownSpec | null
      readonly problem: string
    }
  | { readonly kind: 'unwanted'; readonly why: string }
  /** Nothing is known of it; what nothing is known of is left alone. */
  | { readonly kind: 'unknown' }

export function wishOf(state: SchedulerState, service: ServiceId, number: number): Wish {
  const own = state.view.store.spec(service)?.message ?? null
  if (own !== null && own.spec !== null) {
    const known = learnSpec(state, service, own.clock, own.spec)
    if (known === null)
      return { kind: 'wanted', by: 'own', clock: own.clock, known, problem: 'its specification cannot be read' }
    if (number >= known.spec.replicas) return { kind: 'unwanted', why: `there shall be ${known.spec.replicas} only` }
    return { kind: 'wanted', by: 'own', clock: own.clock, known, problem: '' }
  }
  const parentStore = state.view.parentStore()
  const order = parentStore?.placement(service, number)?.message ?? null
  if (order !== null && order.child !== null && order.previous === state.domain) return goesOn(state, order)
  if (order !== null && order.child === state.domain) {
    const held = parentStore?.spec(service)?.message ?? null
    if (held !== null && held.spec !== null) learnSpec(state, service, held.clock, held.spec)
    const latest = state.specs.get(service) ?? null
    const known = latest !== null && compareClocks(latest.clock, order.specClock) >= 0 ? latest : null
    const problem = known === null ? 'its specification has not arrived yet' : ''
    return { kind: 'wanted', by: 'parent', clock: order.specClock, known, problem }
  }
  if (own !== null) return { kind: 'unwanted', why: 'the service was removed' }
  if (order !== null)
    return { kind: 'unwanted', why: order.child === null ? order.reason : `it is placed on ${order.child} now` }
  return { kind: 'unknown' }
}

/** The parent moves it elsewhere: until it runs there, what is placed here stays as it is. */
function goesOn(state: SchedulerState, order: PlacementRecord): Wish {
  const { service, number, child } = order
  const placed = placementOf(state, instanceKey(service, number))
  if (placed === null || placed.child === null) return { kind: 'unwanted', why: `it is moved to ${child}` }
  const clock = placed.specClock
  const latest = state.specs.get(service) ?? null
  const known = latest !== null && compareClocks(latest.clock, clock) >= 0 ? latest : null
  const problem = known === null ? 'its specification has not arrived yet' : ''
  return { kind: 'wanted', by: 'parent', clock, known, problem }
}

/**
 * Reads a spec once and remembers the latest of each service; null when it cannot be read. Two that were submitted out
 * of each other's sight may have the same clock, and the store decides which of them stays.
 */
export function learnSpec(
  state: SchedulerState,
  service: ServiceId,
  clock: Clock,
  bytes: Uint8Array,
): KnownSpec | null {
  const latest = state.specs.get(service)
  const isSame = latest !== undefined && compareClocks(latest.clock, clock) === 0
  if (isSame && (latest.bytes === bytes || compareBytes(latest.bytes, bytes) === 0)) return latest
  const decoded = decodeSpec(bytes)
  if (!decoded.ok) return null
  const known = { clock, bytes, spec: decoded.value }
  if (latest === undefined || compareClocks(latest.clock, clock) <= 0) state.specs.set(service, known)
  return known
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
  children: ReadonlyMap<ChildId, ChildView>,
  work: Work | undefined,
  now: Millis,
): Verdict {
  if (placed === null || placed.child === null) return { kind: 'replace', why: 'it has no place yet', failed: null }
  const { child } = placed
  if (compareClocks(placed.specClock, wish.clock) < 0)
    return { kind: 'replace', why: 'its specification changed', failed: null }
  if (isLost(state, child, children, now)) return { kind: 'replace', why: `${child} is gone`, failed: null }
  const avoided = work?.avoid.get(child)
  const handedBack: Verdict = { kind: 'replace', why: `${child} could not run it`, failed: null }
  const isHandedBack = avoided !== undefined && avoided.until > now
  if (isDomain(child)) return isHandedBack ? handedBack : { kind: 'good' }
  const report = reportOf(state, placed, child, work)
  if (report === null) return isHandedBack ? handedBack : { kind: 'unconfirmed', child }
  if (report.live || endedForGood(report, wish.known)) return { kind: 'good' }
  return { kind: 'replace', why: `${child} gave it up`, failed: { child, detail: report.reason } }
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
  const obeys = compareClocks(found.specClock, placed.specClock) >= 0 && compareFences(found.fence, placed.fence) >= 0
  const baseline = work?.baseline ?? null
  const isNews =
    baseline === null || (found.incarnation - baseline.incarnation || found.sequence - baseline.sequence) > 0
  return obeys && isNews ? found : null
}

/** The last record of an instance by one node. */
export function lastWordOf(
  state: SchedulerState,
  service: ServiceId,
  number: number,
  child: ChildId,
): InstanceRecord | null {
  const records = state.view.store.instances(service)
  return records.find((record) => record.message.number === number && record.from === child)?.message ?? null
}

/** What a node of this cluster says that it runs, whoever told it to. */
export function runBelow(state: SchedulerState, service: ServiceId, number: number): InstanceRecord | null {
  const records = state.view.store.instances(service)
  const isMeant = (one: InstanceRecord): boolean => one.number === number && one.live && one.domain === state.domain
  return records.find(({ message }) => isMeant(message))?.message ?? null
}

/** Whether an end was the wanted one: the restart policy says whether another start is due. */
function endedForGood(report: InstanceRecord, known: KnownSpec | null): boolean {
  const policy = known?.spec.restart.policy ?? 'always'
  if (policy === 'always') return false
  return report.state === 'stopped' || (report.state === 'failed' && policy === 'never')
}

/**
 * Whether a child is gone: dead by the roster, or a domain that was silent for too long. One that nobody mentions gets
 * as long as a silent one, counted from when this leader began.
 */
export function isLost(
  state: SchedulerState,
  child: ChildId,
  children: ReadonlyMap<ChildId, ChildView>,
  now: Millis,
): boolean {
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
  const numbers = new Set<number>()
  const own = state.view.store.spec(service)?.message ?? null
  const known = own === null || own.spec === null ? null : learnSpec(state, service, own.clock, own.spec)
  for (let number = 0; number < (known?.spec.replicas ?? 0); number++) numbers.add(number)
  for (const { message } of state.view.store.placements(service)) numbers.add(message.number)
  for (const { message } of state.view.parentStore()?.placements(service) ?? []) {
    if (message.child === state.domain) numbers.add(message.number)
  }
  for (const { message } of state.view.store.instances(service)) {
    if (message.live && message.domain === state.domain) numbers.add(message.number)
  }
  return [...numbers].sort((a, b) => a - b).map((number) => instanceKey(service, number))
}

/** Every instance that the domain may have to do with. */
export function allKeys(state: SchedulerState, children: Iterable<ChildId>): ReadonlySet<InstanceKey> {
  const { view, domain, work } = state
  const services = new Set<ServiceId>()
  for (const { message } of view.store.specs()) services.add(message.service)
  for (const { message } of view.parentStore()?.placedOn(domain) ?? []) services.add(message.service)
  for (const child of children) for (const { message } of view.store.placedOn(child)) services.add(message.service)
  for (const { message } of view.store.allInstances()) {
    if (message.live && message.domain === domain) services.add(message.service)
  }
  const keys = new Set<InstanceKey>(work.keys())
  for (const service of services) for (const key of keysOfService(state, service)) keys.add(key)
  return keys
}

/** Whether a service of this name was submitted to the domain itself, so that the parent's cannot live here. */
export function isNameTaken(state: SchedulerState, service: ServiceId): boolean {
  const own = state.view.store.spec(service)?.message
  return own !== undefined && own.spec !== null
}
