// For the tests of this folder only: a device of the fleet, and what each must keep at every step.

import { type DomainPath, type NodeId, ROOT } from '../overlay/kernel/ids.ts'
import type { RecordTable } from '../services-registry/table.ts'
import type { TestDriver } from './driver-harness.ts'
import type { Inventory } from './inventory.ts'
import type { Script } from './placement-fixtures.ts'
import type { SchedulerState } from './scheduler-state.ts'
import type { NodeSummary } from './summary.ts'
import type { ChildrenView } from './view.ts'
import { workerUse } from './worker.ts'
import type { WorkerState } from './worker-state.ts'

export interface Device {
  readonly id: NodeId
  readonly domain: DomainPath
  isUp: boolean
  downSince: number
  incarnation: number
  sequence: number
  summary: NodeSummary
  readonly stores: Map<DomainPath, RecordTable>
  readonly inventories: Map<DomainPath, Inventory>
  readonly disk: Map<string, Uint8Array>
  readonly driver: TestDriver
  schedulers: Map<DomainPath, SchedulerState>
  worker: WorkerState
}

export interface FleetOptions {
  readonly seed?: number
  readonly loss?: number
  readonly clusters?: readonly DomainPath[]
  readonly nodesPerCluster?: number
  readonly summary?: Partial<NodeSummary>
  /** How an instance behaves when it is started; runs by default. */
  readonly script?: Script
}

/** No device promises more than it has. */
export function checkRoom({ id, worker: state, summary }: Device): void {
  const { reserved } = workerUse(state)
  const isTooMuch = reserved.vcpus > summary.cores + 1e-6 || reserved.memoryMb > summary.memoryMb.total
  if (isTooMuch) throw new Error(`${id} promised ${reserved.vcpus} cores and ${reserved.memoryMb} MB`)
}

/** How long after its power is cut a device counts as dead. */
export const DEAD_AFTER_MS = 500

/** The nodes of a cluster, or the clusters below the root. */
export function childrenOf(domain: DomainPath, devices: readonly Device[], now: number): ChildrenView {
  if (domain === ROOT) {
    const clusters = [...new Set(devices.map((device) => device.domain))]
    return new Map(clusters.map((child) => [child, { child, alive: true, canWork: true }]))
  }
  const isAlive = (device: Device): boolean => device.isUp || now - device.downSince < DEAD_AFTER_MS
  const nodes = devices.filter((device) => device.domain === domain)
  return new Map(nodes.map((device) => [device.id, { child: device.id, alive: isAlive(device), canWork: true }]))
}
