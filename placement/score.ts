// How well a service fits a child, from 0 to 1. Filling up one device before the next keeps large gaps for large
// services; but the last bit of a device is its headroom, and whoever takes from it scores less the more it takes.

import type { Candidate } from './candidate.ts'
import type { Demand } from './demand.ts'
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

/** What fit is measured by: a node as a whole, of a domain the largest slot, which no device is known to exceed. */
export function wholeAndFree(
  demand: Pick<Demand, 'runtime'>,
  candidate: Candidate,
): { readonly whole: Resources; readonly free: Resources } {
  const free = candidate.slotFor(demand.runtime) ?? candidate.free
  return { whole: candidate.kind === 'node' ? candidate.total : free, free }
}

/**
 * Replicas apart come before everything else: n siblings put the score into the band from 1/(n+2) to 1/(n+1), `within`
 * (0 to 1) decides inside it.
 */
export function apart(siblings: number, within: number): number {
  const lowest = 1 / (siblings + 2)
  return lowest + within * (1 / (siblings + 1) - lowest)
}

export const besideWhom = (siblings: number): string =>
  siblings === 0 ? 'no other replica there' : `beside ${siblings} of its replicas`
