// What happened in a run, as one number and, if asked, as lines to read. The number takes in every delivery, every
// write and every event with its virtual time, so two runs that agree in it went the same way.

import type { Millis } from '../../overlay/kernel/time.ts'
import { fold, hashText } from './hash.ts'

export interface Trace {
  /** Takes a happening in; `text` is only asked for when somebody reads along. */
  note(at: Millis, what: string, value: number, text: () => string): void
  /** Eight hexadecimal digits. */
  hash(): string
}

export function createTrace(onLine: ((line: string) => void) | null): Trace {
  let hash = 0
  const names = new Map<string, number>()
  const nameOf = (what: string): number => {
    const known = names.get(what)
    if (known !== undefined) return known
    const fresh = hashText(what)
    names.set(what, fresh)
    return fresh
  }
  return {
    note: (at, what, value, text) => {
      hash = fold(fold(fold(hash, Math.round(at * 1_000) | 0), nameOf(what)), value)
      onLine?.(`${(at / 1_000).toFixed(3).padStart(9)}  ${what.padEnd(9)} ${text()}`)
    },
    hash: () => hash.toString(16).padStart(8, '0'),
  }
}
