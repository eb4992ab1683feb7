// Variables in a Compose file: `$NAME`, `${NAME}` and what to take, say or fail with where it is not set or empty; in
// values only, as the Compose specification has it ("Interpolation").

import { childPath, isObject, type Report, refuse, warn } from './descriptor-report.ts'

export type Variables = Readonly<Record<string, string>>

/** How deep defaults may stand in defaults. */
const DEPTH_MAX = 16

/** The value with all its variables filled in. */
export function interpolate(report: Report, raw: unknown, variables: Variables, path = '$'): unknown {
  if (typeof raw === 'string') return interpolateText(report, raw, variables, path)
  if (Array.isArray(raw)) {
    return raw.map((item, index) => interpolate(report, item, variables, childPath(path, String(index))))
  }
  if (!isObject(raw)) return raw
  const pairs = Object.entries(raw).map(
    ([key, value]) => [key, interpolate(report, value, variables, childPath(path, key))] as const,
  )
  return Object.fromEntries(pairs)
}

/** Interpolating this gives the value back. */
export function escapeVariables(raw: unknown): unknown {
  if (typeof raw === 'string') return raw.replaceAll('$', '$$$$')
  if (Array.isArray(raw)) return raw.map(escapeVariables)
  return isObject(raw)
    ? Object.fromEntries(Object.entries(raw).map(([key, value]) => [key, escapeVariables(value)]))
    : raw
}

const NAME = /^[A-Za-z_][A-Za-z0-9_]*/
const OPERATOR = /^(?::-|-|:\?|\?|:\+|\+)/

export function interpolateText(report: Report, text: string, variables: Variables, path: string, depth = 0): string {
  if (depth > DEPTH_MAX) {
    refuse(report, path, `has variables more than ${DEPTH_MAX} deep in defaults`, 'fewer defaults of defaults')
    return ''
  }
  let out = ''
  for (let at = 0; at < text.length; ) {
    const next = text.indexOf('$', at)
    if (next < 0) return out + text.slice(at)
    out += text.slice(at, next)
    const rest = text.slice(next + 1)
    const plain = NAME.exec(rest)?.[0]
    if (rest.startsWith('$')) {
      out += '$'
      at = next + 2
    } else if (plain !== undefined) {
      out += valueFor(report, plain, variables, path)
      at = next + 1 + plain.length
    } else {
      const end = rest.startsWith('{') ? closingBrace(rest) : -1
      const inner = rest.slice(1, end)
      const name = end < 0 ? undefined : NAME.exec(inner)?.[0]
      const operator = name === undefined ? undefined : OPERATOR.exec(inner.slice(name.length))?.[0]
      if (name === undefined || (operator === undefined && inner !== name)) {
        const expected = `\${NAME}, \${NAME:-default}, \${NAME:?message}, \${NAME:+instead}, or "$$" for a dollar sign`
        refuse(report, path, `"$${rest.slice(0, 20)}" is no variable`, expected)
        return out + text.slice(next)
      }
      const word = inner.slice(name.length + (operator?.length ?? 0))
      const fill = (): string => interpolateText(report, word, variables, path, depth + 1)
      out +=
        operator === undefined
          ? valueFor(report, name, variables, path)
          : chosen(report, name, operator, fill, variables, path)
      at = next + 2 + end
    }
  }
  return out
}

function valueFor(report: Report, name: string, variables: Variables, path: string): string {
  const value = Object.hasOwn(variables, name) ? variables[name] : undefined
  if (value === undefined) warn(report, path, `the variable ${name} is not set: empty text takes its place`)
  return value ?? ''
}

function chosen(
  report: Report,
  name: string,
  operator: string,
  word: () => string,
  variables: Variables,
  path: string,
): string {
  const value = Object.hasOwn(variables, name) ? variables[name] : undefined
  const isThere = value !== undefined && (!operator.startsWith(':') || value !== '')
  if (operator.endsWith('+')) return isThere ? word() : ''
  if (isThere) return value
  if (operator.endsWith('-')) return word()
  refuse(report, path, `the variable ${name} is not set: ${word() || 'it is required'}`, `a value for ${name}`)
  return ''
}

/** Where the brace at the beginning is closed, those within counted; -1 where it is not. */
function closingBrace(text: string): number {
  let open = 0
  for (let at = 0; at < text.length; at++) {
    if (text[at] === '{') open += 1
    if (text[at] === '}') open -= 1
    if (open === 0) return at
  }
  return -1
}

const LINE = /^\s*(?:export\s+)?([A-Za-z_][A-Za-z0-9_.-]*)\s*(?:[=:]\s*(.*))?$/
const ESCAPES: Readonly<Record<string, string>> = { n: '\n', r: '\r', t: '\t' }

/**
 * A file of `NAME=value` lines (`.env`, `env_file`); a name alone takes its value from the variables, where it has one.
 */
export function readEnvironmentFile(report: Report, text: string, variables: Variables, path: string): Variables {
  const found: Record<string, string> = {}
  for (const [index, line] of text.split(/\r?\n/).entries()) {
    if (/^\s*(?:#|$)/.test(line)) continue
    const match = LINE.exec(line)
    if (match === null) {
      refuse(report, path, `line ${index + 1} of the file is no NAME=value`, 'NAME=value, or a "#" before a comment')
      continue
    }
    const [, name = '', raw] = match
    if (raw === undefined) {
      const own = variables[name]
      if (own !== undefined) found[name] = own
    } else found[name] = environmentValue(report, raw.trim(), { ...variables, ...found }, path)
  }
  return found
}

function environmentValue(report: Report, raw: string, variables: Variables, path: string): string {
  const single = /^'([^']*)'\s*(?:#.*)?$/.exec(raw)
  if (single !== null) return single[1] as string
  const double = /^"((?:[^"\\]|\\.)*)"\s*(?:#.*)?$/.exec(raw)
  if (double !== null) {
    const plain = (double[1] as string).replace(/\\(.)/g, (whole, one: string) =>
      one === '$' ? '$$' : (ESCAPES[one] ?? (one === '"' || one === '\\' ? one : whole)),
    )
    return interpolateText(report, plain, variables, path)
  }
  return interpolateText(report, raw.replace(/(?:^|\s+)#.*$/, ''), variables, path)
}
