// Values as Compose writes them, and the keys of Compose that nothing here answers to, each named in a warning.

import { nearest } from './descriptor-keys.ts'
import { fieldOf, isObject, isOpen, isSet, type Place, refuse, show, textOf, warn } from './descriptor-report.ts'

const BYTES_PER_MB = 1_000_000
const UNIT_BYTES: Readonly<Record<string, number>> = {
  '': 1,
  b: 1,
  k: 1_024,
  m: 1_024 ** 2,
  g: 1_024 ** 3,
  t: 1_024 ** 4,
}
const SIZE = /^\s*(\d+(?:\.\d+)?)\s*([bkmgt]?)(?:i?b)?\s*$/i

/** Bytes as a number, or text with a unit of 1024s: `512m`, `1.5gb`. In MB; null where nothing is said. */
export function readMegabytes(place: Place, key: string): number | null {
  const raw = place.raw[key]
  if (isOpen(raw)) return null
  const match = SIZE.exec(textOf(raw))
  if (match !== null) return (Number(match[1]) * (UNIT_BYTES[(match[2] ?? '').toLowerCase()] as number)) / BYTES_PER_MB
  refuse(place.report, fieldOf(place, key), `${show(raw)} is no size`, 'bytes, or a text like "512m" or "1g"')
  return null
}

/** The object under a key; an empty one where nothing or, with an error, something else stands. */
export function objectAt(place: Place, key: string): Place {
  const raw = place.raw[key]
  const path = fieldOf(place, key)
  if (isObject(raw)) return { report: place.report, path, raw }
  if (!isOpen(raw)) refuse(place.report, path, `${show(raw)} is no object`, 'an object')
  return { report: place.report, path, raw: {} }
}

/** The items of a list, each with its path. */
export function itemsAt(place: Place, key: string): readonly { readonly path: string; readonly raw: unknown }[] {
  const raw = place.raw[key]
  const field = fieldOf(place, key)
  if (Array.isArray(raw)) return raw.map((item, index) => ({ path: `${field}[${index}]`, raw: item }))
  if (!isOpen(raw)) refuse(place.report, field, `${show(raw)} is no list`, 'a list')
  return []
}

/** Names what has no effect, with its path; `x-` keys are for others by definition. */
export function warnUnsupported(place: Place, known: readonly string[], others: readonly string[] = []): void {
  for (const key of Object.keys(place.raw)) {
    if (known.includes(key) || key.startsWith('x-')) continue
    if (others.includes(key)) {
      if (isSet(place.raw[key])) warn(place.report, fieldOf(place, key), `"${key}" is not supported and has no effect`)
      continue
    }
    const near = nearest(key, known)
    const hint = near === null ? '' : `: did you mean "${near}"?`
    warn(place.report, fieldOf(place, key), `"${key.slice(0, 64)}" is not supported and has no effect${hint}`)
  }
}

/** Compose's names may hold what no part of an address may: `my_db` is called `my-db`. */
export function labelOf(name: string): string {
  return name
    .toLowerCase()
    .replace(/[._]+/g, '-')
    .replace(/^-+|-+$/g, '')
}
