// The peers whose last connection closed a moment ago, whom no message makes us dial.

import { DIAL_BACKOFF_MS_MIN } from '../dial-plan.ts'
import type { NodeId } from '../kernel/ids.ts'

/**
 * For so long after its last connection closed a peer is not dialled for the sake of a message: its process has most
 * likely ended, and dialling it is work at the very moment when those who are left elect another leader. After that
 * the dial plan tries by itself (DIAL_BACKOFF_MS_MIN).
 */
const CLOSED_QUIET_MS = DIAL_BACKOFF_MS_MIN

export interface Quiet {
  begin(peer: NodeId): void
  holds(peer: NodeId): boolean
}

export function createQuiet(): Quiet {
  const closedAt = new Map<NodeId, number>()
  return {
    begin: (peer) => {
      for (const [other, at] of closedAt) if (performance.now() - at >= CLOSED_QUIET_MS) closedAt.delete(other)
      closedAt.set(peer, performance.now())
    },
    holds: (peer) => performance.now() - (closedAt.get(peer) ?? Number.NEGATIVE_INFINITY) < CLOSED_QUIET_MS,
  }
}
