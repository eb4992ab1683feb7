// For tests only: what is done by the clock, on a clock that goes on only from timer to timer.

import { createWakes } from './wakes.ts'

/** Counts how often it was woken. */
export function clockwork(startMs: number) {
  let nowMs = startMs
  let armed: { at: number; isHolding: boolean; fire(): void } | null = null
  let woken = 0
  const wakes = createWakes({
    now: () => nowMs,
    timer: (waitMs, isHolding, fire) => {
      const mine = { at: nowMs + waitMs, isHolding, fire }
      armed = mine
      return () => {
        if (armed === mine) armed = null
      }
    },
  })
  return {
    wakes,
    woken: () => woken,
    isHolding: () => armed?.isHolding ?? null,
    now: () => nowMs,
    /** Lets time pass; `lateMs` is how much later than asked for each timer fires. */
    pass: (ms: number, lateMs = 0) => {
      const end = nowMs + ms
      while (armed !== null && armed.at + lateMs <= end) {
        const { at, fire } = armed
        armed = null
        nowMs = at + lateMs
        woken += 1
        fire()
      }
      nowMs = end
    },
  }
}
