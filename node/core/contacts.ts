// Whom the other parts of a federation know of a cluster, and whom a node calls where a part has fallen silent. If only
// leaders knew each other, two that end at once would take with them all that their clusters know of one another.

import { chainOf, type DomainPath, isWithin, type NodeId, parentOf } from '../../overlay/kernel/ids.ts'
import type { MembershipMessage } from '../../overlay/membership/index.ts'
import type { Opened } from '../../overlay/wire/envelope.ts'

export type SealedStatement = Opened<Extract<MembershipMessage, { readonly kind: 'membership/member' }>>

/** Electors of its own cluster that a node tells strangers of besides itself, and clusters of its part. A guess. */
export const CONTACTS_MAX = 3
/** Members of one silent part that are called at a time, the latest that was heard of first. A guess. */
export const CALLED_MAX = 8

/** The part of the federation that a cluster belongs to in the eyes of another: the largest domain without that. */
export function partOf(cluster: DomainPath, seenFrom: DomainPath): DomainPath {
  let part = cluster
  for (const domain of chainOf(cluster)) {
    if (isWithin(seenFrom, domain)) break
    part = domain
  }
  return part
}

/** Of other clusters in the part that a cluster belongs to in the eyes of a stranger, somebody each. */
export function othersOfPart(
  own: DomainPath,
  stranger: DomainPath,
  acquaintances: Iterable<SealedStatement>,
): readonly SealedStatement[] {
  const part = partOf(own, stranger)
  const others = new Map<DomainPath, SealedStatement>()
  for (const statement of acquaintances) {
    const { domain } = statement.message
    if (isWithin(domain, part) && domain !== own) others.set(domain, statement)
  }
  return [...others.values()].slice(-CONTACTS_MAX)
}

/** Whom to call in parts that this node sits in a domain with and is connected to nobody of. */
export function calledInSilentParts(
  own: DomainPath,
  seats: readonly DomainPath[],
  met: Iterable<DomainPath>,
  acquaintances: Iterable<SealedStatement>,
): readonly NodeId[] {
  const heard = new Set([...met].map((domain) => partOf(domain, own)))
  const called = new Map<DomainPath, NodeId[]>()
  for (const { from, message } of acquaintances) {
    const part = partOf(message.domain, own)
    const above = parentOf(part)
    if (heard.has(part) || above === null || !seats.includes(above)) continue
    called.set(part, [...(called.get(part) ?? []).slice(1 - CALLED_MAX), from])
  }
  return [...called.values()].flat()
}
