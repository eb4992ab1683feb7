// The fields of a microservice that have a grammar of their own: commands, ports, environment, durations, restart,
// health.

import { checkKeys, HEALTHCHECK_KEYS, RESTART_KEYS } from './descriptor-keys.ts'
import { fieldOf, isObject, type Place, readNumber, readText, refuse, show, warn } from './descriptor-report.ts'
import type { ServiceSpec } from './spec.ts'

const COMMAND_WORDS_MAX = 256
const ENVIRONMENT_MAX = 256
const LABELS_MAX = 64
const PORTS_MAX = 64
const VOLUMES_MAX = 64

/** A list of words, or one text that is split as a shell would: quotes keep words together, nothing is expanded. */
export function readCommand(place: Place, key: string): readonly string[] {
  const raw = place.raw[key]
  if (raw === undefined || raw === null || raw === '') return []
  const expected = `a list of at most ${COMMAND_WORDS_MAX} texts, e.g. ["node", "server.js"], or one text`
  if (Array.isArray(raw)) {
    const isPlain = raw.every((word) => typeof word === 'string' || typeof word === 'number')
    if (isPlain && raw.length <= COMMAND_WORDS_MAX) return raw.map(String)
    refuse(place.report, fieldOf(place, key), isPlain ? `has ${raw.length} words` : 'a word is no text', expected)
    return []
  }
  const split = typeof raw === 'string' ? splitWords(raw) : null
  if (split !== null && split.length <= COMMAND_WORDS_MAX) return split
  const problem =
    typeof raw === 'string' ? 'a quote is not closed, or there are too many words' : `${show(raw)} is no command`
  refuse(place.report, fieldOf(place, key), problem, expected)
  return []
}

function splitWords(text: string): string[] | null {
  const found: string[] = []
  let word: string | null = null
  let quote = ''
  for (let at = 0; at < text.length; at++) {
    const character = text[at] as string
    if (character === '\\' && quote !== "'" && at + 1 < text.length) word = (word ?? '') + text[++at]
    else if (quote !== '') {
      if (character === quote) quote = ''
      else word += character
    } else if (character === '"' || character === "'") {
      quote = character
      word = word ?? ''
    } else if (/\s/.test(character)) {
      if (word !== null) found.push(word)
      word = null
    } else word = (word ?? '') + character
  }
  if (quote !== '') return null
  return word === null ? found : [...found, word]
}

type Port = ServiceSpec['ports'][number]
const PORT_EXPECTED = '80, "80:8080" (callers\' port, then the program\'s), "80:8080/udp", or several with ";" between'

/** `80`, `"80"`, `"80:8080"`, `"80:8080/udp"`; several with `;` or in a list. */
export function readPorts(place: Place, key: string): readonly Port[] {
  const raw = place.raw[key]
  if (raw === undefined || raw === null || raw === '' || raw === 0) return []
  const field = fieldOf(place, key)
  const pieces = (Array.isArray(raw) ? raw : [raw])
    .flatMap((item) => (typeof item === 'string' ? item.split(';') : [String(item)]))
    .map((piece) => piece.trim())
    .filter((piece) => piece !== '')
  const ports = new Map<string, Port>()
  for (const piece of pieces) {
    const port = readPort(piece)
    if (port === null) refuse(place.report, field, `${show(piece)} is no port`, PORT_EXPECTED)
    else if (ports.has(`${port.declared}/${port.protocol}`))
      refuse(place.report, field, `the port ${port.declared}/${port.protocol} stands here twice`, PORT_EXPECTED)
    else ports.set(`${port.declared}/${port.protocol}`, port)
  }
  if (ports.size > PORTS_MAX) refuse(place.report, field, `names ${ports.size} ports`, `at most ${PORTS_MAX} ports`)
  return [...ports.values()].slice(0, PORTS_MAX)
}

function readPort(piece: string): Port | null {
  const match = /^(\d{1,5})(?::(\d{1,5}))?(?:\/(tcp|udp))?$/i.exec(piece)
  if (match === null) return null
  const declared = Number(match[1])
  const internal = Number(match[2] ?? match[1])
  const inRange = (port: number): boolean => port >= 1 && port <= 65_535
  if (!inRange(declared) || !inRange(internal)) return null
  return { declared, internal, protocol: match[3]?.toLowerCase() === 'udp' ? 'udp' : 'tcp' }
}

