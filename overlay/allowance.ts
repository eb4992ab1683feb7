// How much one member may make this node do: so much a second, and for a moment more. A token bucket for each member;
// who is beyond it is not punished, but read later, or not handed on.

import type { NodeId } from './kernel/ids.ts'
import type { Millis } from './kernel/time.ts'

export interface AllowanceLimits {
  readonly perSecond: number
  /** What may come at once after a pause. */
  readonly burst: number
}

export interface Allowances {
  /** Takes an amount on a member's account; resolves to how long it has to wait until that is in order, 0 for not. */
  take(member: NodeId, amount: number, now: Millis): Millis
  /** Takes it only when that is in order at once. */
  tryTake(member: NodeId, amount: number, now: Millis): boolean
}

/**
 * Messages of one member on its control streams, and their bytes; beyond them its streams are read later, so that its
 * own sending stops. A cluster's leader hears a hundredth of it from a busy member; the signatures of a burst take a
 * fifth of a second, and its bytes are twice what a store sends in one exchange (EXCHANGE_WINDOW_BYTES_MAX). Guesses.
 */
export const CONTROL_MESSAGES_PER_MEMBER: AllowanceLimits = { perSecond: 500, burst: 1_000 }
export const CONTROL_BYTES_PER_MEMBER: AllowanceLimits = { perSecond: 2_097_152, burst: 16_777_216 }
/**
 * Gossip that one member brings, its own and what it hands on; beyond it a message is neither believed nor handed on
 * here, and anti-entropy brings what was honest. A cluster of 100 nodes gossips a few messages a second. A guess.
 */
export const GOSSIP_MESSAGES_PER_MEMBER: AllowanceLimits = { perSecond: 200, burst: 2_000 }
/**
 * A message counts once for each so many bytes: one that brings many records takes as many signatures to check. Ten or
 * so of the usual size. A guess.
 */
export const GOSSIP_BYTES_PER_MESSAGE = 4_096
/** Members with an account; at the limit the one unused for longest is forgotten, which gives it a full one again. */
export const ACCOUNTS_MAX = 2_048

interface Account {
  readonly left: number
  readonly at: Millis
}

const MS_PER_SECOND = 1_000

export function createAllowances({ perSecond, burst }: AllowanceLimits): Allowances {
  const accounts = new Map<NodeId, Account>()
  const leftAt = (member: NodeId, now: Millis): number => {
    const { left, at } = accounts.get(member) ?? { left: burst, at: now }
    return Math.min(burst, left + ((now - at) * perSecond) / MS_PER_SECOND)
  }
  const note = (member: NodeId, left: number, at: Millis): void => {
    // The one used last stands last.
    accounts.delete(member)
    accounts.set(member, { left, at })
    const [oldest] = accounts.keys()
    if (accounts.size > ACCOUNTS_MAX && oldest !== undefined) accounts.delete(oldest)
  }
  return {
    take: (member, amount, now) => {
      const left = leftAt(member, now) - amount
      note(member, left, now)
      return left >= 0 ? 0 : Math.ceil((-left * MS_PER_SECOND) / perSecond)
    },
    tryTake: (member, amount, now) => {
      const left = leftAt(member, now)
      note(member, left >= amount ? left - amount : left, now)
      return left >= amount
    },
  }
}
