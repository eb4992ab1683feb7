// Who watches whom. Everyone stands on four rings, in an order of its own on each; on each ring the next one watches
// you. So nobody hands out duties, a change moves few of them, and the watchers of two nodes are seldom the same (an
// expander). After Rapid (Suresh et al., ATC'18, expander-based monitoring), but with distinct watchers: a ring's
// next that is taken is passed over.

import type { NodeId } from '../kernel/ids.ts'
import { WATCHERS_PER_NODE } from './constants.ts'

interface Seat {
  readonly hash: number
  readonly node: NodeId
}

/** The rings of one set of nodes; derived, never stored. */
export interface Rings {
  /** By their ids, so that where no rings are needed all members count the same watchers in the same order. */
  readonly members: readonly NodeId[]
  readonly seats: readonly (readonly Seat[])[]
}

export function buildRings(nodes: Iterable<NodeId>): Rings {
  const members = [...nodes].sort()
  const seats = Array.from({ length: ringsFor(members.length) }, (_, ring) =>
    members.map((node) => seatOn(ring, node)).sort(compareSeats),
  )
  return { members, seats }
}

/**
 * What `buildRings` makes of the members of before without and with one: in a cluster of hundreds that all join at
 * once everybody does this for each of them.
 */
export function updateRings(before: Rings, node: NodeId, isMember: boolean): Rings {
  const at = indexIn(before.members, node, (a, b) => (a < b ? -1 : a > b ? 1 : 0))
  if ((before.members[at] === node) === isMember) return before
  const members = isMember ? before.members.toSpliced(at, 0, node) : before.members.toSpliced(at, 1)
  if (before.seats.length !== ringsFor(members.length)) return buildRings(members)
  const seats = before.seats.map((ring, index) => {
    const seat = seatOn(index, node)
    const place = indexIn(ring, seat, compareSeats)
    return isMember ? ring.toSpliced(place, 0, seat) : ring.toSpliced(place, 1)
  })
  return { members, seats }
}

/** With so few that everybody watches everybody, no ring is needed. */
const ringsFor = (members: number): number => (members > WATCHERS_PER_NODE + 1 ? WATCHERS_PER_NODE : 0)

const seatOn = (ring: number, node: NodeId): Seat => ({ hash: hashText(node, ring + 1), node })

/**
 * The members that watch `subject`, itself a member or not: at most WATCHERS_PER_NODE, all others when there are that
 * few.
 */
export function watchersIn(rings: Rings, subject: NodeId): readonly NodeId[] {
  // Five members watch a sixth that is gone: everybody is one more than usual, and as good.
  if (rings.seats.length === 0) return rings.members.filter((node) => node !== subject)
  const chosen: NodeId[] = []
  rings.seats.forEach((seats, ring) => {
    const start = firstAfter(seats, { hash: hashText(subject, ring + 1), node: subject })
    for (let step = 0; step < seats.length; step++) {
      const seat = seats[(start + step) % seats.length]
      if (seat === undefined || seat.node === subject || chosen.includes(seat.node)) continue
      chosen.push(seat.node)
      break
    }
  })
  return chosen
}

/**
 * Whom `watcher` watches, among the members and those `others` that are none. On the first ring it is the next one of
 * whoever stands right before it; on each further ring one more may have been passed over.
 */
export function watchedIn(rings: Rings, others: Iterable<NodeId>, watcher: NodeId): readonly NodeId[] {
  const near = new Set<NodeId>(rings.seats.length === 0 ? rings.members : [])
  rings.seats.forEach((seats, ring) => {
    const place = indexIn(seats, seatOn(ring, watcher), compareSeats)
    for (let back = 1; back <= ring + 1; back++) near.add((seats.at((place - back) % seats.length) as Seat).node)
  })
  for (const node of others) near.add(node)
  return [...near].filter((subject) => subject !== watcher && watchersIn(rings, subject).includes(watcher))
}

/**
 * FNV-1a over the UTF-16 units, finished like MurmurHash3 so that texts that differ in their end land far apart; a
 * whole number below 2^32. Not cryptographic: who makes keys until one lands beside a victim gains one watcher of
 * four.
 */
export function hashText(text: string, seed: number): number {
  let hash = (0x811c9dc5 ^ Math.imul(seed, 0x9e3779b9)) | 0
  for (let index = 0; index < text.length; index++) hash = Math.imul(hash ^ text.charCodeAt(index), 0x01000193)
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35)
  return (hash ^ (hash >>> 16)) >>> 0
}

const compareSeats = (a: Seat, b: Seat): number => a.hash - b.hash || (a.node < b.node ? -1 : a.node > b.node ? 1 : 0)

/** The index of the first seat after `seat`; the length of the ring where there is none. */
function firstAfter(seats: readonly Seat[], seat: Seat): number {
  const at = indexIn(seats, seat, compareSeats)
  const there = seats[at]
  return there !== undefined && compareSeats(there, seat) === 0 ? at + 1 : at
}

/** The index of an item in a sorted list, or where it would stand, by bisection. */
function indexIn<T>(sorted: readonly T[], item: T, compare: (a: T, b: T) => number): number {
  let low = 0
  let high = sorted.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if (compare(sorted[middle] as T, item) < 0) low = middle + 1
    else high = middle
  }
  return low
}
