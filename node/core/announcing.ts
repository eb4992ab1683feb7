// Who is told that a leader leads. Its own domain hears it again and again, as a sign of life, and so does who votes
// in the parent, by hand; everybody else below the parent needs it only to find the way there, and hears what is new.
// In a federation of a hundred clusters the signs of life of all for all would be most of the traffic.

import { type Announcement, ELECTION_TIMINGS, type ElectionTiming, type LeaderBookView } from '../../election/index.ts'
import { invariant } from '../../overlay/kernel/assert.ts'
import type { DomainEvent } from '../../overlay/kernel/effect.ts'
import { type DomainPath, isDomain, type NodeId, parentOf } from '../../overlay/kernel/ids.ts'
import type { Millis } from '../../overlay/kernel/time.ts'
import type { Opened } from '../../overlay/wire/envelope.ts'
import type { CoreEffect, Topic } from './effects.ts'

/**
 * Everybody is told again with each so many announcements, since gossip loses: more often than the patience runs out
 * with which they hold on to a leader they hear nothing of.
 */
export const RETOLD_EVERY = 7
/**
 * Of many children nobody is told again more often than this, in all; but of each of them within the patience. A guess:
 * what three heartbeats of an elector cost in the same time. Who misses it once holds on to that leader all the same,
 * but would for a while believe another one of no kin.
 */
const RETOLD_INTERVAL_MS: Millis = 3_000
/** The part of the patience after which each child is told of again. */
const RETOLD_WITHIN = 0.9

for (const { announceMs, quorumLossMs } of Object.values(ELECTION_TIMINGS)) {
  invariant(RETOLD_EVERY * announceMs < quorumLossMs.above, 'a leader is told again while it is believed')
}

/** With each how many announcements everybody is told again, where the parent has so many children. */
export function retoldEvery(children: number, { announceMs, quorumLossMs }: ElectionTiming): number {
  const most = Math.max(RETOLD_EVERY, Math.floor((quorumLossMs.above * RETOLD_WITHIN) / announceMs))
  return Math.min(most, Math.max(RETOLD_EVERY, Math.ceil((children * RETOLD_INTERVAL_MS) / announceMs)))
}

export interface Announcer {
  /** The topics for an announcement of this node's, which remembers what it told everybody last. */
  topicsFor(message: Announcement): readonly Topic[]
  /** Shows it by hand to who needs it, once it is sealed. */
  handed(opened: Opened<Announcement>): readonly CoreEffect[]
}

export function createAnnouncer(self: NodeId, book: LeaderBookView, timing: ElectionTiming): Announcer {
  const told = new Map<DomainPath, Announcement>()
  /** The latest, whoever heard it. */
  const said = new Map<DomainPath, Announcement>()

  const siblingsOf = (parent: DomainPath): number =>
    [...book.domains()].filter((domain) => parentOf(domain) === parent).length

  /** Those who speak for the electors of a domain; null where nobody knows them. */
  const votersIn = (parent: DomainPath): readonly NodeId[] | null => {
    const electors = book.leaderOf(parent)?.announcement.electors
    if (electors === undefined) return null
    const speakers = electors.map((child) => (isDomain(child) ? book.nodeOf(child) : null))
    return [...new Set(speakers.filter((node) => node !== null && node !== self))] as NodeId[]
  }

  return {
    topicsFor: (message) => {
      const { domain } = message
      const parent = parentOf(domain)
      const own: Topic = { domain, topic: 'leader' }
      if (parent === null) return [own]
      const before = told.get(domain)
      const retoldWith = retoldEvery(siblingsOf(parent), timing)
      const isSteady = said.get(domain)?.electors.join() === message.electors.join()
      const isForAll = message.established && (before === undefined || isNews(before, message, isSteady, retoldWith))
      said.set(domain, message)
      if (isForAll) told.set(domain, message)
      if (isForAll) return [own, { domain: parent, topic: 'leader' }]
      // Who has a seat in the parent follows its summaries.
      return votersIn(parent) === null ? [own, { domain: parent, topic: 'summary' }] : [own]
    },
    handed: (opened) => {
      const { domain, sequence } = opened.message
      const parent = parentOf(domain)
      const isTold = told.get(domain)?.sequence === sequence
      const voters = parent === null || isTold ? null : votersIn(parent)
      return (voters ?? []).map((to) => ({
        kind: 'send',
        to,
        message: { kind: 'election/proof', announcement: opened },
      }))
    },
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

/**
 * Who may give no order yet is no news for those who only look for the way. Electors come one after the other: they
 * hear of them once no more came since the announcement before.
 */
const isNews = (before: Announcement, after: Announcement, isSteady: boolean, retoldWith: number): boolean =>
  after.sequence >= before.sequence + retoldWith ||
  after.sequence < before.sequence ||
  after.line !== before.line ||
  after.epoch !== before.epoch ||
  after.term !== before.term ||
  (isSteady && after.electors.join() !== before.electors.join()) ||
  after.addresses.join() !== before.addresses.join() ||
  JSON.stringify(after.grants) !== JSON.stringify(before.grants)
