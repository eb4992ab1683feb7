// What a placement tells a node to run, and whose it is: the placement itself only says which service.

import type { InstanceKey, OperatorId } from '../overlay/kernel/ids.ts'
import { compareClocks, type PlacementRecord } from '../services-registry/record.ts'
import { decodeSpec, type ServiceSpec } from './spec.ts'
import type { WorkerTurn } from './worker-state.ts'

export interface Described {
  readonly bytes: Uint8Array
  readonly spec: ServiceSpec
  readonly owner: OperatorId | null
  /** Whether room was kept for it. */
  readonly isReserved: boolean
}

/** What a placement is to run: from the offer, from what runs already, or from the cluster's own store. */
export function describedBy(turn: WorkerTurn, placed: PlacementRecord): Described | null {
  const { instances, reservations, view } = turn.state
  const key = `${placed.service}#${placed.number}` as InstanceKey
  const isMeant = (clock: PlacementRecord['specClock']): boolean => compareClocks(clock, placed.specClock) === 0
  const reservation = reservations.get(key)
  if (reservation !== undefined && isMeant(reservation.specClock)) return { ...reservation, isReserved: true }
  const managed = instances.get(key)
  if (managed !== undefined && isMeant(managed.obeys.specClock)) return { ...managed, isReserved: false }
  const sealed = view.store.spec(placed.service)
  const record = sealed?.message ?? null
  if (sealed === null || record === null || record.spec === null || !isMeant(record.clock)) return null
  const decoded = decodeSpec(record.spec)
  if (!decoded.ok) return null
  return { bytes: record.spec, spec: decoded.value, owner: sealed.signer.operator, isReserved: false }
}
