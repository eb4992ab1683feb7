// A broken invariant is a bug: the process ends (and its supervisor starts it again) rather than go on with a wrong
// state.

export class InvariantError extends Error {
  override readonly name = 'InvariantError'
}

/** Throws InvariantError unless `condition` holds. Never used for input from outside. */
export function invariant(condition: unknown, what: string): asserts condition {
  if (!condition) throw new InvariantError(what)
}

/** Makes a switch exhaustive: the compiler complains where a case is missing. */
export function unreachable(value: never): never {
  throw new InvariantError(`unreachable: ${JSON.stringify(value)}`)
}
