// Who watches whom. Everyone stands on two rings, in an order of its own on each; on each ring both neighbours watch
// you, and you watch them, so that a probe is a sign of life for both. Nobody hands out duties, a change moves few of
// them, and the watchers of two nodes are seldom the same (an expander). After Rapid (Suresh et al., ATC'18,
// expander-based monitoring), but with distinct watchers: a neighbour that is taken is passed over.

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
const ringsFor = (members: number): number => (members > WATCHERS_PER_NODE + 1 ? WATCHERS_PER_NODE / WAYS.length : 0)

/** Both ways round a ring: to the next one, and to the one before. */
const WAYS = [1, -1] as const

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
    const place = indexIn(seats, seatOn(ring, subject), compareSeats)
    const isThere = seats[place]?.node === subject
    for (const way of WAYS) {
      // Whoever is off the ring stands before the seat that has its place.
      const first = way === 1 && !isThere ? place : place + way
      for (let step = 0; step < seats.length; step++) {
        const { node } = seatAt(seats, first + way * step)
        if (node === subject || chosen.includes(node)) continue
        chosen.push(node)
        break
      }
    }
  })
  return chosen
}

/** Counted on around the ring, both ways. */
const seatAt = (seats: readonly Seat[], index: number): Seat => seats.at(index % seats.length) as Seat

/**
 * Whom `watcher` watches, among the members and those `others` that are none. It was the first choice of whoever stands
 * right before it on the first ring; for each further choice one more may have been passed over.
 */
export function watchedIn(rings: Rings, others: Iterable<NodeId>, watcher: NodeId): readonly NodeId[] {
  const near = new Set<NodeId>(rings.seats.length === 0 ? rings.members : [])
  rings.seats.forEach((seats, ring) => {
    const place = indexIn(seats, seatOn(ring, watcher), compareSeats)
    for (const [turn, way] of WAYS.entries()) {
      const passedOver = ring * WAYS.length + turn
      for (let back = 1; back <= passedOver + 1; back++) near.add(seatAt(seats, place - way * back).node)
    }
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
