// How long something may take at most, for what is done thousands of times a second: unlike `AbortSignal.timeout()` it
// leaves no timer behind once it is over, and makes no error that nobody reads.

/**
 * A time is waited for in so many steps, of which a standstill of this process takes one: Node runs timers before it
 * reads what came in meanwhile, so that a busy node would hold its own delay against everybody who had answered.
 */
const STEPS = 4

export interface Deadline {
  /** Aborts with the outer signal, or when the time is over. */
  readonly signal: AbortSignal
  /** Nobody waits any more. */
  end(): void
}

/** One that may begin anew, once there is reason to wait longer. */
export interface Patience extends Deadline {
  /** So many ms from now on, unless it is over. */
  renew(ms: number): void
}

export function within(ms: number, outer: AbortSignal | null = null): Patience {
  const controller = new AbortController()
  let isOver = false
  const onAbort = (): void => {
    end()
    controller.abort(outer?.reason)
  }
  const wait = (forMs: number): (() => void) =>
    after(forMs, () => {
      end()
      controller.abort(new Error(`nothing came of it within ${forMs} ms`))
    })
  let endWait = wait(ms)
  const end = (): void => {
    isOver = true
    endWait()
    outer?.removeEventListener('abort', onAbort)
  }
  const renew = (forMs: number): void => {
    endWait()
    if (!isOver) endWait = wait(forMs)
  }
  if (outer?.aborted === true) onAbort()
  else outer?.addEventListener('abort', onAbort, { once: true })
  return { signal: controller.signal, end, renew }
}

/** Calls back after so long, unless what it returns is called first. */
export function after(ms: number, onOver: () => void): () => void {
  let steps = 0
  const step = (): void => {
    steps += 1
    if (steps === STEPS) onOver()
    else timer = setTimeout(step, ms / STEPS)
  }
  let timer = setTimeout(step, ms / STEPS)
  return () => clearTimeout(timer)
}

export const messageOf = (problem: unknown): string => (problem instanceof Error ? problem.message : String(problem))
