// Keys that stand in a descriptor against those that are known: one that nothing honours yet is said out loud, and one
// that nobody knows is met with the nearest one that somebody does.

import type { FieldTable } from './descriptor-field.ts'
import { fieldOf, isSet, type Place, textOf, warn } from './descriptor-report.ts'

/**
 * What is read and carried in the spec but enforced by nothing so far, as `table.key` or `table.key=value`. An entry
 * goes when what enforces it comes.
 */
export const NOT_YET: readonly string[] = []

/** Warns of unknown keys, of those that mean nothing here and of those that are not enforced yet. */
export function checkKeys(place: Place, table: string, keys: FieldTable): void {
  for (const [key, raw] of Object.entries(place.raw)) {
    const field = Object.hasOwn(keys, key) ? keys[key] : undefined
    if (field === undefined) {
      const near = nearest(key, Object.keys(keys))
      const hint = near === null ? '' : `: did you mean "${near}"?`
      warn(place.report, fieldOf(place, key), `"${key.slice(0, 64)}" is not a known key and has no effect${hint}`)
    } else if (isSet(raw) && field.treatment === 'unused') warn(place.report, fieldOf(place, key), field.about)
    else if (isSet(raw) && isNotYet(table, key, raw)) warnNotYet(place, key, raw)
  }
}

/** Warns of known keys that are set although this object has no use for them. */
export function warnUnused(place: Place, keys: FieldTable, used: readonly string[], problem: string): void {
  const idle = Object.keys(keys).filter((key) => !used.includes(key) && isSet(place.raw[key]))
  for (const key of idle) warn(place.report, fieldOf(place, key), problem)
}

const isNotYet = (table: string, key: string, raw: unknown): boolean =>
  NOT_YET.includes(`${table}.${key}`) || NOT_YET.includes(`${table}.${key}=${textOf(raw)}`)

function warnNotYet(place: Place, key: string, raw: unknown): void {
  const what = key === 'type' || key === 'kind' ? `"${textOf(raw)}" is` : 'is'
  warn(place.report, fieldOf(place, key), `${what} accepted but not enforced yet`)
}

/** The known word at most two edits away (Levenshtein), null where there is none. */
export function nearest(word: string, known: readonly string[]): string | null {
  const lower = word.toLowerCase().slice(0, 64)
  let best: string | null = null
  let bestDistance = EDITS_MAX + 1
  for (const candidate of known) {
    const distance = editDistance(lower, candidate.toLowerCase())
    if (distance < bestDistance && distance < candidate.length) {
      best = candidate
      bestDistance = distance
    }
  }
  return best
}

/** Two slips of the finger; at three, "cmd" would be taken for "code". */
const EDITS_MAX = 2

function editDistance(a: string, b: string): number {
  let previous = Array.from({ length: b.length + 1 }, (_, index) => index)
  for (let i = 1; i <= a.length; i++) {
    const row = [i]
    for (let j = 1; j <= b.length; j++) {
      const replaced = (previous[j - 1] as number) + (a[i - 1] === b[j - 1] ? 0 : 1)
      row.push(Math.min(replaced, (previous[j] as number) + 1, (row[j - 1] as number) + 1))
    }
    previous = row
  }
  return previous[b.length] as number
}
