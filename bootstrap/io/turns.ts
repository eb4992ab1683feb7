// One after another: what reads, decides and writes must not interleave with another that does the same.

export interface Turns {
  /** Runs the task when all before it have ended, well or not; resolves or rejects as the task does. */
  take<T>(task: () => Promise<T>): Promise<T>
}

export function createTurns(): Turns {
  let last: Promise<unknown> = Promise.resolve()
  return {
    take: (task) => {
      const turn = last.then(task)
      last = turn.catch(() => {})
      return turn
    },
  }
}
