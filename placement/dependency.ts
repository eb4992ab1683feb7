// A service that depends on others is not started before they run. Once it was started their failures are its own
// affair: nothing is stopped because of them.

import { type InstanceKey, instanceKey, type ServiceId } from '../overlay/kernel/ids.ts'
import { isPlacedHere } from '../services-registry/view.ts'
import { placementOf, type Wish } from './desire.ts'
import { toPending } from './negotiation.ts'
import { outcomeOf } from './outcome.ts'
import { isServing } from './pace.ts'
import { type SchedulerState, show, type Turn } from './scheduler-state.ts'
import type { ServiceSpec } from './spec.ts'
import { targetOf } from './versions.ts'

/** What a service waits for before its first start, in words; null when it may begin. */
export function waitsFor(state: SchedulerState, spec: ServiceSpec): string | null {
  const waits = spec.dependsOn.flatMap((service) => problemOf(state, service) ?? [])
  return waits.length === 0 ? null : `waits for ${waits.join(', ')}`
}

function problemOf(state: SchedulerState, service: ServiceId): string | null {
  const target = targetOf(state, service)
  if (target === null) return `${service}, which is not there`
  const { spec } = target.known
  const wanted = spec.kind === 'daemon' ? (state.slots.get(service)?.size ?? 1) : spec.replicas
  const numbers = spec.kind === 'daemon' ? [...(state.slots.get(service)?.values() ?? [])] : [...Array(wanted).keys()]
  const ready = numbers.filter((number) => isReady(state, service, number, spec)).length
  if (ready >= wanted) return null
  return `${service} (${ready} of ${wanted} ${spec.kind === 'job' ? 'are done' : 'run'})`
}

function isReady(state: SchedulerState, service: ServiceId, number: number, spec: ServiceSpec): boolean {
  const { store } = state.view
  const placed = placementOf(state, instanceKey(service, number))
  if (placed === null || placed.child === null) return false
  if (spec.kind === 'job') return outcomeOf(store, placed) === 'done'
  const shown = store.placement(service, number)
  if (shown === null) return false
  const said = shown.message.each === true ? store.instances(service) : store.instancesOf(service, number)
  return said.some((one) => isPlacedHere(shown, one) && isServing(one.message, spec))
}

/** What it depends on does not run yet; a change of that is looked at when it comes. */
export function awaitOthers(
  turn: Turn,
  key: InstanceKey,
  wish: Wish & { readonly kind: 'wanted' },
  waits: string,
): void {
  const phase = turn.state.work.get(key)?.phase
  const isWaiting = phase?.kind === 'pending' && phase.retryAt > turn.context.now
  if (!isWaiting) toPending(turn, key, wish.known, waits)
  show(turn, key, waits)
}
