// Who keeps the records of a domain (DESIGN section 8): every node of a cluster, and above it the electors below.

import { isElector, type LeaderBookView } from '../../election/index.ts'
import { chainOf, childTowards, type DomainPath, isWithin, type NodeId } from '../../overlay/kernel/ids.ts'
import type { Hierarchy } from './seats.ts'

/**
 * Whether this node holds the records of a domain: in a cluster everybody does, and above it the electors of each
 * cluster on whose vote the domain depends, at first or second hand. So no record lives on one device only, however
 * few domains there are on the way.
 */
export function holdsStoreOf(
  hierarchy: Hierarchy,
  book: LeaderBookView,
  domain: DomainPath,
  cluster: DomainPath,
): boolean {
  if (domain === cluster) return true
  const own = hierarchy.seatIn(cluster)
  if (own === null || !isElector(own.state)) return false
  const between = chainOf(cluster).filter((one) => one !== cluster && one !== domain && isWithin(one, domain))
  return between.every((above) => {
    const seat = hierarchy.seatIn(above)
    if (seat !== null) return isElector(seat.state)
    const child = childTowards(above, cluster, '' as NodeId)
    return book.leaderOf(above)?.announcement.electors.includes(child) ?? false
  })
}
