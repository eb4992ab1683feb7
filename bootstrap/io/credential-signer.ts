// Credentials become and are checked as signatures here (jose on OpenSSL); what their claims are worth is said in
// credential.ts.

import { CompactSign, compactVerify, decodeProtectedHeader } from 'jose'
import { invariant } from '../../overlay/kernel/assert.ts'
import { err, ok, type Result } from '../../overlay/kernel/result.ts'
import type { SignerFacts } from '../../overlay/wire/envelope.ts'
import { type CharterView, hexOf, operatorPublicKey } from '../charter.ts'
import {
  CREDENTIAL_BYTES_MAX,
  CREDENTIAL_TYPE,
  type CredentialClaims,
  type CredentialProblem,
  checkClaims,
  readClaims,
} from '../credential.ts'
import { publicKeyObject, rawKeyOfNode, sha256 } from './crypto.ts'
import type { OperatorKey } from './key-file.ts'

/** A credential whose signature was checked. */
export interface HeldCredential {
  /** Compact JWS. */
  readonly text: string
  readonly bytes: Uint8Array
  /** SHA-256 of the bytes, and the same in hex. */
  readonly hash: Uint8Array
  readonly hashHex: string
  readonly name: string
  readonly facts: SignerFacts
}

/** Signs claims as an operator. The claims must stand under the charter: anything else is a bug of ours. */
export async function issueCredential(
  claims: CredentialClaims,
  operatorKey: OperatorKey,
  charter: CharterView,
): Promise<HeldCredential> {
  const facts = checkClaims(claims, charter)
  invariant(facts.ok, 'a credential is only issued for what the charter allows')
  const text = await new CompactSign(new TextEncoder().encode(JSON.stringify(claims)))
    .setProtectedHeader({ alg: 'EdDSA', typ: CREDENTIAL_TYPE, kid: operatorKey.operator })
    .sign(operatorKey.privateKey)
  invariant(text.length <= CREDENTIAL_BYTES_MAX, `a credential has at most ${CREDENTIAL_BYTES_MAX} bytes`)
  return held(text, claims.name, facts.value)
}

/**
 * Checks a credential's form, issuer and signature, and that it names a node. Who shows it, and when, is for the
 * caller.
 */
export async function openCredential(
  text: string,
  charter: CharterView,
): Promise<Result<HeldCredential, CredentialProblem>> {
  const parsed = parse(text)
  if (!parsed.ok) return err({ code: 'stranger', detail: `not a credential: ${parsed.error}` })
  const claims = parsed.value
  const facts = checkClaims(claims, charter)
  if (!facts.ok) return facts
  const raw = operatorPublicKey(claims.iss)
  const key = raw === null ? null : publicKeyObject(raw)
  if (key === null) return err({ code: 'forged', detail: `${claims.iss} is not a key` })
  try {
    await compactVerify(text, key, { algorithms: ['EdDSA'] })
  } catch {
    return err({ code: 'forged', detail: `it was not signed by ${claims.iss}` })
  }
  if (rawKeyOfNode(claims.sub) === null) return err({ code: 'forged', detail: `"${claims.sub}" is not a node's id` })
  return ok(held(text, claims.name, facts.value))
}

function parse(text: string): Result<CredentialClaims, string> {
  if (text.length > CREDENTIAL_BYTES_MAX) return err(`more than ${CREDENTIAL_BYTES_MAX} bytes`)
  const parts = text.split('.')
  // One credential has one spelling, so that it has one hash: base64url with spare bits set or padding is refused.
  if (parts.length !== 3 || !parts.every(isCanonicalBase64)) return err('not a compact JWS')
  try {
    const header = decodeProtectedHeader(text)
    if (header.typ !== CREDENTIAL_TYPE) return err('a token for something else')
  } catch {
    return err('its header cannot be read')
  }
  return readClaims(new Uint8Array(Buffer.from(parts[1] ?? '', 'base64url')))
}

const isCanonicalBase64 = (part: string): boolean => Buffer.from(part, 'base64url').toString('base64url') === part

function held(text: string, name: string, facts: SignerFacts): HeldCredential {
  const bytes = new TextEncoder().encode(text)
  const hash = sha256(bytes)
  return { text, bytes, hash, hashHex: hexOf(hash), name, facts }
}
