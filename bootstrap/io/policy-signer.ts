// Policies become and are checked as signatures here (jose on OpenSSL); what they say is in policy-statement.ts.

import { CompactSign, compactVerify, decodeProtectedHeader } from 'jose'
import type { FederationId, OperatorId } from '../../overlay/kernel/ids.ts'
import { err, ok, type Result } from '../../overlay/kernel/result.ts'
import { type Authority, operatorOfKey } from '../charter-authority.ts'
import { operatorPublicKey } from '../charter-entry.ts'
import {
  POLICY_STATEMENT_BYTES_MAX,
  POLICY_STATEMENT_TYPE,
  type PolicyClaims,
  type PolicyStatement,
  readPolicyClaims,
} from '../policy-statement.ts'
import { publicKeyObject } from './crypto.ts'
import type { OperatorKey } from './key-file.ts'

export async function signPolicy(
  claims: Omit<PolicyClaims, 'iss'>,
  operatorKey: OperatorKey,
): Promise<PolicyStatement> {
  const said = { iss: operatorKey.operator, ...claims }
  const text = await new CompactSign(new TextEncoder().encode(JSON.stringify(said)))
    .setProtectedHeader({ alg: 'EdDSA', typ: POLICY_STATEMENT_TYPE, kid: operatorKey.operator })
    .sign(operatorKey.privateKey)
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
  if (text.length > POLICY_STATEMENT_BYTES_MAX) return err(`more than ${POLICY_STATEMENT_BYTES_MAX} bytes`)
  try {
    if (decodeProtectedHeader(text).typ !== POLICY_STATEMENT_TYPE) return err('a token for something else')
  } catch {
    return err('not a signed policy')
  }
  const claims = readPolicyClaims(new Uint8Array(Buffer.from(text.split('.')[1] ?? '', 'base64url')))
  if (!claims.ok) return claims
  const { iss, federation } = claims.value
  if (federation !== expected.federation) return err('it is for another federation')
  if (operatorOfKey(expected.charter, iss) !== expected.operator) return err(`it is ${iss}'s, for devices of its own`)
  const raw = operatorPublicKey(iss)
  const key = raw === null ? null : publicKeyObject(raw)
  if (key === null) return err(`${iss} is not a key`)
  try {
    await compactVerify(text, key, { algorithms: ['EdDSA'] })
    return ok({ claims: claims.value, text })
  } catch {
    return err(`it was not signed by ${iss}`)
  }
}
