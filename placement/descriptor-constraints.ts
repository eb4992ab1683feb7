// Where an instance may be: on which nodes and clusters, how far from a place, and how good its way to users or to
// other services must be. Each entry of a list holds by itself; an instance has to satisfy all of them.

import type { ServiceId } from '../overlay/kernel/ids.ts'
import {
  amount,
  choice,
  duration,
  type Field,
  honoured,
  objectSchema,
  objects,
  optionalAmount,
  orOpen,
  readKey,
  words,
} from './descriptor-field.ts'
import { checkKeys, warnUnused } from './descriptor-keys.ts'
import {
  DECIMAL,
  fieldOf,
  isObject,
  isOpen,
  isRefused,
  isSet,
  type Place,
  readText,
  refuse,
  show,
  warn,
} from './descriptor-report.ts'
import { findSibling, resolveService, type Siblings } from './descriptor-siblings.ts'
import { parseSelector } from './selector.ts'
import type { Constraint, Place as Position } from './spec.ts'

export const CONSTRAINTS_MAX = 64

/** What holds where a measured constraint says nothing: the time is Oakestra's (SLA 0.3.2), the share is a guess. */
export const RIGIDNESS = 0.9
export const CONVERGENCE_MS = 300_000

const RIGOUR_KEYS = {
  threshold: optionalAmount('At most so many km (geo) or ms (latency), at least so many kbit/s (bandwidth).', {
    min: 0,
    max: 1e9,
    whole: false,
    unit: 'km, ms or kbit/s',
  }),
  rigidness: amount('It holds while at least this share of the measurements keeps the threshold.', {
    fallback: RIGIDNESS,
    min: 0,
    max: 1,
    whole: false,
    unit: '',
  }),
  convergence_time: duration('Seconds that it may be broken before the instance is moved.', {
    fallbackMs: CONVERGENCE_MS,
    minMs: 0,
    maxMs: 86_400_000,
  }),
}

const CONSTRAINT_TYPES = ['direct', 'clusters', 'geo', 'latency'] as const

export const CONSTRAINT_KEYS = {
  type: choice<(typeof CONSTRAINT_TYPES)[number] | 'none'>('What is constrained.', CONSTRAINT_TYPES, 'none'),
  node: selector('direct: the nodes, by a selector. Several names may have ";" between.'),
  cluster: selector('direct: the clusters, by a selector.'),
  allowed: selectors('clusters: the clusters, a selector each.'),
  clusters: selectors('clusters: another word for allowed.'),
  location: position('geo: the middle of the circle; latency: where the users are. "latitude,longitude" in degrees.'),
  area: words(
    'latency: where the users are: "latitude,longitude", or a selector of nodes and clusters near them.',
    512,
  ),
  target: words('latency: a service of the application, a place, or a selector of nodes and clusters.', 512),
  ...RIGOUR_KEYS,
}

export const CONNECTION_KEYS = {
  type: choice<'latency' | 'bandwidth' | 'none'>('What is constrained.', ['latency', 'bandwidth'], 'none'),
  ...RIGOUR_KEYS,
}

export const CONNECTIVITY_KEYS = {
  target_microservice_id: words('The microserviceID or name of the other service.', 255),
  con_constraints: objects(
    'What the way to it must be like.',
    CONSTRAINTS_MAX,
    objectSchema(CONNECTION_KEYS, ['type']),
  ),
}

export const constraints = (about: string): Field<readonly Place[]> =>
  objects(about, CONSTRAINTS_MAX, objectSchema(CONSTRAINT_KEYS, ['type']))

export const connectivity = (about: string): Field<readonly Place[]> =>
  objects(about, CONSTRAINTS_MAX, objectSchema(CONNECTIVITY_KEYS, ['target_microservice_id']))

const NONE = { node: null, cluster: null, clusters: [] } as const
type ConstraintKey = keyof typeof CONSTRAINT_KEYS

