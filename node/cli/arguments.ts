// How words on the command line become values. A word that is wrong ends in a sentence that shows a right one.

import { InvalidArgumentError } from 'commander'
import type { ElectorsMax } from '../../election/index.ts'
import { type Place, parsePlace } from '../../overlay/coordinates/distance.ts'
import { type DomainPath, parseDomainPath } from '../../overlay/kernel/ids.ts'
import type { ExecTarget } from '../control.ts'

const UNIT_MS: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 }
const RUNTIMES: readonly string[] = ['process', 'docker']
const ELECTORS: readonly ElectorsMax[] = [3, 5, 7]
const SCHEDULERS: readonly string[] = ['best-fit', 'spread', 'ldp']
const PORT_MAX = 65_535
/** A load of ten processes per core. */
const PERCENT_MAX = 1_000

/** `90s`, `30m`, `1h`, `7d` in milliseconds. */
export function duration(word: string): number {
  const [, amount, unit = ''] = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)$/.exec(word) ?? []
  const unitMs = UNIT_MS[unit]
  if (amount === undefined || unitMs === undefined) {
    throw new InvalidArgumentError('A duration is a number with a unit: 90s, 30m, 1h or 7d.')
  }
  return Math.round(Number(amount) * unitMs)
}

/** A whole number from `least` to `most`. */
export const whole = (least: number, most: number) => (word: string) => {
  const value = Number(word)
  if (/^\d+$/.test(word) && value >= least && value <= most) return value
  throw new InvalidArgumentError(`It is a whole number from ${least} to ${most}.`)
}

/** `app.ns.svc.ns`, or `app.ns.svc.ns#2` for one instance. */
export function instanceOf(word: string): ExecTarget {
  const [, service, number] = /^([^#]+)(?:#(\d{1,5}))?$/.exec(word) ?? []
  if (service !== undefined) return { service, number: number === undefined ? null : Number(number) }
  throw new InvalidArgumentError('It is a service, as in shop.default.web.default, or one instance of it: ….default#2.')
}

export function electors(word: string): ElectorsMax {
  const found = ELECTORS.find((count) => String(count) === word)
  if (found !== undefined) return found
  throw new InvalidArgumentError('It is 3, 5 or 7: a majority of an odd number outlives the most losses.')
}

/** A scheduler of this version by name, or the path of a module, which is one that has a slash or an ending. */
export function scheduler(word: string): string {
  if (SCHEDULERS.includes(word) || /[./]/.test(word)) return word
  throw new InvalidArgumentError(`It is ${SCHEDULERS.join(', ')} or the path of a module, as in ./mine.ts.`)
}

/** Of a device; above a hundred where that is never reached. */
export const percent = whole(1, PERCENT_MAX)

export function location(word: string): Place {
  const place = parsePlace(word)
  if (place !== null) return place
  throw new InvalidArgumentError('It is latitude and longitude in degrees, as in 52.52,13.405.')
}

export const port = whole(0, PORT_MAX)

export function domainPath(word: string): DomainPath {
  const parsed = parseDomainPath(word)
  if (parsed.ok) return parsed.value
  throw new InvalidArgumentError(`${parsed.error}.`)
}

export function multiaddrs(word: string, before: readonly string[] = []): readonly string[] {
  if (word.startsWith('/')) return [...before, word]
  throw new InvalidArgumentError('It is a multiaddr such as /ip4/0.0.0.0/tcp/4001.')
}

export function runtimes(word: string, before: readonly string[] = []): readonly string[] {
  if (RUNTIMES.includes(word)) return [...before, word]
  throw new InvalidArgumentError(`It is one of ${RUNTIMES.join(', ')}.`)
}

export function labels(word: string, before: Readonly<Record<string, string>> = {}): Readonly<Record<string, string>> {
  const cut = word.indexOf('=')
  if (cut > 0) return { ...before, [word.slice(0, cut)]: word.slice(cut + 1) }
  throw new InvalidArgumentError('A label is written key=value, as in power=mains.')
}
