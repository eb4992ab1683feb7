// What an instance takes from a device and what a device has: numbers that are added, subtracted and compared.
// Accounts are kept by reservation, not by momentary load: what was promised counts, whether or not it is used right
// now.

import type { Demand } from './demand.ts'

export interface Resources {
  /** Cores, fractions allowed. */
  readonly vcpus: number
  /** MB (10^6 bytes). */
  readonly memoryMb: number
  readonly vgpus: number
  readonly vtpus: number
  /** MB on disk. */
  readonly storageMb: number
  /** Mbit/s into the device and out of it. */
  readonly inMbit: number
  readonly outMbit: number
}

export const NOTHING: Resources = {
  vcpus: 0,
  memoryMb: 0,
  vgpus: 0,
  vtpus: 0,
  storageMb: 0,
  inMbit: 0,
  outMbit: 0,
}

export const needOf = (spec: Omit<Demand, 'runtime' | 'constraints'>): Resources => ({
  vcpus: spec.vcpus,
  memoryMb: spec.memoryMb,
  vgpus: spec.vgpus,
  vtpus: spec.vtpus,
  storageMb: spec.storageMb,
  inMbit: spec.bandwidthInMbit,
  outMbit: spec.bandwidthOutMbit,
})

const combine = (a: Resources, b: Resources, join: (x: number, y: number) => number): Resources => ({
  vcpus: join(a.vcpus, b.vcpus),
  memoryMb: join(a.memoryMb, b.memoryMb),
  vgpus: join(a.vgpus, b.vgpus),
  vtpus: join(a.vtpus, b.vtpus),
  storageMb: join(a.storageMb, b.storageMb),
  inMbit: join(a.inMbit, b.inMbit),
  outMbit: join(a.outMbit, b.outMbit),
})

export const plus = (a: Resources, b: Resources): Resources => combine(a, b, (x, y) => x + y)
/** What is left, never below zero. */
export const minus = (a: Resources, b: Resources): Resources => combine(a, b, (x, y) => Math.max(0, x - y))
export const larger = (a: Resources, b: Resources): Resources => combine(a, b, Math.max)

/** Sums of fractions drift in the last bits; a millionth of a core or of a MB is nobody's. */
const ROUNDING = 1e-6

export const covers = (have: number, need: number): boolean => need <= have + ROUNDING

export const fits = (free: Resources, need: Resources): boolean =>
  covers(free.vcpus, need.vcpus) &&
  covers(free.memoryMb, need.memoryMb) &&
  covers(free.vgpus, need.vgpus) &&
  covers(free.vtpus, need.vtpus) &&
  covers(free.storageMb, need.storageMb) &&
  covers(free.inMbit, need.inMbit) &&
  covers(free.outMbit, need.outMbit)

/** The lesser of each. */
export const smaller = (a: Resources, b: Resources): Resources => combine(a, b, Math.min)
