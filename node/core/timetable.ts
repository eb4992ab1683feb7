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
}

/** A part asks of nobody but the leader book, and how many members there are, when it is due. */
export function createTimetable(
  parts: readonly { wakeAt(): Millis | null }[],
  book: LeaderBookView,
  roster: () => RosterView,
): Timetable {
  let known: { readonly at: Millis | null; readonly book: number; readonly members: number } | null = null
  return {
    touch: () => {
      known = null
    },
    at: () => {
      const [revision, members] = [book.revision(), roster().size]
      if (known === null || known.book !== revision || known.members !== members)
        known = { at: earliest(...parts.map((part) => part.wakeAt())), book: revision, members }
      return known.at
    },
  }
}

/** Whether an input is the seats' and the roster's alone (reception.ts); of a `wake`, its hearer knows more. */
export function isForSeatsOrRoster(input: CoreInput): boolean {
  if (input.kind === 'wake' || input.kind === 'election') return true
  if (input.kind !== 'message') return false
  const { kind } = input.opened.message
  return kind.startsWith('election/') || kind.startsWith('membership/')
}
