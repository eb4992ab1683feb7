// The clocks of this process: the monotonic one for deadlines, the wall clock for versions and display, and one alarm.

import type { HostPorts } from '../host.ts'

/** setTimeout takes at most 2^31 - 1 ms; a later alarm rings early and is set again. */
const TIMER_MS_MAX = 2 ** 31 - 1

export function createClock(): HostPorts['clock'] {
  let timer: NodeJS.Timeout | null = null
  let setFor: number | null = null
  return {
    now: () => performance.now(),
    wall: () => Date.now(),
    alarm: (at, ring) => {
      if (at === setFor && timer !== null) return
      if (timer !== null) clearTimeout(timer)
      setFor = at
      if (at === null) {
        timer = null
        return
      }
      const waitMs = Math.min(Math.max(0, Math.ceil(at - performance.now())), TIMER_MS_MAX)
      timer = setTimeout(() => {
        timer = null
        ring()
      }, waitMs)
    },
  }
}
