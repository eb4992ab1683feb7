// The children of a domain that are domains themselves, as their leaders' announcements show them: what the roster is
// for a cluster.

import type { Announcement, ChildFact, ElectionTiming, LeaderBookView } from '../../election/index.ts'
import { type DomainPath, type NodeId, parentOf } from '../../overlay/kernel/ids.ts'
import type { Millis } from '../../overlay/kernel/time.ts'

/** Announcements that a child domain may miss before it no longer counts as alive. */
const ANNOUNCEMENTS_MISSED_MAX = 3

export interface ChildDomains {
  /** A leader of the domain was proven. */
  onProven(domain: DomainPath, now: Millis): void
  /** What is known of each; `own` is the one that this node speaks for. */
  factsIn(parent: DomainPath, own: DomainPath, now: Millis): readonly ChildFact[]
  /** Those that a node speaks for. */
  spokenForBy(peer: NodeId, parent: DomainPath): readonly DomainPath[]
}

export function createChildDomains(
  book: LeaderBookView,
  timing: ElectionTiming,
  face: () => Pick<Announcement, 'fitness'>,
): ChildDomains {
  /** When each was proven last, and since when without a break in which it would not have counted as alive. */
  const proven = new Map<DomainPath, { readonly at: Millis; readonly since: Millis }>()
  const patienceMs = ANNOUNCEMENTS_MISSED_MAX * timing.announceMs
  const childrenOf = (parent: DomainPath): readonly DomainPath[] =>
    [...book.domains()].filter((domain) => parentOf(domain) === parent)
  return {
    onProven: (domain, now) => {
      const before = proven.get(domain)
      const isUnbroken = before !== undefined && now - before.at < patienceMs
      proven.set(domain, { at: now, since: isUnbroken ? before.since : now })
    },
    factsIn: (parent, own, now) =>
      childrenOf(parent).flatMap((child): ChildFact[] => {
        const known = book.leaderOf(child)
        if (known === null) return []
        const isOwn = child === own
        const alive = isOwn || now - known.heardAt < patienceMs
        const steadySince = proven.get(child)?.since ?? now
        const fitness = isOwn ? face().fitness : known.announcement.fitness
        return [{ child, alive, steadySince, fitness, canLead: true }]
      }),
    spokenForBy: (peer, parent) => childrenOf(parent).filter((child) => book.nodeOf(child) === peer),
  }
}
