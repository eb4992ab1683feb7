// Which branch of a charter holds where two entries were signed for one place. The rule compares what the branches
// decide first, never how long they are or who brought them: a branch that changes who decides beats one that only
// revokes, because revocations count on every branch and lose nothing.

import type { Fork, PlacedEntry } from './charter.ts'
import type { CharterFact } from './charter-entry.ts'

export interface Branches {
  /** Hashes of the branch that holds, first to last. */
  readonly path: readonly string[]
  readonly forks: readonly Fork[]
  readonly tips: readonly string[]
}

/** What a branch weighs: the first entry on it that decides something, and how long it is. */
interface Weight {
  readonly rank: number
  readonly hash: string
  readonly length: number
}

/**
 * What wins over what. What all agreed on stands above what one said alone, so that nobody can undo by itself what was
 * agreed; taking a say away stands above giving one; a revocation decides nothing.
 */
function rankOf(fact: CharterFact): number {
  switch (fact.kind) {
    case 'genesis':
    case 'revoke':
      return 0
    case 'rotate':
      return 1
    case 'remove-operator':
      return fact.body.isLeaving ? 1 : 4
    case 'admit-operator':
      return 2
    case 'policy':
      return 3
  }
}

/** Looks at all entries from the last to the first; linear, and without recursion, for chains are long. */
export function chooseBranches(placed: ReadonlyMap<string, PlacedEntry>): Branches {
  const children = new Map<string, string[]>()
  for (const { hash, prev } of placed.values()) {
    if (prev === null) continue
    const known = children.get(prev)
    if (known === undefined) children.set(prev, [hash])
    else known.push(hash)
  }
  const weights = new Map<string, Weight>()
  const next = new Map<string, string>()
  const forks: Fork[] = []
  for (const { hash, entry, fact } of [...placed.values()].sort((a, b) => b.entry.seq - a.entry.seq)) {
    const [winner, ...losers] = (children.get(hash) ?? []).sort((a, b) => heavier(weights.get(a), weights.get(b), a, b))
    const behind = winner === undefined ? undefined : weights.get(winner)
    if (winner !== undefined) next.set(hash, winner)
    if (winner !== undefined && losers.length > 0) forks.push({ seq: entry.seq + 1, winner, losers })
    const rank = rankOf(fact)
    const length = (behind?.length ?? 0) + 1
    weights.set(hash, rank > 0 ? { rank, hash, length } : { rank: behind?.rank ?? 0, hash: behind?.hash ?? '', length })
  }
  const genesis = [...placed.values()].find(({ prev }) => prev === null)
  const path: string[] = []
  for (let at = genesis?.hash; at !== undefined; at = next.get(at)) path.push(at)
  const tips = [...placed.keys()].filter((hash) => !children.has(hash)).sort()
  return { path, forks: forks.sort((a, b) => a.seq - b.seq || compare(a.winner, b.winner)), tips }
}

/** Below zero when the first wins: the higher rank, then the lower hash; of branches that only revoke, the longer. */
function heavier(one: Weight | undefined, other: Weight | undefined, oneHash: string, otherHash: string): number {
  const rank = (other?.rank ?? 0) - (one?.rank ?? 0)
  if (rank !== 0) return rank
  if ((one?.rank ?? 0) > 0) return compare(one?.hash ?? '', other?.hash ?? '')
  const length = (other?.length ?? 0) - (one?.length ?? 0)
  return length !== 0 ? length : compare(oneHash, otherHash)
}

const compare = (a: string, b: string): number => (a < b ? -1 : Number(a > b))
