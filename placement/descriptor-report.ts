// The findings about a descriptor, all of them at once, each with the JSON path of its field; and the plain readers
// that make them: a reader returns a usable value whatever it was given, so that reading goes on to the next mistake.

export interface FieldError extends FieldWarning {
  /** What would be right. */
  readonly expected: string
}

export interface FieldWarning {
  /** JSON path, e.g. `$.applications[0].microservices[1].memory`. */
  readonly field: string
  readonly problem: string
  /** Of the field in a YAML file, from 1. */
  readonly line?: number
}

export interface Report {
  readonly errors: FieldError[]
  readonly warnings: FieldWarning[]
}

/** A JSON object, its path and where findings go. */
export interface Place {
  readonly report: Report
  readonly path: string
  readonly raw: Readonly<Record<string, unknown>>
}

export const refuse = (report: Report, field: string, problem: string, expected: string): void => {
  report.errors.push({ field, problem, expected })
}

export const warn = (report: Report, field: string, problem: string): void => {
  report.warnings.push({ field, problem })
}

export const fieldOf = (place: Place, key: string): string => childPath(place.path, key)

export function childPath(path: string, key: string): string {
  if (/^\d+$/.test(key)) return `${path}[${key}]`
  return /^[A-Za-z_][\w-]*$/.test(key) ? `${path}.${key}` : `${path}[${JSON.stringify(key)}]`
}

export const isObject = (raw: unknown): raw is Readonly<Record<string, unknown>> =>
  typeof raw === 'object' && raw !== null && !Array.isArray(raw)

/** Whether something is wrong with the field already; one complaint about it is enough. */
export const isRefused = (report: Report, field: string): boolean =>
  report.errors.some((error) => error.field === field)

/** Whether a field says anything: `0`, `""`, `[]` and the like are how descriptors leave a field open. */
export function isSet(raw: unknown): boolean {
  if (raw === undefined || raw === null || raw === false) return false
  if (raw === 0 || raw === '' || raw === '0') return false
  if (Array.isArray(raw)) return raw.length > 0
  return !isObject(raw) || Object.keys(raw).length > 0
}

/** Whether nobody said anything of a field whose zero is a value of its own. */
export const isOpen = (raw: unknown): raw is undefined | null | '' => raw === undefined || raw === null || raw === ''

/** A plain value as text; nothing for lists and objects, which may not have one (`{"toString": 1}`). */
export const textOf = (raw: unknown): string =>
  typeof raw === 'string' || typeof raw === 'number' || typeof raw === 'boolean' ? String(raw) : ''

/** What a wrong value looks like in a sentence. */
export function show(raw: unknown): string {
  const text = JSON.stringify(raw) ?? 'nothing'
  return text.length > 60 ? `${text.slice(0, 57)}...` : text
}

export interface NumberBounds {
  readonly fallback: number
  readonly min: number
  readonly max: number
  readonly whole: boolean
  /** What it counts, e.g. `MB`. */
  readonly unit: string
}

/** Decimal notation, as text. */
export const DECIMAL = '[+-]?(?:\\d+\\.?\\d*|\\.\\d+)(?:[eE][+-]?\\d+)?'
const NUMBER = new RegExp(`^\\s*${DECIMAL}\\s*$`)

/** A number, or text that is one. */
export function readNumber(place: Place, key: string, bounds: NumberBounds): number {
  const raw = place.raw[key]
  if (isOpen(raw)) return bounds.fallback
  const value = typeof raw === 'string' && NUMBER.test(raw) ? Number(raw) : raw
  const good =
    typeof value === 'number' &&
    value >= bounds.min &&
    value <= bounds.max &&
    (!bounds.whole || Number.isInteger(value))
  if (good) return value
  const kind = bounds.whole ? 'a whole number' : 'a number'
  const of = bounds.unit === '' ? '' : ` of ${bounds.unit}`
  refuse(
    place.report,
    fieldOf(place, key),
    `${show(raw)} is not ${kind}${of} from ${bounds.min} to ${bounds.max}`,
    `${kind}${of} from ${bounds.min} to ${bounds.max}, e.g. ${bounds.fallback}`,
  )
  return bounds.fallback
}

export function readFlag(place: Place, key: string): boolean {
  const raw = place.raw[key]
  if (raw === undefined || raw === null || raw === '') return false
  if (typeof raw === 'boolean') return raw
  if (raw === 'true' || raw === 'false') return raw === 'true'
  if (raw === 0 || raw === 1) return raw === 1
  refuse(place.report, fieldOf(place, key), `${show(raw)} is neither true nor false`, 'true or false')
  return false
}

export function readText(place: Place, key: string, charsMax: number): string {
  const raw = place.raw[key]
  if (raw === undefined || raw === null) return ''
  if (typeof raw === 'string' && raw.length <= charsMax) return raw.trim()
  const problem = typeof raw === 'string' ? `is ${raw.length} characters long` : `${show(raw)} is no text`
  refuse(place.report, fieldOf(place, key), problem, `text of at most ${charsMax} characters`)
  return ''
}

/** Stands for a name that could not be read; no label looks like it. */
export const NO_LABEL = '?'
const LABEL = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/
const LABEL_EXPECTED = '1 to 63 of a-z, 0-9 and "-", beginning and ending with a letter or digit (a DNS label)'

/**
 * A DNS label (RFC 1123, section 2.1); capitals are folded with a warning, because names are compared in lower case.
 */
export function readLabel(place: Place, key: string): string {
  const raw = place.raw[key]
  const field = fieldOf(place, key)
  if (raw === undefined || raw === null || raw === '') {
    refuse(place.report, field, 'is missing', LABEL_EXPECTED)
    return NO_LABEL
  }
  const lower = typeof raw === 'string' ? raw.trim().toLowerCase() : ''
  if (!LABEL.test(lower)) {
    refuse(place.report, field, `${show(raw)} cannot be part of an address`, LABEL_EXPECTED)
    return NO_LABEL
  }
  if (lower !== raw) warn(place.report, field, `is used in lower case: ${lower}`)
  return lower
}

/** The objects in a list; what is no object is reported and left out. */
export function readObjects(place: Place, key: string, itemsMax: number): readonly Place[] {
  const raw = place.raw[key]
  if (raw === undefined || raw === null || raw === '') return []
  const field = fieldOf(place, key)
  if (!Array.isArray(raw) || raw.length > itemsMax) {
    const problem = Array.isArray(raw) ? `has ${raw.length} entries` : `${show(raw)} is no list`
    refuse(place.report, field, problem, `a list of at most ${itemsMax} objects`)
    return []
  }
  return raw.flatMap((item, index) => {
    const path = `${field}[${index}]`
    if (isObject(item)) return [{ report: place.report, path, raw: item }]
    refuse(place.report, path, `${show(item)} is no object`, 'an object')
    return []
  })
}
