// How late this process is: a device that is too busy to run its own timers must doubt itself before it doubts others.

import { nextFull, wakes } from '../../overlay/io/wakes.ts'

export interface LoopDelayMonitor {
  /** The longest delay since the last reading, in ms, the one in progress included. */
  read(): number
  stop(): void
}

/**
 * Between two samples, in ms: membership's shortest time for the answer to a probe. A stall that is a quarter longer is
 * seen whenever it begins, a shorter one that happens once only by chance, and loses no probe; of a device that is too
 * busy each sample is late. Each sample wakes an idle process, which costs 0.1 ms: at ten a second they were 60 % of
 * the wakes of an idle node alone.
 */
const SAMPLE_INTERVAL_MS = 500

/**
 * Watches the event loop. `perf_hooks.monitorEventLoopDelay` is not used because its `reset` drops the delay in
 * progress (measured on Node 24: 200 ms of blocking right after a reading do not show), its values contain the sampling
 * interval, and its histogram takes 0.4 MB for what are ten samples here between two readings.
 */
export function createLoopDelayMonitor(): LoopDelayMonitor {
  let longestMs = 0
  let dueMs = nextFull(performance.now(), SAMPLE_INTERVAL_MS)
  const note = (nowMs: number): void => {
    longestMs = Math.max(longestMs, nowMs - dueMs)
  }
  const stop = wakes.every(SAMPLE_INTERVAL_MS, () => {
    const nowMs = performance.now()
    note(nowMs)
    dueMs = nextFull(nowMs, SAMPLE_INTERVAL_MS)
  })
  return {
    read() {
      note(performance.now())
      const readMs = longestMs
      longestMs = 0
      return readMs
    },
    stop,
  }
}
