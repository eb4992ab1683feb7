// In which order a node that is about to stop gives away what it leads: the highest domain first, since whoever leads
// below speaks for its domain above; and the next one when the last is with its heir, or did not get there in time.

import { type ElectionState, type ElectionTiming, hasHeir } from '../../election/index.ts'
import type { Millis } from '../../overlay/kernel/time.ts'

interface LedSeat {
  readonly id: number
  readonly state: ElectionState
  readonly fence: object | null
}

export interface HandOver {
  readonly isDone: boolean
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

  return {
    get isDone() {
      return isDone
    },
    begin: () => {
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
