// When the parts of a node want to be woken that most of what it hears has nothing to do with: records, requests,
// placing. They are asked anew only after one of them was told something.

import type { LeaderBookView } from '../../election/index.ts'
import { earlier, earliest, type Millis } from '../../overlay/kernel/time.ts'
import type { RosterView } from '../../overlay/membership/index.ts'
import type { CoreInput } from './effects.ts'

/** Of the parts those that an input or a piece of news may have told something. */
export type Concerned = 'nobody' | 'placing' | 'all'

export interface Timetable {
  /** Some of the parts were told something, or may have been. */
  touch(whom: Concerned): void
  /** The earliest moment that one of the parts wants; null for none. */
  at(): Millis | null
  /** Whether that is what the parts would say if they were asked now. */
  isTrue(): boolean
}

interface Part {
  wakeAt(): Millis | null
}

/** A part asks of nobody but the leader book, and how many members there are, when it is due. */
export function createTimetable(
  parts: { readonly placing: readonly Part[]; readonly others: readonly Part[] },
  book: LeaderBookView,
  roster: () => RosterView,
): Timetable {
  const [placing, others] = [createPage(parts.placing), createPage(parts.others)]
  let [revision, members] = [book.revision(), roster().size]
  const forget = (): void => {
    placing.forget()
    others.forget()
  }
  const at = (): Millis | null => {
    if (revision !== book.revision() || members !== roster().size) forget()
    revision = book.revision()
    members = roster().size
    return earlier(placing.at(), others.at())
  }
  return {
    touch: (whom) => {
      if (whom === 'placing') placing.forget()
      if (whom === 'all') forget()
    },
    at,
    isTrue: () => at() === dueAt([...parts.placing, ...parts.others]),
  }
}

const dueAt = (parts: readonly Part[]): Millis | null => earliest(...parts.map((part) => part.wakeAt()))

/** What some parts said, until it is forgotten. */
function createPage(parts: readonly Part[]): { at(): Millis | null; forget(): void } {
  let known: { readonly at: Millis | null } | null = null
  return {
    at: () => {
      known ??= { at: dueAt(parts) }
      return known.at
    },
    forget: () => {
      known = null
    },
  }
}

/** Whom an input concerns besides the seats and the roster (reception.ts); of a `wake`, its hearer knows more. */
export function concernedBy(input: CoreInput): Concerned {
  if (input.kind === 'wake' || input.kind === 'election') return 'nobody'
  if (input.kind === 'reading') return 'placing'
  if (input.kind !== 'message') return 'all'
  const { kind } = input.opened.message
  if (kind.startsWith('election/') || kind.startsWith('membership/')) return 'nobody'
  return kind === 'placement/summary' || kind === 'placement/aggregate' ? 'placing' : 'all'
}
