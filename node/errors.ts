// What a caller did not get, why, and what to do about it. Everything a person may run into ends as one of these.

/** A refusal or failure that is not a bug of ours. `code` is stable and kebab-case; `hint` says what to do next. */
export class CoppiceError extends Error {
  override readonly name = 'CoppiceError'
  readonly code: string
  readonly hint: string

  constructor(code: string, message: string, hint: string) {
    super(message)
    this.code = code
    this.hint = hint
  }
}

/** The form in which an error leaves as JSON. */
export interface ErrorView {
  readonly error: { readonly code: string; readonly message: string; readonly hint: string }
}

export function errorView(problem: unknown): ErrorView {
  if (problem instanceof CoppiceError) {
    return { error: { code: problem.code, message: problem.message, hint: problem.hint } }
  }
  const message = problem instanceof Error ? problem.message : String(problem)
  return {
    error: { code: 'internal', message, hint: 'This is a bug in Coppice: please report it with the node’s log.' },
  }
}