export function readConstraint(place: Place, siblings: Siblings): readonly Constraint[] {
  checkKeys(place, 'constraint', CONSTRAINT_KEYS)
  const type = readKey(place, CONSTRAINT_KEYS, 'type')
  const only = (...keys: readonly ConstraintKey[]): void =>
    warnUnused(place, CONSTRAINT_KEYS, ['type', ...keys], `has no effect on a ${type} constraint`)
  switch (type) {
    case 'none':
      if (!isRefused(place.report, fieldOf(place, 'type')))
        refuse(place.report, fieldOf(place, 'type'), 'is missing', CONSTRAINT_TYPES.join(', '))
      return []
    case 'direct': {
      only('node', 'cluster')
      const node = readKey(place, CONSTRAINT_KEYS, 'node')
      const cluster = readKey(place, CONSTRAINT_KEYS, 'cluster')
      if (node !== null || cluster !== null) return [{ ...NONE, kind: 'direct', node, cluster }]
      if (!isSet(place.raw.node) && !isSet(place.raw.cluster))
        warn(place.report, place.path, 'names neither a node nor a cluster and has no effect')
      return []
    }
    case 'clusters': {
      only('allowed', 'clusters', 'cluster')
      const key = (['allowed', 'clusters', 'cluster'] as const).find((name) => isSet(place.raw[name])) ?? 'allowed'
      const clusters = selectors('').read(place, key)
      if (clusters.length === 0 && !isRefused(place.report, fieldOf(place, key)))
        refuse(place.report, fieldOf(place, key), 'names no clusters', 'a list of cluster selectors, e.g. ["berlin"]')
      return clusters.length === 0 ? [] : [{ ...NONE, kind: 'clusters', clusters }]
    }
    case 'geo':
      only('location', 'threshold', 'rigidness', 'convergence_time')
      return readGeo(place)
    case 'latency':
      only('area', 'target', 'location', 'threshold', 'rigidness', 'convergence_time')
      return readLatency(place, siblings)
  }
}

/** Half the way around the earth; nothing is farther. */
const KM_MAX = 21_000

function readGeo(place: Place): readonly Constraint[] {
  const where = readKey(place, CONSTRAINT_KEYS, 'location')
  if (where === null && !isRefused(place.report, fieldOf(place, 'location')))
    refuse(place.report, fieldOf(place, 'location'), 'is missing', PLACE_EXPECTED)
  const radiusKm = readThreshold(place, 'km', KM_MAX)
  if (where === null || radiusKm === null) return []
  return [{ ...NONE, kind: 'geo', geo: { place: where, radiusKm, ...readRigour(place) } }]
}

function readLatency(place: Place, siblings: Siblings): readonly Constraint[] {
  const key = (['target', 'area', 'location'] as const).find((name) => isSet(place.raw[name]))
  const thresholdMs = readThreshold(place, 'ms', 1e6)
  if (key === undefined) {
    const expected = 'an "area" (a place or a selector) or a "target" (a service, a place or a selector)'
    refuse(place.report, place.path, 'does not say to whom', expected)
    return []
  }
  const target = key === 'location' ? locationTarget(place) : latencyTarget(place, key, siblings)
  if (thresholdMs === null || target === null) return []
  return [{ ...NONE, kind: 'latency', latency: { ...target, thresholdMs, ...readRigour(place) } }]
}

type LatencyTarget = Pick<NonNullable<Constraint['latency']>, 'place' | 'selector' | 'service'>
const NOBODY: LatencyTarget = { place: null, selector: null, service: null }

function locationTarget(place: Place): LatencyTarget | null {
  const where = readKey(place, CONSTRAINT_KEYS, 'location')
  return where === null ? null : { ...NOBODY, place: where }
}

function latencyTarget(place: Place, key: 'area' | 'target', siblings: Siblings): LatencyTarget | null {
  const text = place.raw[key]
  if (isObject(text) || (typeof text === 'string' && parsePosition(text) !== null)) {
    const where = position('').read(place, key)
    return where === null ? null : { ...NOBODY, place: where }
  }
  const service = key === 'target' && typeof text === 'string' ? findSibling(siblings, text) : null
  if (service !== null) return { ...NOBODY, service }
  const source = readSelector(place, key)
  return source === null ? null : { ...NOBODY, selector: source }
}

