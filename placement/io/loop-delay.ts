// How late this process is: a device that is too busy to run its own timers must doubt itself before it doubts others.

import { createHistogram } from 'node:perf_hooks'

export interface LoopDelay {
  /** Of the samples since the last reading, in ms. */
  readonly p99Ms: number
  readonly maxMs: number
}

export interface LoopDelayMonitor {
  /** The delays since the last reading, the one in progress included. */
  read(): LoopDelay
  stop(): void
}

/**
 * Between two samples, in ms: membership's shortest time for the answer to a probe. A stall that is a quarter longer is
 * seen whenever it begins, a shorter one that happens once only by chance, and loses no probe; of a device that is too
 * busy each sample is late. Each sample wakes an idle process, which costs 0.1 ms: at ten a second they were 60 % of
 * the wakes of an idle node alone.
 */
const SAMPLE_INTERVAL_MS = 500
const US_PER_MS = 1_000

/**
 * Watches the event loop. `perf_hooks.monitorEventLoopDelay` is not used because its `reset` drops the delay in
 * progress (measured on Node 24: 200 ms of blocking right after a reading do not show), and its values contain the
 * sampling interval.
 */
export function createLoopDelayMonitor(): LoopDelayMonitor {
  const histogram = createHistogram()
  let dueMs = performance.now() + SAMPLE_INTERVAL_MS
  const timer = setInterval(() => {
    const nowMs = performance.now()
    // A histogram holds whole numbers from 1.
    histogram.record(Math.max(1, Math.round((nowMs - dueMs) * US_PER_MS)))
    dueMs = nowMs + SAMPLE_INTERVAL_MS
  }, SAMPLE_INTERVAL_MS)
  timer.unref()
  return {
    read() {
      const lateMs = Math.max(0, performance.now() - dueMs)
      const empty = histogram.count === 0
      const p99Ms = empty ? 0 : histogram.percentile(99) / US_PER_MS
      const maxMs = empty ? 0 : histogram.max / US_PER_MS
      histogram.reset()
      return { p99Ms: Math.max(p99Ms, empty ? lateMs : 0), maxMs: Math.max(maxMs, lateMs) }
    },
    stop: () => clearInterval(timer),
  }
}
