// How long something may take at most, for what is done thousands of times a second: unlike `AbortSignal.timeout()` it
// leaves no timer behind once it is over, and makes no error that nobody reads.

export interface Deadline {
  /** Aborts with the outer signal, or when the time is over. */
  readonly signal: AbortSignal
  /** Nobody waits any more. */
  end(): void
}

export function within(ms: number, outer: AbortSignal | null = null): Deadline {
  const controller = new AbortController()
  const onAbort = (): void => {
    end()
    controller.abort(outer?.reason)
  }
  const timer = setTimeout(() => {
    end()
    controller.abort(new Error(`nothing came of it within ${ms} ms`))
  }, ms)
  const end = (): void => {
    clearTimeout(timer)
    outer?.removeEventListener('abort', onAbort)
  }
  if (outer?.aborted === true) onAbort()
  else outer?.addEventListener('abort', onAbort, { once: true })
  return { signal: controller.signal, end }
}

export const messageOf = (problem: unknown): string => (problem instanceof Error ? problem.message : String(problem))
