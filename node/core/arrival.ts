// When a newcomer may take its seat in the cluster, from which it would found the cluster's first line if it heard of
// none. That nothing was heard proves nothing where nobody who would know has spoken: on a crowded machine members
// stand still for seconds, with their connections open. So it waits until one has spoken.

import type { LeaderBookView } from '../../election/index.ts'
import { chainOf, type DomainPath, type NodeId } from '../../overlay/kernel/ids.ts'
import type { Millis } from '../../overlay/kernel/time.ts'

export interface Arrival {
  /** A member said something over its own connection; null where others may have handed it on. */
  onHeard(peer: NodeId | null, now: Millis): void
  onClosed(peer: NodeId): void
  /** Whether it is known what there is to know: it may wait for a line in its seat, and found one. */
  isOver(now: Millis): boolean
  wakeAt(): Millis | null
}

/**
 * Over once the cluster has a leader, or the leader of the nearest domain above that has one has spoken: it hears of
 * all its children, and tells whoever connects. Who hears only members that know no leader either gives up after
 * `patienceMs`, and so does who hears only what is handed on: members that took no notice of its last start say nothing
 * to it. Who hears nobody at all waits on.
 */
export function createArrival(book: LeaderBookView, cluster: DomainPath, patienceMs: Millis): Arrival {
  const heard = new Set<NodeId>()
  let givenUpAt: Millis | null = null

  const hasSpoken = (domain: DomainPath): boolean => {
    const leader = book.leaderOf(domain)
    return leader !== null && (domain === cluster || heard.has(leader.announcement.node))
  }

  return {
    onHeard: (peer, now) => {
      if (peer !== null) heard.add(peer)
      givenUpAt ??= now + patienceMs
    },
    onClosed: (peer) => void heard.delete(peer),
    isOver: (now) => {
      const nearest = chainOf(cluster).find((domain) => book.leaderOf(domain) !== null)
      return (nearest !== undefined && hasSpoken(nearest)) || (givenUpAt !== null && now >= givenUpAt)
    },
    wakeAt: () => givenUpAt,
  }
}
