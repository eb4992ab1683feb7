// Policies, signed and opened; what they say is in policy-statement.ts.

import type { FederationId, OperatorId } from '../../overlay/kernel/ids.ts'
import { err, ok, type Result } from '../../overlay/kernel/result.ts'
import { type Authority, operatorOfKey } from '../charter-authority.ts'
import {
  POLICY_STATEMENT_BYTES_MAX,
  POLICY_STATEMENT_TYPE,
  type PolicyClaims,
  type PolicyStatement,
  readPolicyClaims,
} from '../policy-statement.ts'
import type { OperatorKey } from './key-file.ts'
import { openToken, signToken, type TokenForm } from './operator-token.ts'

const FORM: TokenForm = { type: POLICY_STATEMENT_TYPE, bytesMax: POLICY_STATEMENT_BYTES_MAX, name: 'a signed policy' }

export async function signPolicy(
  claims: Omit<PolicyClaims, 'iss'>,
  operatorKey: OperatorKey,
): Promise<PolicyStatement> {
  const said = { iss: operatorKey.operator, ...claims }
  const text = await signToken(FORM, said, operatorKey)
  return { claims: said, text }
}

/** Whose statement is expected, and which keys stand for operators. */
export interface ExpectedPolicy {
  readonly operator: OperatorId
  readonly federation: FederationId
  readonly charter: Pick<Authority, 'keys' | 'operators'>
}

/** Opens a statement of this operator's for this federation; the error is for people. */
export async function openPolicy(text: string, expected: ExpectedPolicy): Promise<Result<PolicyStatement, string>> {
  return openToken(text, FORM, (payload) => {
    const claims = readPolicyClaims(payload)
    if (!claims.ok) return claims
    const { iss, federation } = claims.value
    if (federation !== expected.federation) return err('it is for another federation')
    if (operatorOfKey(expected.charter, iss) !== expected.operator) return err(`it is ${iss}'s, for devices of its own`)
    return ok({ signer: iss, value: { claims: claims.value, text } })
  })
}
