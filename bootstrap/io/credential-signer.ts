// Credentials become and are checked as signatures here (jose on OpenSSL); what their claims are worth is said in
// credential.ts.

import { compactVerify, decodeProtectedHeader } from 'jose'
import { invariant } from '../../overlay/kernel/assert.ts'
import { err, ok, type Result } from '../../overlay/kernel/result.ts'
import type { UnixMillis } from '../../overlay/kernel/time.ts'
import type { SignerFacts } from '../../overlay/wire/envelope.ts'
import type { CharterView } from '../charter.ts'
import { hexOf, operatorPublicKey } from '../charter-entry.ts'
import {
  type Bearer,
  CREDENTIAL_BYTES_MAX,
  CREDENTIAL_TYPE,
  type CredentialClaims,
  type CredentialProblem,
  checkClaims,
  DIRECT_CREDENTIAL_BYTES_MAX,
  readClaims,
} from '../credential.ts'
import { publicKeyObject, rawKeyOfNode, sha256 } from './crypto.ts'
import type { NodeKey, OperatorKey } from './key-file.ts'

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
  readonly bearer: Bearer
  readonly issuedAt: UnixMillis
}

/** Signs claims as an operator. The claims must stand under the charter: anything else is a bug of ours. */
export function issueCredential(
  claims: CredentialClaims,
  operatorKey: OperatorKey,
  charter: CharterView,
): HeldCredential {
  const facts = checkClaims(claims, charter)
  invariant(facts.ok, 'a credential is only issued for what the charter allows')
  const text = signCompact(claims, operatorKey.operator, (payload) => operatorKey.sign(payload))
  invariant(text.length <= DIRECT_CREDENTIAL_BYTES_MAX, `a credential has at most ${DIRECT_CREDENTIAL_BYTES_MAX} bytes`)
  return held(text, claims, facts.value, null)
}

/** Signs claims as a delegate, which shows its own credential with them. */
export function delegateCredential(
  claims: Omit<CredentialClaims, 'iss' | 'via'>,
  delegate: HeldCredential,
  nodeKey: NodeKey,
  charter: CharterView,
): HeldCredential {
  const whole = { ...claims, iss: delegate.bearer.issuer, via: delegate.text }
  const facts = checkClaims(whole, charter, delegate.facts)
  invariant(facts.ok, 'a delegate only issues what it may')
  const text = signCompact(whole, nodeKey.node, (payload) => nodeKey.sign(payload))
  invariant(text.length <= CREDENTIAL_BYTES_MAX, `a credential has at most ${CREDENTIAL_BYTES_MAX} bytes`)
  return held(text, whole, facts.value, delegate)
}

/** A compact JWS (RFC 7515, section 7.1); jose signs with key objects only, and a node's key is none. */
function signCompact(claims: CredentialClaims, kid: string, sign: (payload: Uint8Array) => Uint8Array): string {
  const part = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url')
  const signed = `${part({ alg: 'EdDSA', typ: CREDENTIAL_TYPE, kid })}.${part(claims)}`
  return `${signed}.${Buffer.from(sign(new TextEncoder().encode(signed))).toString('base64url')}`
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
  if (claims.via === undefined) return await openSigned(text, claims, charter, null)
  const delegate = await openDelegate(claims.via, charter)
  return delegate.ok ? await openSigned(text, claims, charter, delegate.value) : delegate
}

/** The credential of a delegate: an operator's own word, or there would be no end to it. */
async function openDelegate(text: string, charter: CharterView): Promise<Result<HeldCredential, CredentialProblem>> {
  const parsed = parse(text)
  if (!parsed.ok) return err({ code: 'stranger', detail: `its delegate shows no credential: ${parsed.error}` })
  if (parsed.value.via !== undefined) return err({ code: 'forged', detail: 'its delegate is itself enrolled by one' })
  return await openSigned(text, parsed.value, charter, null)
}

async function openSigned(
  text: string,
  claims: CredentialClaims,
  charter: CharterView,
  delegate: HeldCredential | null,
): Promise<Result<HeldCredential, CredentialProblem>> {
  const facts = checkClaims(claims, charter, delegate?.facts ?? null)
  if (!facts.ok) return facts
  const signer = delegate === null ? claims.iss : delegate.facts.node
  const raw = delegate === null ? operatorPublicKey(claims.iss) : rawKeyOfNode(delegate.facts.node)
  const key = raw === null ? null : publicKeyObject(raw)
  if (key === null) return err({ code: 'forged', detail: `${signer} is not a key` })
  try {
    await compactVerify(text, key, { algorithms: ['EdDSA'] })
  } catch {
    return err({ code: 'forged', detail: `it was not signed by ${signer}` })
  }
  if (rawKeyOfNode(claims.sub) === null) return err({ code: 'forged', detail: `"${claims.sub}" is not a node's id` })
  return ok(held(text, claims, facts.value, delegate))
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

function held(
  text: string,
  claims: CredentialClaims,
  facts: SignerFacts,
  delegate: HeldCredential | null,
): HeldCredential {
  const bytes = new TextEncoder().encode(text)
  const hash = sha256(bytes)
  const hashHex = hexOf(hash)
  const bearer = {
    node: facts.node,
    operator: facts.operator,
    issuer: claims.iss,
    hashHex,
    delegate: delegate === null ? null : { node: delegate.facts.node, hashHex: delegate.hashHex },
  }
  return { text, bytes, hash, hashHex, name: claims.name, facts, bearer, issuedAt: claims.iat * 1_000 }
}
