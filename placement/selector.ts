// Selectors name nodes and clusters: names, `*` globs, `/regex/`, `label=value`, `!` for not, a space for AND, a comma
// for OR (which binds less). Always anchored; a selector that cannot be read is an error that says where.

import { err, ok, type Result } from '../overlay/kernel/result.ts'
import { compileGlob, compilePattern, type Matcher } from './pattern.ts'

/** Characters of a whole selector (spec.ts has the same bound). */
export const SELECTOR_CHARS_MAX = 512

/** What is matched: anything it is called by, and its labels as `label=value`. */
export interface Subject {
  readonly names: readonly string[]
  readonly labels: readonly string[]
}

export type Selector = (subject: Subject) => boolean

export interface SelectorProblem {
  /** Characters before the one that is wrong. */
  readonly at: number
  readonly problem: string
}

interface Token {
  readonly at: number
  readonly text: string
}

/** Reads a selector, e.g. `pi-* !pi-3, zone=eu`. */
export function parseSelector(source: string): Result<Selector, SelectorProblem> {
  if (source.length > SELECTOR_CHARS_MAX) {
    return err({ at: SELECTOR_CHARS_MAX, problem: `a selector has at most ${SELECTOR_CHARS_MAX} characters` })
  }
  const choices: Selector[] = []
  for (const tokens of splitChoices(source)) {
    if (tokens.length === 0) return err({ at: choiceStart(source, choices.length), problem: 'nothing to select here' })
    const terms: Selector[] = []
    for (const token of tokens) {
      const term = parseTerm(token)
      if (!term.ok) return term
      terms.push(term.value)
    }
    choices.push((subject) => terms.every((term) => term(subject)))
  }
  return ok((subject) => choices.some((choice) => choice(subject)))
}

function parseTerm({ at, text }: Token): Result<Selector, SelectorProblem> {
  if (text.startsWith('!')) {
    if (text.length === 1) return err({ at, problem: 'nothing follows the "!"; write it next to what it excludes' })
    const inner = parseTerm({ at: at + 1, text: text.slice(1) })
    return inner.ok ? ok((subject) => !inner.value(subject)) : inner
  }
  if (isRegex(text)) {
    const compiled = compilePattern(text.slice(1, -1).replaceAll('\\/', '/'))
    if (!compiled.ok) return err({ at: at + 1 + compiled.error.at, problem: compiled.error.problem })
    return ok(named(compiled.value))
  }
  const cut = text.indexOf('=')
  if (cut === 0) return err({ at, problem: 'a label stands before the "=", as in zone=eu' })
  if (cut > 0) {
    const matches = compileGlob(text)
    return ok((subject) => subject.labels.some(matches))
  }
  const odd = /[^A-Za-z0-9._*/:-]/.exec(text)
  if (odd !== null) return err({ at: at + odd.index, problem: `"${odd[0]}" has no place in a name` })
  return ok(named(compileGlob(text)))
}

const named =
  (matches: Matcher): Selector =>
  (subject) =>
    subject.names.some(matches)

/** `/berlin` and `/eu/berlin` are names; a regex also ends with a slash. */
const isRegex = (text: string): boolean => text.length > 2 && text.startsWith('/') && text.endsWith('/')

/** The words between the commas. In a word that starts as a regex, `[...]` and `\` protect spaces and commas. */
function splitChoices(source: string): readonly (readonly Token[])[] {
  const choices: Token[][] = [[]]
  let word: { at: number; text: string } | null = null
  let inClass = false
  const flush = (): void => {
    if (word !== null) choices[choices.length - 1]?.push(word)
    word = null
    inClass = false
  }
  for (let at = 0; at < source.length; at++) {
    const character = source[at] as string
    const inRegex: boolean = word !== null && /^!*\//.test(word.text)
    const escaped: boolean = inRegex && character === '\\' && at + 1 < source.length
    if (!inClass && (character === ',' || character === ' ' || character === '\t')) {
      flush()
      if (character === ',') choices.push([])
      continue
    }
    const piece: string = escaped ? source.slice(at, at + 2) : character
    if (inRegex && character === '[' && source.includes(']', at)) inClass = true
    if (character === ']') inClass = false
    word = word === null ? { at, text: piece } : { at: word.at, text: word.text + piece }
    at += piece.length - 1
  }
  flush()
  return choices
}

function choiceStart(source: string, index: number): number {
  let at = 0
  for (let passed = 0; passed < index; passed++) at = source.indexOf(',', at) + 1
  return at
}
