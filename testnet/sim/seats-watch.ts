// Whether a device's seats hold what they held when it was last looked at: most of what it hears leaves them as they
// are, and what rests on nothing else need not be checked again.

import type { DeviceView } from './checkers/checker.ts'

export interface SeatsWatch {
  /** Whether they differ from those at the last call for this device. */
  haveChanged(device: DeviceView): boolean
  /** The next look counts as a change. */
  forget(device: DeviceView): void
}

export function watchSeats(): SeatsWatch {
  /** State and fence of each seat, the lowest first; both are replaced, and never changed in place. */
  const seen = new Map<DeviceView, readonly unknown[]>()
  return {
    haveChanged: (device) => {
      const seats = device.core?.view.seats() ?? []
      const before = seen.get(device)
      const isSame =
        before !== undefined &&
        before.length === 2 * seats.length &&
        seats.every(({ state, fence }, index) => before[2 * index] === state && before[2 * index + 1] === fence)
      if (isSame) return false
      seen.set(
        device,
        seats.flatMap(({ state, fence }) => [state, fence]),
      )
      return true
    },
    forget: (device) => {
      seen.delete(device)
    },
  }
}
