// The options of a node as its machines want them, checked.

import { ELECTORS_MAX_CHOICES, ELECTORS_MAX_DEFAULT } from '../election/index.ts'
import { type Place, parsePlace } from '../overlay/coordinates/distance.ts'
import { PRESSURE_DEFAULTS, type PressureSettings } from '../placement/index.ts'
import { CoppiceError } from './errors.ts'
import type { NodeOptions } from './options.ts'

/** Where the device stands: as it was told, else as its label says. */
export function whereabouts({ location, labels }: NodeOptions): { readonly location?: Place } {
  const place = location ?? parsePlace(labels?.location ?? '')
  return place === null ? {} : { location: place }
}

/** Percent from people, shares for the machine. */
export function pressureOf({ pressure = {} }: NodeOptions): PressureSettings | null {
  if (pressure === null) return null
  const { high, low, readings } = PRESSURE_DEFAULTS
  const share = (percent: number | undefined, usual: number): number => (percent === undefined ? usual : percent / 100)
  const chosen = {
    high: share(pressure.high, high),
    low: share(pressure.low, low),
    readings: pressure.readings ?? readings,
  }
  if (chosen.low <= chosen.high) return chosen
  throw new CoppiceError(
    'wrong-option',
    `pressure cannot end at ${chosen.low * 100} % and begin at ${chosen.high * 100} %`,
    'Choose a low mark below the high one.',
  )
}

export function checkElectors({ electors = ELECTORS_MAX_DEFAULT }: NodeOptions): void {
  if (ELECTORS_MAX_CHOICES.includes(electors)) return
  throw new CoppiceError(
    'wrong-option',
    `a domain cannot have ${electors} electors`,
    `Choose ${ELECTORS_MAX_CHOICES.join(', ')}.`,
  )
}