export function readConnection(place: Place, siblings: Siblings): readonly Constraint[] {
  checkKeys(place, 'connectivity', CONNECTIVITY_KEYS)
  const field = fieldOf(place, 'target_microservice_id')
  const raw = place.raw.target_microservice_id
  const meant = typeof raw === 'number' ? String(raw) : readKey(place, CONNECTIVITY_KEYS, 'target_microservice_id')
  if (meant === '' && !isRefused(place.report, field))
    refuse(place.report, field, 'is missing', 'the microserviceID or name of another microservice')
  const service = meant === '' ? null : resolveService(place, field, siblings, meant)
  return readKey(place, CONNECTIVITY_KEYS, 'con_constraints').flatMap((inner) => readConnectionLimit(inner, service))
}

function readConnectionLimit(place: Place, service: ServiceId | null): readonly Constraint[] {
  checkKeys(place, 'connection', CONNECTION_KEYS)
  const type = readKey(place, CONNECTION_KEYS, 'type')
  if (type === 'none') {
    if (!isRefused(place.report, fieldOf(place, 'type')))
      refuse(place.report, fieldOf(place, 'type'), 'is missing', 'latency or bandwidth')
    return []
  }
  const limit = readThreshold(place, type === 'latency' ? 'ms' : 'kbit/s', type === 'latency' ? 1e6 : 1e9)
  if (limit === null || service === null) return []
  const rigour = readRigour(place)
  if (type === 'bandwidth')
    return [{ ...NONE, kind: 'bandwidth', bandwidth: { service, mbitPerS: limit / KBIT_PER_MBIT, ...rigour } }]
  return [{ ...NONE, kind: 'latency', latency: { ...NOBODY, service, thresholdMs: limit, ...rigour } }]
}

/** Required: a limit that nobody named cannot be kept. */
function readThreshold(place: Place, unit: string, max: number): number | null {
  const field = fieldOf(place, 'threshold')
  const value = readKey(place, RIGOUR_KEYS, 'threshold')
  if (value !== null && value <= max) return value
  const problem = value === null ? 'is missing' : `${value} ${unit} is more than ${max}`
  if (!isRefused(place.report, field)) refuse(place.report, field, problem, `a number of ${unit} up to ${max}`)
  return null
}

function readRigour(place: Place): { readonly rigidness: number; readonly convergenceMs: number } {
  return {
    rigidness: readKey(place, RIGOUR_KEYS, 'rigidness'),
    convergenceMs: readKey(place, RIGOUR_KEYS, 'convergence_time'),
  }
}

const PLACE_EXPECTED = '"latitude,longitude" in degrees, north and east positive, e.g. "48.137,11.575"'

/** `"48.1,11.5"`, `{latitude, longitude}`, `{lat, lon}` (or `lng`, `long`), or `[48.1, 11.5]`. */
function position(about: string): Field<Position | null> {
  const text = { type: 'string', pattern: `^\\s*${DECIMAL}\\s*,\\s*${DECIMAL}\\s*$` }
  const degrees = { type: ['number', 'string'] }
  const mapped = {
    type: 'object',
    properties: Object.fromEntries(['latitude', 'lat', 'longitude', 'lon', 'lng', 'long'].map((key) => [key, degrees])),
  }
  const pair = { type: 'array', minItems: 2, maxItems: 2, items: degrees }
  return honoured(about, orOpen(text, mapped, pair), (place, key) => {
    const raw = place.raw[key]
    if (isOpen(raw)) return null
    const found = parsePosition(raw)
    if (found === null) refuse(place.report, fieldOf(place, key), `${show(raw)} is no place`, PLACE_EXPECTED)
    return found
  })
}

