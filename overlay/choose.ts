// Which instance a call goes to. A policy turns the candidates into an order: the first is the choice, the rest are
// who is tried when a dial fails before the first byte.

import type { Policy } from './address.ts'
import { unreachable } from './kernel/assert.ts'
import type { NodeId } from './kernel/ids.ts'
import { type Random, shuffled } from './kernel/random.ts'
import { hashText } from './membership/watchers.ts'

export interface Candidate {
  /** The instance's number. */
  readonly number: number
  readonly node: NodeId
  /** Measured or predicted round-trip time to the node in ms; null when unknown. */
  readonly rttMs: number | null
  /** Whether it runs on the calling node. */
  readonly isLocal: boolean
  /** Tunnels that this node holds open to it now. */
  readonly openTunnels: number
}

/** Who calls, and the chance that `random` draws from. */
export interface Calling {
  /** Tells callers apart, the same at each of its calls; empty where there is only one. */
  readonly caller: string
  readonly random: Random
}

/** What one caller remembers of one service. */
export interface ChoiceMemory {
  /** The number that the last call went to; null before the first. */
  readonly lastNumber: number | null
}

export const noMemory: ChoiceMemory = { lastNumber: null }

/** What is asked for: a policy and, for the policy `instance`, the number; a ServiceAddress is one. */
export interface Wish {
  readonly policy: Policy
  readonly instance: number | null
}

export interface Choice {
  /** Empty when no candidate fits. */
  readonly order: readonly Candidate[]
  /** To hand in at the caller's next call of this service. */
  readonly memory: ChoiceMemory
}

/**
 * Orders the candidates by policy:
 * - `rr`: the next number after the last one, round and round, whoever joined or left in between. Where a caller begins
 *   depends on who it is, so that many callers with one call each are spread as well;
 * - `closest`: the smallest round-trip time, this node's own first, unknown last; equals take turns as in `rr`;
 * - `instance`: that number and no other;
 * - `random`: each order as likely as any other;
 * - `least`: the fewest open tunnels; equals take turns;
 * - `sticky`: always the same number for a caller, by rendezvous hashing (Thaler and Ravishankar, 1998): when an
 *   instance goes, only its own callers move, and come back with it.
 */
export function choose(wish: Wish, candidates: readonly Candidate[], memory: ChoiceMemory, calling: Calling): Choice {
  const order = orderBy(wish, inTurn(candidates, memory, calling), calling)
  return { order, memory: { lastNumber: order[0]?.number ?? memory.lastNumber } }
}

function orderBy(wish: Wish, turns: readonly Candidate[], { caller, random }: Calling): readonly Candidate[] {
  switch (wish.policy) {
    case 'rr':
      return turns
    case 'closest':
      return turns.toSorted(byDistance)
    case 'instance':
      return turns.filter((candidate) => candidate.number === wish.instance).toSorted(byDistance)
    case 'random':
      return shuffled(random, turns)
    case 'least':
      return turns.toSorted((a, b) => a.openTunnels - b.openTunnels)
    case 'sticky': {
      const weight = ({ number }: Candidate): number => hashText(`${number} ${caller}`, STICKY_SEED)
      return turns.toSorted((a, b) => weight(b) - weight(a))
    }
    default:
      return unreachable(wish.policy)
  }
}

/** Any two that differ, so that where a caller's turn begins says nothing of where it sticks. */
const STICKY_SEED = 1
const START_SEED = 2

/** Rotates over the numbers. Two copies of one number (a migration) take one turn, the nearer first. */
function inTurn(
  candidates: readonly Candidate[],
  { lastNumber }: ChoiceMemory,
  { caller }: Calling,
): readonly Candidate[] {
  const sorted = candidates.toSorted(
    (a, b) => a.number - b.number || byDistance(a, b) || (a.node < b.node ? -1 : a.node > b.node ? 1 : 0),
  )
  const after =
    lastNumber === null ? beginningOf(sorted, caller) : sorted.findIndex((candidate) => candidate.number > lastNumber)
  return after <= 0 ? sorted : [...sorted.slice(after), ...sorted.slice(0, after)]
}

/** Where a caller's first turn is: at the first copy of one of the numbers. */
function beginningOf(sorted: readonly Candidate[], caller: string): number {
  if (caller === '') return 0
  const numbers = [...new Set(sorted.map(({ number }) => number))]
  const first = numbers[hashText(caller, START_SEED) % numbers.length]
  return sorted.findIndex(({ number }) => number === first)
}

const byDistance = (a: Candidate, b: Candidate): number => {
  const [near, far] = [distanceMs(a), distanceMs(b)]
  return near === far ? 0 : near < far ? -1 : 1
}

const distanceMs = ({ isLocal, rttMs }: Candidate): number => (isLocal ? 0 : (rttMs ?? Number.POSITIVE_INFINITY))
