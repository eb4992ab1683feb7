// A key of a descriptor: how it is read, what may stand there and what becomes of it, said once. The parser reads by
// these tables and the published JSON Schema is made from them, so neither can know a key that the other does not.

import {
  DECIMAL,
  fieldOf,
  isOpen,
  type NumberBounds,
  type Place,
  readFlag,
  readLabel,
  readNumber,
  readObjects,
  readText,
  refuse,
  show,
  textOf,
} from './descriptor-report.ts'

export type JsonSchema = Readonly<Record<string, unknown>>

export interface Field<T> {
  /** Returns a usable value whatever stands there; what is wrong goes to the report. */
  readonly read: (place: Place, key: string) => T
  /** JSON Schema (draft 2020-12) of what may stand there. */
  readonly schema: JsonSchema
  /** For people; the schema's description. */
  readonly about: string
  /** `carried`: for people only. `unused`: understood, but nothing is done with it; a warning says why. */
  readonly treatment: 'honoured' | 'carried' | 'unused'
}

export type FieldTable = Readonly<Record<string, Field<unknown>>>

/** Reads what the table says of one key. */
export function readKey<T extends FieldTable, K extends keyof T & string>(
  place: Place,
  table: T,
  key: K,
): T[K] extends Field<infer V> ? V : never {
  const field = table[key] as Field<unknown>
  return field.read(place, key) as T[K] extends Field<infer V> ? V : never
}

/** `null` and `""` leave a field open, as if it were not there. */
export const orOpen = (...schemas: readonly JsonSchema[]): JsonSchema => ({ anyOf: [...schemas, { enum: [null, ''] }] })

/** Other keys are allowed: they are warnings, as in the parser. */
export function objectSchema(table: FieldTable, required: readonly string[] = []): JsonSchema {
  const properties = Object.fromEntries(
    Object.entries(table).map(([key, { about, schema }]) => [key, { description: about, ...schema }]),
  )
  return { type: 'object', properties, ...(required.length > 0 && { required }) }
}

export const honoured = <T>(about: string, schema: JsonSchema, read: Field<T>['read']): Field<T> => ({
  about,
  schema,
  read,
  treatment: 'honoured',
})

/** Something for people: any value, of which nothing is read. */
export const carried = (about: string): Field<null> => ({ about, schema: {}, read: () => null, treatment: 'carried' })

/** Understood, but nothing is done with it; `about` says why. */
export const unused = (about: string): Field<null> => ({ about, schema: {}, read: () => null, treatment: 'unused' })

/** A number, or text that is one, within bounds. */
export function amount(about: string, bounds: NumberBounds): Field<number> {
  const { min, max, whole } = bounds
  const number = { type: whole ? 'integer' : 'number', minimum: min, maximum: max }
  return honoured(about, orOpen(number, { type: 'string', pattern: `^\\s*${DECIMAL}\\s*$` }), (place, key) =>
    readNumber(place, key, bounds),
  )
}

/** As `amount`; null where nothing is said. */
export function optionalAmount(about: string, bounds: Omit<NumberBounds, 'fallback'>): Field<number | null> {
  const inner = amount(about, { ...bounds, fallback: bounds.min })
  return { ...inner, read: (place, key) => (isOpen(place.raw[key]) ? null : inner.read(place, key)) }
}

export const flag = (about: string): Field<boolean> =>
  honoured(about, { enum: [true, false, 'true', 'false', 0, 1, null, ''] }, readFlag)

export const words = (about: string, charsMax: number): Field<string> =>
  honoured(about, { type: ['string', 'null'], maxLength: charsMax }, (place, key) => readText(place, key, charsMax))

/** One part of an address. */
export const label = (about: string): Field<string> =>
  honoured(about, { type: 'string', pattern: '^\\s*[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?\\s*$' }, readLabel)

/** One of several words; what else people write for one of them stands in `aliases`. */
export function choice<T extends string>(
  about: string,
  options: readonly T[],
  fallback: T,
  aliases: Readonly<Record<string, T>> = {},
): Field<T> {
  const known: Readonly<Record<string, T>> = {
    ...Object.fromEntries(options.map((option) => [option, option])),
    ...aliases,
  }
  return honoured(about, { enum: [...Object.keys(known), null, ''] }, (place, key) => {
    const raw = place.raw[key]
    if (isOpen(raw)) return fallback
    const found = typeof raw === 'string' && Object.hasOwn(known, raw) ? known[raw] : undefined
    if (found === undefined)
      refuse(place.report, fieldOf(place, key), `${show(raw)} is no value of "${key}"`, options.join(', '))
    return found ?? fallback
  })
}

/** A list of objects, whose keys one of the tables describes. */
export const objects = (about: string, itemsMax: number, item: JsonSchema): Field<readonly Place[]> =>
  honoured(about, orOpen({ type: 'array', maxItems: itemsMax, items: item }), (place, key) =>
    readObjects(place, key, itemsMax),
  )

export interface DurationBounds {
  /** What holds where nothing is said; may be null. */
  readonly fallbackMs: number | null
  readonly minMs: number
  readonly maxMs: number
}

const UNIT_MS: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 }
const PIECE = /(\d+(?:\.\d+)?)\s*(ms|s|m|h)/g
const DURATION = '^\\s*(?:\\d+(?:\\.\\d+)?|(?:\\d+(?:\\.\\d+)?\\s*(?:ms|s|m|h))+)\\s*$'
const IS_DURATION = new RegExp(DURATION)

/** Seconds as a number, or text with units: `500ms`, `10s`, `1m30s`, `1.5h`. In ms; NaN when it is none. */
export function durationMs(raw: unknown): number {
  const text = typeof raw === 'boolean' ? '' : textOf(raw)
  if (!IS_DURATION.test(text)) return Number.NaN
  const pieces = [...text.matchAll(PIECE)]
  const ms =
    pieces.length === 0
      ? Number(text) * 1_000
      : pieces.reduce((sum, [, count, unit]) => sum + Number(count) * (UNIT_MS[unit as string] as number), 0)
  return Math.round(ms)
}

export function readDuration<T extends number | null>(
  place: Place,
  key: string,
  bounds: DurationBounds & { readonly fallbackMs: T },
): number | T {
  const raw = place.raw[key]
  if (isOpen(raw)) return bounds.fallbackMs
  const ms = durationMs(raw)
  if (ms >= bounds.minMs && ms <= bounds.maxMs) return ms
  const range = `from ${bounds.minMs / 1_000} to ${bounds.maxMs / 1_000} seconds`
  const expected = `seconds, or a text like "500ms", "10s", "1m30s", ${range}`
  refuse(place.report, fieldOf(place, key), `${show(raw)} is no duration ${range}`, expected)
  return bounds.fallbackMs
}

export const duration = <T extends number | null>(
  about: string,
  bounds: DurationBounds & { readonly fallbackMs: T },
): Field<number | T> =>
  honoured(
    about,
    orOpen(
      { type: 'number', minimum: bounds.minMs / 1_000, maximum: bounds.maxMs / 1_000 },
      { type: 'string', pattern: DURATION },
    ),
    (place, key) => readDuration(place, key, bounds),
  )
