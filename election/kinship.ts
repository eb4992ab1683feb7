// Whether two proofs of leadership belong to one succession, by the electors that they name. A proof names its electors
// itself, so who was not there at the time believes it only next to another one that it knows.

import type { ChildId } from '../overlay/kernel/ids.ts'
import type { Opened } from '../overlay/wire/envelope.ts'
import type { Announcement } from './messages.ts'
import { compareTerms, majorityOf } from './register.ts'

/**
 * Proofs on the way back to a former leader at most; each is compared with all that are kept. A guess: with each step
 * a majority of the electors may be others.
 */
const WAY_BACK_MAX = 16

/**
 * Whether a former leader's proof belongs to a succession that is known. Who names only itself as elector needs no
 * other vote: so its electors have to be those of a proof that is kept, but for one, or one of the two must hold a
 * majority of the other's. Without it any member could have led in a term that nobody remembers, and order in it.
 */
export function isKinOfOne(former: Announcement, kept: Iterable<Opened<Announcement>>): boolean {
  for (const { message } of kept) if (areKin(former, message)) return true
  return false
}

/**
 * The proofs by which who believes the newest comes to believe a former one: each kin of the one before, the former
 * one last. Where no such way is found the former one alone, since the hearer may know more.
 */
export function wayBack(
  newest: Opened<Announcement>,
  former: Opened<Announcement>,
  kept: Iterable<Opened<Announcement>>,
): readonly Opened<Announcement>[] {
  const later = [...kept].filter(({ message }) => compareTerms(message, former.message) > 0)
  const ways = new Map([[newest, [] as readonly Opened<Announcement>[]]])
  const open = [newest]
  for (let looks = 0; looks < WAY_BACK_MAX && open.length > 0; looks++) {
    // The one nearest to the former leader first.
    open.sort((a, b) => compareTerms(b.message, a.message))
    const here = open.pop() as Opened<Announcement>
    const way = ways.get(here) ?? []
    if (areKin(here.message, former.message)) return [...way, former]
    for (const next of later) {
      if (ways.has(next) || !areKin(here.message, next.message)) continue
      ways.set(next, [...way, next])
      open.push(next)
    }
  }
  return [former]
}

const areKin = (one: Announcement, other: Announcement): boolean =>
  one.line === other.line &&
  (isNextTo(one, other) || hasMajorityOf(other, one.electors) || hasMajorityOf(one, other.electors))

/** Whether one elector more or less is all that lies between two sets. */
export function isNextTo(one: Announcement, other: Announcement): boolean {
  const added = one.electors.filter((child) => !other.electors.includes(child))
  const removed = other.electors.filter((child) => !one.electors.includes(child))
  return added.length + removed.length <= 1
}

/** Whether the votes that an announcement shows are those of a majority of some electors. */
export function hasMajorityOf(announcement: Announcement, electors: readonly ChildId[]): boolean {
  const voters = announcement.votes.map((vote) => vote.message.voter)
  return electors.filter((child) => voters.includes(child)).length >= majorityOf(electors.length)
}
