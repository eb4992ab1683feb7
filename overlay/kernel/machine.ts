// A machine decides; it never waits, reads a clock or touches the world. All machines of Coppice have this one shape.

import type { Random } from './random.ts'
import type { Millis, UnixMillis } from './time.ts'

/** What a step may know of the world besides its input. */
export interface StepContext {
  readonly now: Millis
  readonly wall: UnixMillis
  readonly random: Random
}

/** What a step returns: the state to go on with and, in order, what the host has to do. */
export interface Transition<S, E> {
  readonly state: S
  readonly effects: readonly E[]
}

/** The one door into a machine. It returns the same or a new state; the caller keeps only what is returned. */
export type Step<S, I, E> = (state: S, input: I, context: StepContext) => Transition<S, E>

/** When the machine next wants a `wake` input; null where nothing is due. */
export type WakeAt<S> = (state: S) => Millis | null
