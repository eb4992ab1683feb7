// When the parts of a node want to be woken that most of what it hears has nothing to do with: records, requests,
// placing. They are asked anew only after one of them was told something.

import type { LeaderBookView } from '../../election/index.ts'
import { earliest, type Millis } from '../../overlay/kernel/time.ts'
import type { RosterView } from '../../overlay/membership/index.ts'
import type { CoreInput } from './effects.ts'

export interface Timetable {
  /** One of the parts was told something, or may have been. */
  touch(): void
  /** The earliest moment that one of the parts wants; null for none. */
  at(): Millis | null
  /** Whether that is what the parts would say if they were asked now. */
  isTrue(): boolean
}

/** A part asks of nobody but the leader book, and how many members there are, when it is due. */
export function createTimetable(
  parts: readonly { wakeAt(): Millis | null }[],
  book: LeaderBookView,
  roster: () => RosterView,
): Timetable {
  let known: { readonly at: Millis | null; readonly book: number; readonly members: number } | null = null
  const ask = (): Millis | null => earliest(...parts.map((part) => part.wakeAt()))
  const at = (): Millis | null => {
    const [revision, members] = [book.revision(), roster().size]
    if (known === null || known.book !== revision || known.members !== members)
      known = { at: ask(), book: revision, members }
    return known.at
  }
  return {
    touch: () => {
      known = null
    },
    at,
    isTrue: () => at() === ask(),
  }
}

/** Whether an input is the seats' and the roster's alone (reception.ts); of a `wake`, its hearer knows more. */
export function isForSeatsOrRoster(input: CoreInput): boolean {
  if (input.kind === 'wake' || input.kind === 'election') return true
  if (input.kind !== 'message') return false
  const { kind } = input.opened.message
  return kind.startsWith('election/') || kind.startsWith('membership/')
}
