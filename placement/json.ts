// JSON with an address for what is wrong. The engine's own message does not always say where, so on failure the text is
// walked once more, token by token, until the first character that cannot stand where it stands.

import { err, ok, type Result } from '../overlay/kernel/result.ts'

export interface JsonProblem {
  /** Both from 1. */
  readonly line: number
  readonly column: number
  readonly problem: string
}

export function readJson(text: string): Result<unknown, JsonProblem> {
  try {
    return ok(JSON.parse(text))
  } catch {
    const at = Math.min(firstFault(text), text.length)
    const before = text.slice(0, at).split('\n')
    const found = at >= text.length ? 'the text ends too early' : `${JSON.stringify(text[at])} cannot stand here`
    return err({ line: before.length, column: (before.at(-1)?.length ?? 0) + 1, problem: found })
  }
}

type Awaiting = 'value' | 'value-or-end' | 'key' | 'key-or-end' | 'colon' | 'comma-or-end' | 'nothing'

const STRING = /"(?:[^"\\\p{Cc}]|[\u007f-\u009f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"/u
const SCALAR = /(?:-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null)(?![\w.+-])/u
const TOKEN = new RegExp(`\\s*(?:([{}[\\]:,])|(${STRING.source})|${SCALAR.source})`, 'uy')

/** Where the text stops being JSON; its length when it merely ends too early. */
function firstFault(text: string): number {
  const open: string[] = []
  let awaiting: Awaiting = 'value'
  TOKEN.lastIndex = 0
  for (;;) {
    const start = TOKEN.lastIndex
    const match = TOKEN.exec(text)
    if (match === null) return start + (/^\s*/.exec(text.slice(start))?.[0].length ?? 0)
    const token = match[1] ?? (match[2] === undefined ? 'scalar' : 'string')
    const next = follow(awaiting, token, open)
    if (next === null) return TOKEN.lastIndex - (match[0].length - (/^\s*/.exec(match[0])?.[0].length ?? 0))
    awaiting = next
  }
}

/** What may come after `token`, null when the token itself may not come. Keeps `open` up to date. */
function follow(awaiting: Awaiting, token: string, open: string[]): Awaiting | null {
  const inside = open.at(-1)
  if (token === '}' || token === ']') {
    const mayEnd = awaiting === 'comma-or-end' || awaiting === (token === '}' ? 'key-or-end' : 'value-or-end')
    if (!mayEnd || inside !== (token === '}' ? '{' : '[')) return null
    open.pop()
    return open.length === 0 ? 'nothing' : 'comma-or-end'
  }
  switch (awaiting) {
    case 'value':
    case 'value-or-end':
      if (token === '{' || token === '[') {
        open.push(token)
        return token === '{' ? 'key-or-end' : 'value-or-end'
      }
      if (token !== 'scalar' && token !== 'string') return null
      return open.length === 0 ? 'nothing' : 'comma-or-end'
    case 'key':
    case 'key-or-end':
      return token === 'string' ? 'colon' : null
    case 'colon':
      return token === ':' ? 'value' : null
    case 'comma-or-end':
      if (token !== ',') return null
      return inside === '{' ? 'key' : 'value'
    case 'nothing':
      return null
  }
}
