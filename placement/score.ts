// How well a service fits a child, from 0 to 1. Filling up one device before the next keeps large gaps for large
// services; but the last bit of a device is its headroom, and whoever takes from it scores less the more it takes.

import { fits, minus, type Resources } from './need.ts'

/** Share of a device that is better left free; where pressure begins (80 %, DESIGN section 9) headroom ends. */
export const HEADROOM_SHARE = 0.2

/** The larger share in use, of cores or memory, once `need` is taken from `free`. */
export function fullness(total: Resources, free: Resources, need: Resources): number {
  const left = minus(free, need)
  const used = (whole: number, rest: number): number => (whole <= 0 ? 1 : 1 - rest / whole)
  return Math.min(1, Math.max(0, used(total.vcpus, left.vcpus), used(total.memoryMb, left.memoryMb)))
}

/** Rises to 1 where the headroom begins, and falls from there to 0 at the brim. */
export function tightness(total: Resources, free: Resources, need: Resources): number {
  if (!fits(free, need)) return 0
  const full = fullness(total, free, need)
  const brim = 1 - HEADROOM_SHARE
  return full <= brim ? full / brim : (1 - full) / HEADROOM_SHARE
}
