// What an operator says about its own devices: its policy, as a compact JWS (RFC 7515) that can be carried by hand too.
// Here is what a statement says and which of two counts; the signature is checked in io/, the policy itself is read by
// placement/.

import type { FederationId, OperatorId } from '../overlay/kernel/ids.ts'
import { err, type Result } from '../overlay/kernel/result.ts'
import { type Infer, object, readWith, text, whole } from '../overlay/wire/schema.ts'

/** The longest statement, in bytes: a policy of 24,000 characters, escaped and in base64. It travels in one message. */
export const POLICY_STATEMENT_BYTES_MAX = 58_000
/** Characters of the policy in it (placement/policy.ts allows 24,000). */
const POLICY_TEXT_CHARS_MAX = 24_000
/** `typ` of the JWS header, so that no other token of the operator's passes for a policy. */
export const POLICY_STATEMENT_TYPE = 'coppice-policy'

const policyClaimsSchema = object({
  /** Issuer: the key of the operator whose devices it is for. */
  iss: text<OperatorId>(64),
  federation: text<FederationId>(64),
  /** Later ones replace earlier ones; from 1. */
  version: whole(1),
  /** Issued at, in seconds since 1970, for people: which of two counts is said by the version. */
  iat: whole(),
  policy: text(POLICY_TEXT_CHARS_MAX),
})
export type PolicyClaims = Infer<typeof policyClaimsSchema>

/** A statement whose signature was checked. */
export interface PolicyStatement {
  readonly claims: PolicyClaims
  /** Compact JWS. */
  readonly text: string
}

/** Reads the payload of a statement; the error names what is wrong. */
export function readPolicyClaims(payload: Uint8Array): Result<PolicyClaims, string> {
  try {
    const raw: unknown = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(payload))
    return readWith(policyClaimsSchema, raw, () => err('no envelope belongs here'))
  } catch {
    return err('not JSON')
  }
}

/** Whether a statement takes the place of another; of two of one version, all devices choose the same. */
export function supersedes(next: PolicyStatement, held: PolicyStatement | null): boolean {
  if (held === null) return true
  const newer = next.claims.version - held.claims.version
  return newer > 0 || (newer === 0 && next.text > held.text)
}
