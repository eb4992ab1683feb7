// Where a service answers, read from its records. An instance counts when its own node says that it runs and a
// placement says that it shall; where two nodes claim one number the one that it is moved to wins as soon as it runs,
// else the later order.

import type { DomainPath, NodeId, ServiceId } from '../overlay/kernel/ids.ts'
import {
  compareFences,
  type Endpoint,
  type Fence,
  isInstance,
  isPlacement,
  placedAs,
  type SealedRecord,
} from '../services-registry/index.ts'

/** A node's claim to run an instance. */
export interface Claim {
  readonly number: number
  readonly node: NodeId
  readonly domain: DomainPath
  readonly fence: Fence
  /** Since when it runs, by its node's wall clock. */
  readonly since: number
  /** Whether it is being moved away from there: it takes calls only until it runs elsewhere. */
  readonly isLeaving?: boolean
}

export interface LiveEndpoint extends Claim {
  readonly service: ServiceId
  readonly endpoint: Endpoint
  /** What its node calls itself, where it says so. */
  readonly nodeName: string | null
}

/** The instances that take calls, by number; `isGone` leaves out nodes that are known to be dead. */
export function endpointsOf(
  records: readonly SealedRecord[],
  isGone: (node: NodeId) => boolean,
): readonly LiveEndpoint[] {
  // Each call by name asks this, and a service may have a thousand of both: only what is of one number is compared.
  const placements = Map.groupBy(records.filter(isPlacement), ({ message: { each, number } }) =>
    each === true ? 'each' : number,
  )
  // One copy of an instance may be in several stores; of one node the later word counts.
  const found = new Map<string, LiveEndpoint>()
  for (const record of records) {
    if (!isInstance(record) || isGone(record.from)) continue
    const { service, number, domain, state, endpoint, fence, since, live, nodeName = null } = record.message
    if (!live || state !== 'running' || endpoint === null) continue
    const meant = [...(placements.get(number) ?? []), ...(placements.get('each') ?? [])]
    const roles = new Set(meant.map((placement) => placedAs(placement, record)))
    if (!roles.has('child') && !roles.has('previous')) continue
    const isLeaving = roles.has('previous')
    const one = { service, number, node: record.from, nodeName, domain, endpoint, fence, since, isLeaving }
    const known = found.get(`${number} ${record.from}`)
    if (known === undefined || supersedes(one, known)) found.set(`${number} ${record.from}`, one)
  }
  const claims = Map.groupBy(found.values(), ({ number }) => number)
  return [...claims.values()]
    .flatMap((all) => all.filter((one) => !all.some((other) => supersedes(other, one))))
    .sort((a, b) => a.number - b.number)
}

/** The instance of a number that runs on one node, whether or not another one is preferred by now. */
export const endpointOn = (records: readonly SealedRecord[], node: NodeId, number: number): LiveEndpoint | undefined =>
  endpointsOf(
    records.filter((record) => !isInstance(record) || record.from === node),
    () => false,
  ).find((one) => one.number === number)

/**
 * Whether `a` is the later claim to the same instance. Within a cluster the fence decides; those of two clusters do not
 * compare, so there it is the time, as well as two clocks can tell.
 */
export function supersedes(a: Claim, b: Claim): boolean {
  if (a.number !== b.number) return false
  if (a.isLeaving !== b.isLeaving) return b.isLeaving === true
  const byFence = a.domain === b.domain ? compareFences(a.fence, b.fence) : 0
  return (byFence || a.since - b.since || (a.node > b.node ? 1 : 0)) > 0
}
