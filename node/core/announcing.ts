// Who is told that a leader leads. Its own domain and whoever deals with its siblings hear it again and again, as a
// sign of life; everybody else below the parent needs it only to find the way there, and hears what is new. In a
// federation of a hundred clusters the signs of life of all for all would be most of the traffic.

import { type Announcement, ELECTION_TIMINGS } from '../../election/index.ts'
import { invariant } from '../../overlay/kernel/assert.ts'
import type { DomainEvent } from '../../overlay/kernel/effect.ts'
import { type DomainPath, parentOf } from '../../overlay/kernel/ids.ts'
import type { Topic } from './effects.ts'

/**
 * Everybody is told again with each so many announcements, since gossip loses: more often than the patience runs out
 * with which they hold on to a leader they hear nothing of.
 */
export const RETOLD_EVERY = 7

for (const { announceMs, quorumLossMs } of Object.values(ELECTION_TIMINGS)) {
  invariant(RETOLD_EVERY * announceMs < quorumLossMs.above, 'a leader is told again while it is believed')
}

/** The topics for an announcement of this node's, which remembers what it told everybody last. */
export function createAnnouncer(): (message: Announcement) => readonly Topic[] {
  const told = new Map<DomainPath, Announcement>()
  return (message) => {
    const { domain } = message
    const parent = parentOf(domain)
    const own: Topic = { domain, topic: 'leader' }
    if (parent === null) return [own]
    const before = told.get(domain)
    const isForAll = before === undefined || isNews(before, message)
    if (isForAll) told.set(domain, message)
    // Who has a seat in the parent follows its summaries: the leaders of all its children.
    return [own, { domain: parent, topic: isForAll ? 'leader' : 'summary' }]
  }
}

/** What an event tells of a leader. */
export const leaderFields = ({ node, name, epoch, term, electors }: Announcement): DomainEvent['fields'] => ({
  leader: node,
  name,
  epoch,
  term,
  electors: electors.length,
})

const isNews = (before: Announcement, after: Announcement): boolean =>
  after.sequence >= before.sequence + RETOLD_EVERY ||
  after.sequence < before.sequence ||
  after.line !== before.line ||
  after.epoch !== before.epoch ||
  after.established !== before.established ||
  after.term !== before.term ||
  after.electors.join() !== before.electors.join() ||
  after.addresses.join() !== before.addresses.join() ||
  JSON.stringify(after.grants) !== JSON.stringify(before.grants)
