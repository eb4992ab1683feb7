// A store as everyone else sees it: to look into, never to change. Deletions are in it, because who orders the next
// version has to know the last; `isTombstone` tells them apart.

import type { ChildId, DomainPath, ServiceId } from '../overlay/kernel/ids.ts'
import { childTowards, isWithin } from '../overlay/kernel/ids.ts'
import type { InstanceRecord, PlacementRecord, SealedRecord, SpecRecord } from './record.ts'

export interface StoreView {
  readonly domain: DomainPath
  /** A record by its `recordKey`; null when there is none, or none any more. */
  get(key: string): SealedRecord | null
  /** What is wanted of a service; its `spec` is null while the removal is remembered. */
  spec(service: ServiceId): SealedRecord<SpecRecord> | null
  specs(): Iterable<SealedRecord<SpecRecord>>
  /** By number, lowest first; those with `child` null were withdrawn. */
  placements(service: ServiceId): readonly SealedRecord<PlacementRecord>[]
  placement(service: ServiceId, number: number): SealedRecord<PlacementRecord> | null
  /** By number, then by node; those with `live` false are over. */
  instances(service: ServiceId): readonly SealedRecord<InstanceRecord>[]
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
  const { domain, service, number, child, previous } = placement.message
  if (service !== instance.message.service || number !== instance.message.number) return null
  if (child === null || !isWithin(instance.message.domain, domain)) return null
  const here = childTowards(domain, instance.message.domain, instance.from)
  if (here === child) return 'child'
  return here === previous ? 'previous' : null
}

export const isPlacedHere = (
  placement: SealedRecord<PlacementRecord>,
  instance: SealedRecord<InstanceRecord>,
): boolean => placedAs(placement, instance) !== null
