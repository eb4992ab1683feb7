// In which order a node that is about to stop gives away what it leads: the highest domain first, since whoever leads
// below speaks for its domain above; and the next one when the last is with its heir, or did not get there in time.

import {
  compareTerms,
  type ElectionState,
  type ElectionTiming,
  type Fence,
  hasHeir,
  type LeaderBookView,
} from '../../election/index.ts'
import type { DomainPath, NodeId } from '../../overlay/kernel/ids.ts'
import type { Millis } from '../../overlay/kernel/time.ts'

interface LedSeat {
  readonly id: number
  readonly domain: DomainPath
  readonly state: ElectionState
  readonly fence: Fence | null
}

export interface HandOver {
  readonly isDone: boolean
  /** Whether the node is on its way out. */
  readonly isOngoing: boolean
  begin(): void
  /** The seat to hand over now, of some from the lowest to the highest; null while there is none. */
  next<S extends LedSeat>(seats: readonly S[], now: Millis): S | null
  /** A seat is no longer led: its heir begins, and may still need an answer from here. */
  onUnlead(now: Millis): void
  wakeAt(): Millis | null
}

export function createHandOver(timing: ElectionTiming): HandOver {
  /** An election of few round trips takes less, or does not succeed at all: as long as a candidate waits. */
  const heirMsMax = timing.electionTimeoutMsMin / 5
  const asked = new Set<number>()
  let nextAt: Millis | null = null
  let isDone = false
  let hasBegun = false

  return {
    get isDone() {
      return isDone
    },
    get isOngoing() {
      return hasBegun
    },
    begin: () => {
      hasBegun = true
      // What came back since it was given away is given away again.
      asked.clear()
      nextAt = Number.NEGATIVE_INFINITY
    },
    next: (seats, now) => {
      if (nextAt === null || now < nextAt) return null
      const led = seats.filter((seat) => seat.fence !== null && !asked.has(seat.id) && hasHeir(seat.state))
      const seat = led.at(-1) ?? null
      if (seat !== null) asked.add(seat.id)
      nextAt = seat === null ? null : now + heirMsMax
      isDone = seat === null
      return seat
    },
    onUnlead: (now) => {
      if (nextAt !== null) nextAt = Math.min(nextAt, now + timing.hintDelayMsMax)
    },
    wakeAt: () => nextAt,
  }
}

/** Whether somebody else leads, under a later fence, each domain that is still led here under an old one. */
export const areSucceeded = (seats: readonly LedSeat[], book: LeaderBookView, self: NodeId): boolean =>
  seats.every(({ domain, fence }) => {
    if (fence === null) return true
    const known = book.leaderOf(domain)?.announcement
    return known?.established === true && known.node !== self && compareTerms(known, fence) > 0
  })
