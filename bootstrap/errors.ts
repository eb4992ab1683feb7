// What went wrong with keys, invites or membership, in a form that a person can act on. The node turns it into its
// own error.

/** Stable, kebab-case. */
export type BootstrapErrorCode =
  | 'damaged-key'
  | 'unreadable-key'
  | 'unwritable-key'
  | 'key-exists'
  | 'damaged-store'
  | 'wrong-node-key'
  | 'other-federation'
  | 'already-member'
  | 'bad-invite'
  | 'bad-option'
  | 'join-refused'
  | 'bad-join-answer'
  | 'no-operator-key'
  | 'not-an-operator'
  | 'no-such-draft'
  | 'no-such-invite'
  | 'charter-full'
  | 'too-many-invites'

/** Not a bug of ours: `message` says what happened and why, `hint` what to do next. */
export class BootstrapError extends Error {
  override readonly name = 'BootstrapError'
  readonly code: BootstrapErrorCode
  readonly hint: string
  /** For `join-refused`: the code of the refusal, e.g. `expired-invite`. */
  readonly refusal: string | null

  constructor(code: BootstrapErrorCode, message: string, hint: string, refusal: string | null = null) {
    super(message)
    this.code = code
    this.hint = hint
    this.refusal = refusal
  }
}
