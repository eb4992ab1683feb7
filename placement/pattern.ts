// A small regular language for selectors, matched without backtracking: a pattern maps the set of places where a match
// may stand to the set where it may end, so that no pattern, however nested, takes longer than its length times the
// text's squared.

import { err, ok, type Result } from '../overlay/kernel/result.ts'

/** Characters of one pattern. Bounds the work of a match (see above) and of nesting. */
export const PATTERN_CHARS_MAX = 128
/** Characters of what is matched; labels have at most 255. */
export const SUBJECT_CHARS_MAX = 512

type Pattern =
  | { readonly kind: 'one'; readonly accepts: (character: string) => boolean }
  | { readonly kind: 'all'; readonly parts: readonly Pattern[] }
  | { readonly kind: 'any'; readonly choices: readonly Pattern[] }
  | { readonly kind: 'repeat'; readonly inner: Pattern; readonly least: 0 | 1; readonly most: 1 | null }

export interface PatternProblem {
  /** Characters before the one that is wrong. */
  readonly at: number
  readonly problem: string
}

export type Matcher = (subject: string) => boolean

/**
 * Reads a regular expression: literals, `.`, `[a-z]`, `[^a-z]`, `\d \w \s`, groups, `|`, `*`, `+`, `?`; always anchored
 * at both ends. Counted repetition, look-around and back-references are no part of it.
 */
export function compilePattern(source: string): Result<Matcher, PatternProblem> {
  if (source.length > PATTERN_CHARS_MAX) {
    return err({ at: PATTERN_CHARS_MAX, problem: `a regular expression has at most ${PATTERN_CHARS_MAX} characters` })
  }
  try {
    const reader = { source, at: 0 }
    const pattern = readChoices(reader)
    if (reader.at < source.length) throw new BadPattern(reader.at, 'this ")" closes nothing')
    return ok(matcher(pattern))
  } catch (problem) {
    if (problem instanceof BadPattern) return err({ at: problem.at, problem: problem.message })
    throw problem
  }
}

/** A name in which `*` stands for any characters, none included; anchored. */
export function compileGlob(source: string): Matcher {
  const star: Pattern = { kind: 'repeat', inner: { kind: 'one', accepts: () => true }, least: 0, most: null }
  return matcher({
    kind: 'all',
    parts: [...source].map((character) => (character === '*' ? star : literal(character))),
  })
}

class BadPattern extends Error {
  readonly at: number
  constructor(at: number, message: string) {
    super(message)
    this.at = at
  }
}

interface Reader {
  readonly source: string
  at: number
}

const matcher =
  (pattern: Pattern): Matcher =>
  (subject) =>
    subject.length <= SUBJECT_CHARS_MAX && ends(pattern, subject, new Set([0])).has(subject.length)

/** Where matches of `pattern` that start at one of `starts` may end. */
function ends(pattern: Pattern, subject: string, starts: ReadonlySet<number>): ReadonlySet<number> {
  switch (pattern.kind) {
    case 'one':
      return new Set(
        [...starts].filter((at) => at < subject.length && pattern.accepts(subject[at] as string)).map((at) => at + 1),
      )
    case 'all':
      return pattern.parts.reduce((from, part) => (from.size === 0 ? from : ends(part, subject, from)), starts)
    case 'any':
      return new Set(pattern.choices.flatMap((choice) => [...ends(choice, subject, starts)]))
    case 'repeat': {
      if (pattern.most === 1) return new Set([...starts, ...ends(pattern.inner, subject, starts)])
      const reached = new Set(pattern.least === 0 ? starts : [])
      let frontier = starts
      while (frontier.size > 0) {
        const next = [...ends(pattern.inner, subject, frontier)].filter((at) => !reached.has(at))
        for (const at of next) reached.add(at)
        frontier = new Set(next)
      }
      return reached
    }
  }
}

function readChoices(reader: Reader): Pattern {
  const choices = [readSequence(reader)]
  while (reader.source[reader.at] === '|') {
    reader.at += 1
    choices.push(readSequence(reader))
  }
  return choices.length === 1 ? (choices[0] as Pattern) : { kind: 'any', choices }
}

function readSequence(reader: Reader): Pattern {
  const parts: Pattern[] = []
  while (reader.at < reader.source.length && !'|)'.includes(reader.source[reader.at] as string)) {
    parts.push(readRepeated(reader))
  }
  return { kind: 'all', parts }
}

function readRepeated(reader: Reader): Pattern {
  const inner = readOne(reader)
  const sign = reader.source[reader.at]
  if (sign !== '*' && sign !== '+' && sign !== '?') return inner
  reader.at += 1
  if ('*+?'.includes(reader.source[reader.at] ?? ' ')) throw new BadPattern(reader.at, 'nothing to repeat here')
  return { kind: 'repeat', inner, least: sign === '+' ? 1 : 0, most: sign === '?' ? 1 : null }
}

function readOne(reader: Reader): Pattern {
  const start = reader.at
  const character = reader.source[start] as string
  reader.at += 1
  switch (character) {
    case '(': {
      const inner = readChoices(reader)
      if (reader.source[reader.at] !== ')') throw new BadPattern(start, 'this "(" is not closed')
      reader.at += 1
      return inner
    }
    case '[':
      return readClass(reader, start)
    case '.':
      return { kind: 'one', accepts: () => true }
    case '\\':
      return readEscape(reader)
    case '*':
    case '+':
    case '?':
      throw new BadPattern(start, `nothing stands before "${character}"`)
    case '{':
    case '}':
      throw new BadPattern(start, 'counted repetition is not supported: write the part out, or use + or *')
    case '^':
    case '$':
      throw new BadPattern(start, `"${character}" is not needed: a selector always matches the whole name`)
    default:
      return literal(character)
  }
}

function readEscape(reader: Reader): Pattern & { readonly kind: 'one' } {
  const letter = reader.source[reader.at]
  if (letter === undefined) throw new BadPattern(reader.at - 1, 'nothing follows the "\\"')
  if (/[1-9a-ce-rt-vx-zA-Z]/.test(letter)) throw new BadPattern(reader.at - 1, `"\\${letter}" is not supported`)
  reader.at += 1
  if (letter === 'd') return { kind: 'one', accepts: (character) => /[0-9]/.test(character) }
  if (letter === 'w') return { kind: 'one', accepts: (character) => /\w/.test(character) }
  if (letter === 's') return { kind: 'one', accepts: (character) => /\s/.test(character) }
  return literal(letter)
}

function readClass(reader: Reader, start: number): Pattern {
  const negated = reader.source[reader.at] === '^'
  if (negated) reader.at += 1
  const members: ((character: string) => boolean)[] = []
  while (reader.source[reader.at] !== ']') {
    const first = reader.source[reader.at]
    if (first === undefined) throw new BadPattern(start, 'this "[" is not closed')
    reader.at += 1
    const last = reader.source[reader.at + 1]
    if (first === '\\') members.push(readEscape(reader).accepts)
    else if (reader.source[reader.at] === '-' && last !== undefined && last !== ']') {
      reader.at += 2
      if (last < first) throw new BadPattern(reader.at - 3, `the range ${first}-${last} is empty`)
      members.push((character) => character >= first && character <= last)
    } else members.push((character) => character === first)
  }
  reader.at += 1
  return { kind: 'one', accepts: (character) => members.some((accepts) => accepts(character)) !== negated }
}

const literal = (wanted: string): Pattern & { readonly kind: 'one' } => ({
  kind: 'one',
  accepts: (character) => character === wanted,
})
