// When which part of an output was written: a file has no times in it, so how far it had grown is noted now and then.
// Marks live as long as the node: of what was written before, all that can be said is that it is older.

/** A place in the output: which file it was in, counted by rotations, and where. */
export interface LogMark {
  readonly atMs: number
  readonly rotations: number
  readonly offset: number
}

export interface LogMarks {
  /** Notes how far the output had grown at a time; one that has not grown is not noted again. */
  note(mark: LogMark): void
  /** The last mark that is not after the time; null when the output may have begun later. */
  before(ms: number): LogMark | null
}

/** Marks of one output. Beyond it every second one goes, so the older half of the time is known half as well. */
const MARKS_MAX = 4_096

export function createLogMarks(): LogMarks {
  let marks: LogMark[] = []
  return {
    note(mark) {
      const last = marks.at(-1)
      if (last !== undefined && last.rotations === mark.rotations && last.offset === mark.offset) {
        // Nothing was written in between: the same place, seen again, later.
        const start = marks.at(-2)
        if (start !== undefined && start.rotations === mark.rotations && start.offset === mark.offset) marks.pop()
      }
      marks.push(mark)
      if (marks.length > MARKS_MAX) marks = marks.filter((_, index) => index % 2 === 1)
    },
    before: (ms) => marks.findLast((mark) => mark.atMs <= ms) ?? null,
  }
}
