// What kind of federation a seed is about, besides its size: where it stands, how deep its tree is, how many vote in a
// domain, whether its clocks drift and whether some of its devices are of a newer version than the others.

import { ELECTION_TIMINGS, ELECTORS_MAX_DEFAULT } from '../../election/index.ts'
import type { Preset } from '../../node/options.ts'
import { type Random, randomInt } from '../../overlay/kernel/random.ts'
import { PRESSURE_DEFAULTS } from '../../placement/pressure.ts'
import { streamOf } from './streams.ts'

export interface Setting {
  readonly preset: Preset
  readonly electorsMax: number
  /** Depth of the tree, nodes included: 2 for `/a`, 3 for `/eu/a`. */
  readonly levels: 2 | 3
  readonly clocksDrift: boolean
  /** Some devices say more than the others understand. */
  readonly isMixed: boolean
  /** Readings in a row above or below a mark that change how a device takes its shortness. */
  readonly pressureReadings: number
}

/** What stories are told in, where they ask for nothing else. */
export const PLAIN: Setting = {
  preset: 'lan',
  electorsMax: ELECTORS_MAX_DEFAULT,
  levels: 2,
  clocksDrift: false,
  isMixed: false,
  pressureReadings: PRESSURE_DEFAULTS.readings,
}

/** Most seeds are of a local network, where most happens in an hour of computing. The shares are guesses. */
const PRESETS: readonly (readonly [Preset, share: number])[] = [
  ['lan', 0.9],
  ['wan', 0.07],
  ['metered', 0.03],
]
const ELECTORS: readonly (readonly [number, share: number])[] = [
  [5, 0.5],
  [3, 0.3],
  [7, 0.2],
]
const THREE_LEVELS = 0.25
const MIXED = 0.25

/** The setting that belongs to a seed, whatever its size. */
export function settingOf(seed: number): Setting {
  const random = streamOf(seed, 'setting')
  return {
    preset: oneOf(random, PRESETS),
    electorsMax: oneOf(random, ELECTORS),
    levels: random.next() < THREE_LEVELS ? 3 : 2,
    isMixed: random.next() < MIXED,
    clocksDrift: true,
    pressureReadings: 1,
  }
}

function oneOf<T>(random: Random, shares: readonly (readonly [T, number])[]): T {
  let left = random.next()
  for (const [item, share] of shares) {
    left -= share
    if (left < 0) return item
  }
  return (shares[randomInt(random, 0, shares.length)] as readonly [T, number])[0]
}

/**
 * How much slower everything is meant to be than on a local network: faults, peace and people's requests are stretched
 * by it, so that a minute of one is as eventful as so many of the other.
 */
export const paceOf = (preset: Preset): number =>
  ELECTION_TIMINGS[preset].electionTimeoutMsMax / ELECTION_TIMINGS.lan.electionTimeoutMsMax
