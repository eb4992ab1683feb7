// A store as everyone else sees it: to look into, never to change. Deletions are in it, because who orders the next
// version has to know the last; `isTombstone` tells them apart.

import type { ChildId, DomainPath, ServiceId } from '../overlay/kernel/ids.ts'
import { childTowards, isWithin } from '../overlay/kernel/ids.ts'
import {
  CHILDREN_PER_NUMBER,
  type InstanceRecord,
  type PlacementRecord,
  type RolloutRecord,
  type SealedRecord,
  type SpecRecord,
} from './record.ts'

export interface StoreView {
  readonly domain: DomainPath
  /** A record by its `recordKey`; null when there is none, or none any more. */
  get(key: string): SealedRecord | null
  /** What is wanted of a service; its `spec` is null while the removal is remembered. */
  spec(service: ServiceId): SealedRecord<SpecRecord> | null
  specs(): Iterable<SealedRecord<SpecRecord>>
  /** How far the latest version has come; null where there was never but one. */
  rollout(service: ServiceId): SealedRecord<RolloutRecord> | null
  /** By number, lowest first; those with `child` null were withdrawn. */
  placements(service: ServiceId): readonly SealedRecord<PlacementRecord>[]
  placement(service: ServiceId, number: number): SealedRecord<PlacementRecord> | null
  /** By number, then by node; those with `live` false are over. */
  instances(service: ServiceId): readonly SealedRecord<InstanceRecord>[]
  /** What is said of one of them, by node. */
  instancesOf(service: ServiceId, number: number): readonly SealedRecord<InstanceRecord>[]
  allInstances(): Iterable<SealedRecord<InstanceRecord>>
  /** The placements that name this child, as the one that shall run it or as the one that does until then. */
  placedOn(child: ChildId): readonly SealedRecord<PlacementRecord>[]
}

/**
 * Whether an instance runs where a placement wants it: as the one that shall (`child`), or as the one that goes on
 * until that one runs (`previous`). An instance record alone says that a node runs something, not that it was told to:
 * who sends traffic asks for both.
 */
export function placedAs(
  placement: SealedRecord<PlacementRecord>,
  instance: SealedRecord<InstanceRecord>,
): 'child' | 'previous' | null {
  const { domain, service, child, previous } = placement.message
  if (service !== instance.message.service || !isNumberOf(placement.message, instance.message.number)) return null
  if (child === null || !isWithin(instance.message.domain, domain)) return null
  const here = childTowards(domain, instance.message.domain, instance.from)
  if (here === child) return 'child'
  return here === previous ? 'previous' : null
}

export const isPlacedHere = (
  placement: SealedRecord<PlacementRecord>,
  instance: SealedRecord<InstanceRecord>,
): boolean => placedAs(placement, instance) !== null

/**
 * Whether a placement is about the instance of that number: its own, or one of those below it. Numbers of daemons begin
 * at 1 above the clusters, so that every number has one line of numbers above it.
 */
export function isNumberOf({ number, each = false }: Pick<PlacementRecord, 'number' | 'each'>, one: number): boolean {
  if (!each) return number === one
  let above = one
  while (above > number) above = Math.floor(above / CHILDREN_PER_NUMBER)
  return above === number
}