function parsePosition(raw: unknown): Position | null {
  const pair = isObject(raw)
    ? [raw.latitude ?? raw.lat, raw.longitude ?? raw.lon ?? raw.lng ?? raw.long]
    : typeof raw === 'string'
      ? raw.split(',')
      : raw
  if (!Array.isArray(pair) || pair.length !== 2) return null
  const [latitude, longitude] = pair.map((part) =>
    typeof part === 'string' && IS_DECIMAL.test(part) ? Number(part) : part,
  )
  const inRange = (value: unknown, max: number): value is number => typeof value === 'number' && Math.abs(value) <= max
  return inRange(latitude, 90) && inRange(longitude, 180) ? { latitude, longitude } : null
}

const IS_DECIMAL = new RegExp(`^\\s*${DECIMAL}\\s*$`)

export function selector(about: string): Field<string | null> {
  return honoured(about, { type: ['string', 'null'], maxLength: 512 }, readSelector)
}

function readSelector(place: Place, key: string): string | null {
  const written = readText(place, key, 512)
  if (written === '') return null
  // Oakestra's reference lists nodes with semicolons, which no selector has.
  const listed = written.replace(/\s*;\s*/g, ',').replace(/^,+|,+$/g, '')
  const source = !parseSelector(written).ok && written.includes(';') ? listed : written
  const parsed = parseSelector(source)
  if (parsed.ok) return source
  const { at, problem } = parsed.error
  const expected = 'names, "*", /regex/, label=value, "!" for not, a space for and, "," for or'
  refuse(place.report, fieldOf(place, key), `at character ${at + 1} of ${show(source)}: ${problem}`, expected)
  return null
}

function selectors(about: string): Field<readonly string[]> {
  const text = { type: 'string', maxLength: 256 }
  return honoured(about, orOpen(text, { type: 'array', maxItems: 64, items: text }), readSelectors)
}

function readSelectors(place: Place, key: string): readonly string[] {
  const raw = place.raw[key]
  const field = fieldOf(place, key)
  if (isOpen(raw)) return []
  const items = typeof raw === 'string' ? [raw] : raw
  if (
    !Array.isArray(items) ||
    items.length === 0 ||
    items.length > 64 ||
    items.some((item) => typeof item !== 'string' || item.length > 256)
  ) {
    const expected = 'a list of 1 to 64 cluster selectors, e.g. ["berlin"]'
    refuse(place.report, field, `${show(raw)} is no list of clusters`, expected)
    return []
  }
  return items.flatMap((_, index) => {
    const inner: Place = { report: place.report, path: field, raw: { [String(index)]: items[index] } }
    return readSelector(inner, String(index)) ?? []
  })
}

export const KBIT_PER_MBIT = 1_000
const BANDWIDTH = '^\\s*\\d+(?:\\.\\d+)?\\s*(?:[kKmMgG](?:bit(?:/s)?|bps)?)?\\s*$'
const KBIT: Readonly<Record<string, number>> = { '': 1, k: 1, m: 1_000, g: 1_000_000 }

/** kbit/s as a number (Oakestra's SLA 0.3.2), or text with a unit: `500k`, `20mbit`, `1gbit`. In Mbit/s. */
export function bandwidth(about: string): Field<number> {
  const schema = orOpen({ type: 'number', minimum: 0, maximum: 1e9 }, { type: 'string', pattern: BANDWIDTH })
  return honoured(about, schema, (place, key) => {
    const raw = place.raw[key]
    if (isOpen(raw)) return 0
    const isText = typeof raw === 'string' && new RegExp(BANDWIDTH).test(raw)
    const unit = isText ? (/[kmg]/i.exec(raw)?.[0].toLowerCase() ?? '') : ''
    const kbit = isText ? Number.parseFloat(raw) * (KBIT[unit] as number) : raw
    if (typeof kbit === 'number' && kbit >= 0 && kbit <= 1e9) return kbit / KBIT_PER_MBIT
    const expected = 'kbit/s, or a text like "500k", "20mbit", "1gbit", up to 1000 gbit'
    refuse(place.report, fieldOf(place, key), `${show(raw)} is no bandwidth`, expected)
    return 0
  })
}
