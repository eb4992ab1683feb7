// Which instance a call goes to. A policy turns the candidates into an order: the first is the choice, the rest are
// who is tried when a dial fails before the first byte.

import type { Policy } from './address.ts'
import { unreachable } from './kernel/assert.ts'
import type { NodeId } from './kernel/ids.ts'

export interface Candidate {
  /** The instance's number. */
  readonly number: number
  readonly node: NodeId
  /** Measured or predicted round-trip time to the node in ms; null when unknown. */
  readonly rttMs: number | null
  /** Whether it runs on the calling node. */
  readonly isLocal: boolean
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
 * - `rr`: the next number after the last one, round and round, whoever joined or left in between;
 * - `closest`: the smallest round-trip time, this node's own first, unknown last; equals take turns as in `rr`;
 * - `instance`: that number and no other.
 */
export function choose(wish: Wish, candidates: readonly Candidate[], memory: ChoiceMemory): Choice {
  const order = orderBy(wish, inTurn(candidates, memory))
  return { order, memory: { lastNumber: order[0]?.number ?? memory.lastNumber } }
}

function orderBy(wish: Wish, turns: readonly Candidate[]): readonly Candidate[] {
  switch (wish.policy) {
    case 'rr':
      return turns
    case 'closest':
      return turns.toSorted(byDistance)
    case 'instance':
      return turns.filter((candidate) => candidate.number === wish.instance).toSorted(byDistance)
    default:
      return unreachable(wish.policy)
  }
}

/** Rotates over the numbers. Two copies of one number (a migration) take one turn, the nearer first. */
function inTurn(candidates: readonly Candidate[], { lastNumber }: ChoiceMemory): readonly Candidate[] {
  const sorted = candidates.toSorted(
    (a, b) => a.number - b.number || byDistance(a, b) || (a.node < b.node ? -1 : a.node > b.node ? 1 : 0),
  )
  const after = sorted.findIndex((candidate) => lastNumber === null || candidate.number > lastNumber)
  return after <= 0 ? sorted : [...sorted.slice(after), ...sorted.slice(0, after)]
}

const byDistance = (a: Candidate, b: Candidate): number => {
  const [near, far] = [distanceMs(a), distanceMs(b)]
  return near === far ? 0 : near < far ? -1 : 1
}

const distanceMs = ({ isLocal, rttMs }: Candidate): number => (isLocal ? 0 : (rttMs ?? Number.POSITIVE_INFINITY))
