// Where a service answers, read from its records. An instance counts when its own node says that it runs and a placement says that it
// shall; where two nodes claim one number (one of them is gone, or a migration is under way) the later order wins.

import type { DomainPath, NodeId, ServiceId } from '../overlay/kernel/ids.ts'
import {
  compareFences,
  type Endpoint,
  type Fence,
  isInstance,
  isPlacedHere,
  isPlacement,
  type SealedRecord,
} from '../services-registry/index.ts'

export interface LiveEndpoint {
  readonly service: ServiceId
  readonly number: number
  readonly node: NodeId
  readonly domain: DomainPath
  readonly endpoint: Endpoint
  readonly fence: Fence
  /** Since when it runs, by its node's wall clock. */
  readonly since: number
}

/** The instances that take calls, by number; `isGone` leaves out nodes that are known to be dead. */
export function endpointsOf(
  records: readonly SealedRecord[],
  isGone: (node: NodeId) => boolean,
): readonly LiveEndpoint[] {
  const placements = records.filter(isPlacement)
  // One copy of an instance may be in several stores; of one node the later word counts.
  const found = new Map<string, LiveEndpoint>()
  for (const record of records) {
    if (!isInstance(record) || isGone(record.from)) continue
    const { service, number, domain, state, endpoint, fence, since, live } = record.message
    if (!live || state !== 'running' || endpoint === null) continue
    if (!placements.some((placement) => isPlacedHere(placement, record))) continue
    const one = { service, number, node: record.from, domain, endpoint, fence, since }
    const known = found.get(`${number} ${record.from}`)
    if (known === undefined || isLater(one, known)) found.set(`${number} ${record.from}`, one)
  }
  const all = [...found.values()]
  return all.filter((one) => !all.some((other) => isLater(other, one))).sort((a, b) => a.number - b.number)
}

/** Fences of two clusters do not compare, the times of two clocks barely; within a cluster the fence decides. */
function isLater(a: LiveEndpoint, b: LiveEndpoint): boolean {
  if (a.number !== b.number) return false
  const byFence = a.domain === b.domain ? compareFences(a.fence, b.fence) : 0
  return (byFence || a.since - b.since || (a.node > b.node ? 1 : 0)) > 0
}
