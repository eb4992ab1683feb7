// What is going to happen in a simulated world, in order of virtual time; of two things due at the same moment the one
// that was planned first comes first. Nothing else keeps time here, so an hour passes as fast as its events can be
// carried out.

import type { Millis } from '../../overlay/kernel/time.ts'

export interface Agenda {
  now(): Millis
  /** Plans something for a moment; one that has passed means now. */
  at(moment: Millis, run: () => void): void
  /** Carries out what is due next, if it is due by `until`; false when nothing is. */
  next(until: Millis): boolean
  /** Moves the clock to a moment at which nothing was due before. */
  advance(to: Millis): void
  readonly carriedOut: number
}

/**
 * Moments are multiples of this: then they add up exactly with the whole numbers that clocks are apart by, and a
 * process that is woken when it asked to be never finds itself a rounding error too early.
 */
const GRAIN_MS = 2 ** -10

/** The first moment on the grain that is not before the given one. */
export const onGrain = (moment: Millis): Millis => Math.ceil(moment / GRAIN_MS) * GRAIN_MS

/** The next moment on the grain. */
export const justAfter = (moment: Millis): Millis => onGrain(moment) + GRAIN_MS

interface Planned {
  readonly moment: Millis
  readonly order: number
  readonly run: () => void
}

/** A binary heap. */
export function createAgenda(): Agenda {
  const heap: Planned[] = []
  let now: Millis = 0
  let planned = 0
  let carriedOut = 0

  const add = (one: Planned): void => {
    let child = heap.length
    while (child > 0) {
      const parent = (child - 1) >> 1
      const above = heap[parent] as Planned
      if (!isBefore(one, above)) break
      heap[child] = above
      child = parent
    }
    heap[child] = one
  }

  const takeFirst = (): void => {
    const last = heap.pop() as Planned
    if (heap.length === 0) return
    let parent = 0
    for (;;) {
      let child = 2 * parent + 1
      if (child >= heap.length) break
      if (child + 1 < heap.length && isBefore(heap[child + 1] as Planned, heap[child] as Planned)) child += 1
      const below = heap[child] as Planned
      if (!isBefore(below, last)) break
      heap[parent] = below
      parent = child
    }
    heap[parent] = last
  }

  return {
    now: () => now,
    at: (moment, run) => {
      planned += 1
      add({ moment: Math.max(onGrain(moment), now), order: planned, run })
    },
    next: (until) => {
      const first = heap[0]
      if (first === undefined || first.moment > until) return false
      takeFirst()
      now = first.moment
      carriedOut += 1
      first.run()
      return true
    },
    advance: (to) => {
      now = Math.max(now, to)
    },
    get carriedOut() {
      return carriedOut
    },
  }
}

const isBefore = (a: Planned, b: Planned): boolean =>
  a.moment < b.moment || (a.moment === b.moment && a.order < b.order)