/** An object, or a list of `NAME=value`. */
export const readEnvironment = (place: Place, key: string): Readonly<Record<string, string>> =>
  readPairs(place, key, /^[^=\0]{1,256}$/, 8_192, ENVIRONMENT_MAX)

/** An object, or a list of `label=value`. */
export const readLabels = (place: Place, key: string): Readonly<Record<string, string>> =>
  readPairs(place, key, /^[A-Za-z0-9._/-]{1,63}$/, 255, LABELS_MAX)

function readPairs(
  place: Place,
  key: string,
  name: RegExp,
  valueCharsMax: number,
  entriesMax: number,
): Readonly<Record<string, string>> {
  const raw = place.raw[key]
  if (raw === undefined || raw === null || raw === '') return {}
  const field = fieldOf(place, key)
  const pairs = pairsOf(raw)
  if (pairs === null || pairs.length > entriesMax) {
    const problem =
      pairs === null ? `${show(raw)} is neither an object nor a list of NAME=value` : `has ${pairs.length} entries`
    refuse(place.report, field, problem, `at most ${entriesMax} entries, as {"NAME": "value"} or ["NAME=value"]`)
    return {}
  }
  const found: [string, string][] = []
  for (const [label, value] of pairs) {
    if (!name.test(label)) refuse(place.report, field, `${show(label)} is no name`, 'letters, digits, "_", "-", "."')
    else if (value === null || value.length > valueCharsMax)
      refuse(place.report, `${field}.${label}`, 'is no text or too long', `text of at most ${valueCharsMax} characters`)
    else found.push([label, value])
  }
  return Object.fromEntries(found)
}

function pairsOf(raw: unknown): (readonly [string, string | null])[] | null {
  const plain = (value: unknown): string | null => {
    if (value === null || value === undefined) return ''
    return ['string', 'number', 'boolean'].includes(typeof value) ? String(value) : null
  }
  if (isObject(raw)) return Object.entries(raw).map(([name, value]) => [name, plain(value)])
  if (!Array.isArray(raw) || !raw.every((item) => typeof item === 'string')) return null
  return raw.map((item: string) => {
    const cut = item.indexOf('=')
    return cut < 0 ? [item, ''] : [item.slice(0, cut), item.slice(cut + 1)]
  })
}

/** Texts in a list; one text with `;` between is taken too. */
export function readVolumes(place: Place, key: string): readonly string[] {
  const raw = place.raw[key]
  if (raw === undefined || raw === null || raw === '') return []
  const items = typeof raw === 'string' ? raw.split(';').filter((item) => item.trim() !== '') : raw
  const good = Array.isArray(items) && items.length <= VOLUMES_MAX
  if (good && items.every((item) => typeof item === 'string' && item.length <= 1_024)) return items
  refuse(place.report, fieldOf(place, key), `${show(raw)} is no list of volumes`, 'a list like ["/data:/var/lib/data"]')
  return []
}

interface DurationBounds {
  readonly fallbackMs: number
  readonly minMs: number
  readonly maxMs: number
}

const UNIT_MS: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 }

/** Seconds as a number, or text with a unit: `500ms`, `10s`, `1.5m`, `1h`. In ms. */
export function readDuration(place: Place, key: string, bounds: DurationBounds): number {
  const raw = place.raw[key]
  if (raw === undefined || raw === null || raw === '') return bounds.fallbackMs
  const match = /^(\d+(?:\.\d+)?)\s*(ms|s|m|h)?$/.exec(String(raw).trim())
  const ms = match === null ? Number.NaN : Math.round(Number(match[1]) * (UNIT_MS[match[2] ?? 's'] as number))
  if (ms >= bounds.minMs && ms <= bounds.maxMs) return ms
  const range = `from ${bounds.minMs / 1_000} to ${bounds.maxMs / 1_000} seconds`
  const expected = `seconds, or a text like "500ms", "10s", "1m", ${range}`
  refuse(place.report, fieldOf(place, key), `${show(raw)} is no duration ${range}`, expected)
  return bounds.fallbackMs
}

/** First and longest delay between restarts. Guesses: a typo is seen at once, a missing database is not hammered. */
export const RESTART_DELAY_MS = 500
export const RESTART_DELAY_MS_MAX = 60_000

