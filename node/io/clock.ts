// The clocks of this process: the monotonic one for deadlines, the wall clock for versions and display, and one alarm.

import { wakes } from '../../overlay/io/wakes.ts'
import type { HostPorts } from '../host.ts'

export function createClock(): HostPorts['clock'] {
  let setFor: number | null = null
  let takeBack = (): void => undefined
  return {
    now: () => performance.now(),
    wall: () => Date.now(),
    alarm: (at, ring) => {
      if (at === setFor) return
      takeBack()
      setFor = at
      if (at === null) return
      takeBack = wakes.at(at, () => {
        setFor = null
        ring()
      })
    },
  }
}
