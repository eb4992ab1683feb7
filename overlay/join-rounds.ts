// How long a guest goes on asking with its invite, how long it waits for one answer, and between two rounds of
// questions. A device that is away costs a short wait and may come any moment; one that is there and silent is busy,
// perhaps with a hundred guests: each gives it more time and leaves it alone for longer, or all would ask in vain.

import type { Random } from './kernel/random.ts'
import type { Millis } from './kernel/time.ts'

/** Where nothing answers at an address, after so long another one is tried: a few round trips of a bad link. */
export const JOIN_CONNECT_MS_MAX: Millis = 5_000
/** How long a device that took the connection has for its answer; doubles with each round in which one was busy. */
export const JOIN_PATIENCE_MS_MIN: Millis = 10_000
/** The cap. A guess: a hundred guests at 2 % of a core, with 10 ms of it for each. */
export const JOIN_PATIENCE_MS_MAX: Millis = 80_000
/** Before the next round; doubles with each in which a device was busy. */
export const JOIN_PAUSE_MS_MIN: Millis = 2_000
/** The cap, so that a guest comes back while the device still lives. */
export const JOIN_PAUSE_MS_MAX: Millis = 16_000
/** How long it is tried while nothing answers: a device may be powered on before the one that invited it. */
export const JOIN_ABSENT_MS_MAX: Millis = 120_000
/** How long it is tried in all. A guess: somebody sits before it. */
export const JOIN_MS_MAX: Millis = 900_000

export interface JoinRounds {
  readonly startedAt: Millis
  /** When a device of the invite last was there, busy; the start where none was. */
  readonly seenAt: Millis
  /** Rounds in which one was there. */
  readonly busyRounds: number
}

export const beginRounds = (now: Millis): JoinRounds => ({ startedAt: now, seenAt: now, busyRounds: 0 })

/** A round came to nothing. */
export const onRound = (rounds: JoinRounds, wasBusy: boolean, now: Millis): JoinRounds =>
  wasBusy ? { ...rounds, seenAt: now, busyRounds: rounds.busyRounds + 1 } : rounds

export const patienceMs = ({ busyRounds }: JoinRounds): Millis =>
  Math.min(JOIN_PATIENCE_MS_MAX, JOIN_PATIENCE_MS_MIN * 2 ** busyRounds)

/** Jittered by half to both sides, so that who came together does not come back together. */
export const pauseMs = ({ busyRounds }: JoinRounds, random: Random): Millis =>
  Math.min(JOIN_PAUSE_MS_MAX, JOIN_PAUSE_MS_MIN * 2 ** busyRounds) * (0.5 + random.next())

/** Whether to give up instead of beginning another round. */
export const isOver = ({ startedAt, seenAt }: JoinRounds, now: Millis): boolean =>
  now - seenAt >= JOIN_ABSENT_MS_MAX || now - startedAt >= JOIN_MS_MAX
