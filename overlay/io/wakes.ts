// All that a node does by the clock, over one timer. A wake of an idle process costs more than most of what is done in
// it, so whatever comes again does so at full intervals of the one clock: what is due together is done together, and a
// leader, who speaks at such moments too, has woken up already.

export interface Wakes {
  /**
   * Does a job at each full interval of the clock, in ms; where the process was late, once. Nothing is kept alive by
   * it. Returns how to stop it.
   */
  every(intervalMs: number, job: () => void): () => void
  /** Rings once, at a moment of the clock in ms, and before the jobs of that moment. Returns how to take it back. */
  at(moment: number, ring: () => void): () => void
}

export interface WakesPorts {
  /** The monotonic clock, in ms. */
  now(): number
  /** Fires once; `isHolding` keeps the process alive until then. Returns how to take it back. */
  timer(waitMs: number, isHolding: boolean, fire: () => void): () => void
}

interface Due {
  at: number
  /** Null where it is due once. */
  readonly intervalMs: number | null
  run(): void
}

/** setTimeout takes at most 2^31 - 1 ms; a later moment wakes early and is waited for again. */
const TIMER_MS_MAX = 2 ** 31 - 1

export function createWakes({ now, timer }: WakesPorts): Wakes {
  const dues = new Set<Due>()
  let armedFor = Number.POSITIVE_INFINITY
  let wasHolding = false
  let disarm = (): void => undefined

  const arm = (): void => {
    const all = [...dues]
    const earliest = all.reduce((least, { at }) => Math.min(least, at), Number.POSITIVE_INFINITY)
    const isHolding = all.some(({ intervalMs }) => intervalMs === null)
    if (earliest === armedFor && isHolding === wasHolding) return
    disarm()
    armedFor = earliest
    wasHolding = isHolding
    if (earliest === Number.POSITIVE_INFINITY) return
    const waitMs = Math.min(Math.max(0, Math.ceil(earliest - now())), TIMER_MS_MAX)
    disarm = timer(waitMs, isHolding, fire)
  }

  const fire = (): void => {
    armedFor = Number.POSITIVE_INFINITY
    disarm = () => undefined
    const isDue = ({ at }: Due): boolean => at <= now()
    const [once, again] = [[...dues].filter((due) => due.intervalMs === null), [...dues]]
    try {
      for (const due of once.filter(isDue)) if (dues.delete(due)) due.run()
      for (const due of again) {
        if (due.intervalMs === null || !dues.has(due) || !isDue(due)) continue
        due.at = nextFull(now(), due.intervalMs)
        due.run()
      }
    } finally {
      arm()
    }
  }

  const add = (due: Due): (() => void) => {
    dues.add(due)
    arm()
    return () => {
      if (dues.delete(due)) arm()
    }
  }

  return {
    every: (intervalMs, run) => add({ at: nextFull(now(), intervalMs), intervalMs, run }),
    at: (moment, run) => add({ at: moment, intervalMs: null, run }),
  }
}

/** The next moment that is a multiple of the interval. */
export const nextFull = (now: number, intervalMs: number): number => (Math.floor(now / intervalMs) + 1) * intervalMs

/** Those of this process. */
export const wakes: Wakes = createWakes({
  now: () => performance.now(),
  timer: (waitMs, isHolding, fire) => {
    const timer = setTimeout(fire, waitMs)
    if (!isHolding) timer.unref()
    return () => clearTimeout(timer)
  },
})
