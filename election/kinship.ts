// Whether two proofs of leadership belong to one succession, by the electors that they name. A proof names its electors
// itself, so who was not there at the time believes it only next to another one that it knows.

import type { ChildId } from '../overlay/kernel/ids.ts'
import type { Opened } from '../overlay/wire/envelope.ts'
import type { Announcement } from './messages.ts'
import { majorityOf } from './register.ts'

/**
 * Whether a former leader's proof belongs to a succession that is known. Who names only itself as elector needs no
 * other vote: so its electors have to be those of a proof that is kept, but for one, or one of the two must hold a
 * majority of the other's. Without it any member could have led in a term that nobody remembers, and order in it.
 */
export function isKinOfOne(former: Announcement, kept: Iterable<Opened<Announcement>>): boolean {
  for (const { message } of kept) if (areKin(former, message)) return true
  return false
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