const POLICIES: Readonly<Record<string, ServiceSpec['restart']['policy']>> = {
  always: 'always',
  'unless-stopped': 'always',
  'on-failure': 'on-failure',
  never: 'never',
  no: 'never',
}

/**
 * `"always"`, `"on-failure"`, `"never"`, or `{policy, delay, delay_max}`. `one_shot` means `on-failure` unless this
 * says more.
 */
export function readRestart(place: Place, oneShot: boolean): ServiceSpec['restart'] {
  const raw = place.raw.restart
  const field = fieldOf(place, 'restart')
  const inner: Place = { report: place.report, path: field, raw: isObject(raw) ? raw : { policy: raw } }
  if (isObject(raw)) checkKeys(inner, RESTART_KEYS)
  const named = inner.raw.policy
  const fallback = oneShot ? 'on-failure' : 'always'
  const isOpen = named === undefined || named === null || named === ''
  const policy = isOpen ? fallback : typeof named === 'string' ? POLICIES[named] : undefined
  if (policy === undefined) {
    refuse(
      place.report,
      isObject(raw) ? `${field}.policy` : field,
      `${show(named)} is no policy`,
      'always, on-failure or never',
    )
  }
  if (oneShot && policy === 'always') {
    const problem = 'contradicts one_shot, which ends when its program does'
    refuse(place.report, field, problem, 'on-failure or never, or one_shot left out')
  }
  const bounds = { minMs: 0, maxMs: 3_600_000 }
  return {
    policy: policy ?? fallback,
    delayMs: readDuration(inner, 'delay', { ...bounds, fallbackMs: RESTART_DELAY_MS }),
    delayMsMax: readDuration(inner, 'delay_max', { ...bounds, fallbackMs: RESTART_DELAY_MS_MAX }),
  }
}

/** Docker's defaults are 30 s, 30 s, 3; an edge service is expected to answer sooner. Guesses. */
export const HEALTH_INTERVAL_MS = 10_000
export const HEALTH_TIMEOUT_MS = 3_000
export const HEALTH_RETRIES = 3

/** `{kind: "http" | "tcp", port, path, interval, timeout, retries}`; without a port, the first declared TCP port. */
export function readHealthcheck(place: Place, ports: readonly Port[]): ServiceSpec['healthcheck'] {
  const raw = place.raw.healthcheck
  if (raw === undefined || raw === null || raw === '' || raw === false) return null
  const field = fieldOf(place, 'healthcheck')
  if (!isObject(raw)) {
    refuse(place.report, field, `${show(raw)} is no health check`, '{"kind": "http", "port": 80, "path": "/"}')
    return null
  }
  const inner: Place = { report: place.report, path: field, raw }
  checkKeys(inner, HEALTHCHECK_KEYS)
  const kind = raw.kind ?? raw.type ?? (raw.path === undefined ? 'tcp' : 'http')
  if (kind !== 'http' && kind !== 'tcp')
    refuse(place.report, `${field}.kind`, `${show(kind)} is no kind of check`, 'http or tcp')
  if (kind === 'tcp' && raw.path !== undefined) warn(place.report, `${field}.path`, 'has no effect on a tcp check')
  const first = ports.find((port) => port.protocol === 'tcp')
  if (first === undefined)
    refuse(place.report, field, 'the service declares no tcp port to check', 'a "port" of the service')
  const fallback = first?.declared ?? 80
  const port = readNumber(inner, 'port', { fallback, min: 1, max: 65_535, whole: true, unit: '' })
  if (
    first !== undefined &&
    !ports.some((one) => one.protocol === 'tcp' && [one.declared, one.internal].includes(port))
  ) {
    refuse(place.report, `${field}.port`, `${port} is no tcp port of the service`, `one of its ports, e.g. ${fallback}`)
  }
  return {
    kind: kind === 'http' ? 'http' : 'tcp',
    port,
    path: readText(inner, 'path', 1_024) || '/',
    command: [],
    startPeriodMs: 0,
    intervalMs: readDuration(inner, 'interval', { fallbackMs: HEALTH_INTERVAL_MS, minMs: 100, maxMs: 3_600_000 }),
    timeoutMs: readDuration(inner, 'timeout', { fallbackMs: HEALTH_TIMEOUT_MS, minMs: 100, maxMs: 600_000 }),
    retries: readNumber(inner, 'retries', { fallback: HEALTH_RETRIES, min: 1, max: 100, whole: true, unit: '' }),
  }
}
