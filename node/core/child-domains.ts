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
  const firstProvenAt = new Map<DomainPath, Millis>()
  const childrenOf = (parent: DomainPath): readonly DomainPath[] =>
    [...book.domains()].filter((domain) => parentOf(domain) === parent)
  return {
    onProven: (domain, now) => {
      if (!firstProvenAt.has(domain)) firstProvenAt.set(domain, now)
    },
    factsIn: (parent, own, now) =>
      childrenOf(parent).flatMap((child): ChildFact[] => {
        const known = book.leaderOf(child)
        if (known === null) return []
        const isOwn = child === own
        const alive = isOwn || now - known.heardAt < ANNOUNCEMENTS_MISSED_MAX * timing.announceMs
        const steadySince = firstProvenAt.get(child) ?? now
        const fitness = isOwn ? face().fitness : known.announcement.fitness
        return [{ child, alive, steadySince, fitness, canLead: true }]
      }),
    spokenForBy: (peer, parent) => childrenOf(parent).filter((child) => book.nodeOf(child) === peer),
  }
}
