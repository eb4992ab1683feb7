// Devices that are short of something for a while, in most worlds: because of what else they do, or because of
// what they run, so that whoever takes it is short in turn.

import { type Random, randomInt } from '../../overlay/kernel/random.ts'
import type { Millis } from '../../overlay/kernel/time.ts'
import type { Device } from './device.ts'
import { between, chance } from './streams.ts'
import type { DeviceFacts } from './topology.ts'

export interface PlannedStrain {
  readonly at: Millis
  readonly forMs: Millis
  /** Which device; null for all of them at once. */
  readonly device: number | null
  /** Short whatever it runs, or only while it runs anything. */
  readonly because: 'of-itself' | 'of-what-runs'
}

const WORLDS = 0.9
/** Shares of these worlds in which a single strain goes round, and in which each is early and long. The rest: late. */
const GOES_ROUND = 0.4
const EARLY = 0.15
const STRAINS_MAX = 4
const OF_ALL = 0.5
/** From a shortness that nobody acts on to one that costs a device several instances (Setting, `pressureReadings`). */
const LASTS_MS = { min: 5_000, max: 60_000 }
/** A reading or two. */
const SHORT_LASTS_MS_MAX = 12_000
/** Shares of the cores in use: far above the mark at which a device acts, and far below the one at which it is well. */
const SHORT = 0.95
const WELL = 0.1

export function planStrains(
  random: Random,
  devices: readonly Pick<DeviceFacts, 'node'>[],
  untilMs: Millis,
): readonly PlannedStrain[] {
  if (!chance(random, WORLDS)) return []
  const shape = random.next()
  if (shape < GOES_ROUND) return [goingRound(random, untilMs)]
  const drawWhen = shape < GOES_ROUND + EARLY ? earlyAndLong : lateAndShort
  return Array.from({ length: randomInt(random, 1, STRAINS_MAX + 1) }, () => ({
    ...drawWhen(random, untilMs),
    device: chance(random, OF_ALL) ? null : randomInt(random, 0, devices.length),
    because: chance(random, 0.5) ? ('of-itself' as const) : ('of-what-runs' as const),
  }))
}

/**
 * Whoever runs anything is short, for as long as there are faults, so that what one gives away comes back to it where
 * nothing forbids that. Another strain beside this one would end it.
 */
const goingRound = (random: Random, untilMs: Millis): PlannedStrain => {
  const at = between(random, 0, untilMs / 4)
  return { at, forMs: untilMs - at, device: null, because: 'of-what-runs' }
}

type When = Pick<PlannedStrain, 'at' | 'forMs'>

/** A device loses what it runs, and whoever gets it is short in turn, and gives it back if nothing forbids that. */
const earlyAndLong = (random: Random, untilMs: Millis): When => ({
  at: between(random, 0, untilMs / 3),
  forMs: between(random, LASTS_MS.max / 3, LASTS_MS.max),
})

/** A device only limits what it runs, and that is still there at the end. */
const lateAndShort = (random: Random, untilMs: Millis): When => ({
  at: between(random, untilMs / 2, untilMs),
  forMs: between(random, LASTS_MS.min, SHORT_LASTS_MS_MAX),
})

const meant = (devices: readonly Device[], { device }: PlannedStrain): readonly Device[] =>
  devices.filter(({ facts }) => device === null || facts.index === device)

export function strain(devices: readonly Device[], planned: PlannedStrain): void {
  const isShort = (running: number): boolean => planned.because === 'of-itself' || running > 0
  for (const device of meant(devices, planned)) device.strain((running) => (isShort(running) ? SHORT : WELL))
}

export const relax = (devices: readonly Device[], planned: PlannedStrain): void => relaxAll(meant(devices, planned))

export function relaxAll(devices: readonly Device[]): void {
  for (const device of devices) device.strain(() => WELL)
}
