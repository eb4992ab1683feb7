// A credential: what an operator signed about one node (a compact JWS, RFC 7515, with claims after RFC 7519). Here
// are its claims and what they are worth under a charter; the signature itself is checked in io/.

import {
  type DomainPath,
  type FederationId,
  type NodeId,
  type OperatorId,
  parseDomainPath,
  ROOT,
} from '../overlay/kernel/ids.ts'
import { err, ok, type Result } from '../overlay/kernel/result.ts'
import type { UnixMillis } from '../overlay/kernel/time.ts'
import type { SignerFacts } from '../overlay/wire/envelope.ts'
import { dictionary, type Infer, list, object, optional, readWith, text, whole } from '../overlay/wire/schema.ts'
import { type CharterView, EVERYBODY } from './charter.ts'
import { operatorOfKey } from './charter-authority.ts'
import { NAME_CHARS_MAX } from './charter-entry.ts'

/** The longest compact JWS that an operator signs, in bytes: one of a joined node has about 650. */
export const DIRECT_CREDENTIAL_BYTES_MAX = 4_096
/** One that a delegate signs holds the delegate's own (a relation: in base64url, with as much beside it). */
export const CREDENTIAL_BYTES_MAX = 10_240
/**
 * Capabilities and labels together, as JSON in UTF-8 (a relation: with the longest path and name the JWS still
 * fits).
 */
export const GRANT_BYTES_MAX = 1_536
/** The longest path of a cluster; the grammar allows 512, which nobody needs. */
export const CLUSTER_CHARS_MAX = 256
export const CAPABILITIES_MAX = 64
export const LABELS_MAX = 32
export const CAPABILITY_CHARS_MAX = 128
export const LABEL_CHARS_MAX = 255

const DAY_MS = 86_400_000
/** How long a credential is good for (a guess: a season in the field between two visits). */
export const CREDENTIAL_LIFETIME_MS = 90 * DAY_MS
/** Left of a credential's life when it is time for a new one (a relation: a third of the lifetime). */
export const RENEW_BEFORE_MS = CREDENTIAL_LIFETIME_MS / 3
/**
 * How far the clocks of issuer and checker may be apart (a guess: a device without a battery-backed clock that was set
 * by hand, in the wrong time zone, is off by hours).
 */
export const CLOCK_SKEW_MS = 12 * 3_600_000

/** `typ` of the JWS header, so that no other token of the operator's passes for a credential. */
export const CREDENTIAL_TYPE = 'coppice-credential'

/** What a joined node may do unless its invite says otherwise; whoever can be dialled carries (DESIGN section 10). */
export const MEMBER_CAPABILITIES: readonly string[] = ['work', 'lead', 'relay', 'deploy:*']
/** What the node that founds a federation may do. */
export const FOUNDER_CAPABILITIES: readonly string[] = ['work', 'lead', 'relay', 'deploy:*', 'enrol']

/** Who has it may let devices in, signed by its own key, for its operator; it cannot hand this on. */
export const ENROL = 'enrol'

const claimsSchema = object({
  /** Issuer: the operator's key. */
  iss: text<OperatorId>(64),
  /** Subject: the node. */
  sub: text<NodeId>(128),
  federation: text<FederationId>(64),
  domain: text<DomainPath>(CLUSTER_CHARS_MAX),
  capabilities: list(text(CAPABILITY_CHARS_MAX), CAPABILITIES_MAX),
  labels: dictionary(text(LABEL_CHARS_MAX), LABELS_MAX),
  /** The node's name when it was enrolled. */
  name: text(NAME_CHARS_MAX),
  /** Issued at and expiring at, in seconds since 1970 (RFC 7519, section 4.1). */
  iat: whole(),
  exp: whole(),
  /** The credential of the delegate that signed this one; without it the operator signed. */
  via: optional(text(DIRECT_CREDENTIAL_BYTES_MAX)),
})
export type CredentialClaims = Infer<typeof claimsSchema>

/** Why a credential, or the hello that carries it, is not accepted. */
export interface CredentialProblem {
  readonly code: 'stranger' | 'forged' | 'expired' | 'revoked' | 'other-federation'
  readonly detail: string
}

/** What is said about a node, valid from `wall` for CREDENTIAL_LIFETIME_MS; who says it is still to be added. */
export const draftClaims = (
  facts: Omit<CredentialClaims, 'iss' | 'via' | 'iat' | 'exp'>,
  wall: UnixMillis,
  lifetimeMs = CREDENTIAL_LIFETIME_MS,
): Omit<CredentialClaims, 'iss' | 'via'> => ({
  ...facts,
  iat: Math.floor(wall / 1_000),
  exp: Math.floor((wall + lifetimeMs) / 1_000),
})

/** What is wrong with what an operator means to grant, null when it fits a credential. */
export function grantProblem(capabilities: readonly string[], labels: Readonly<Record<string, string>>): string | null {
  if (capabilities.length > CAPABILITIES_MAX) return `more than ${CAPABILITIES_MAX} capabilities`
  if (Object.keys(labels).length > LABELS_MAX) return `more than ${LABELS_MAX} labels`
  if (capabilities.some((capability) => capability.length > CAPABILITY_CHARS_MAX)) {
    return `a capability of more than ${CAPABILITY_CHARS_MAX} characters`
  }
  if (Object.values(labels).some((value) => value.length > LABEL_CHARS_MAX)) {
    return `a label of more than ${LABEL_CHARS_MAX} characters`
  }
  const size = new TextEncoder().encode(JSON.stringify([capabilities, labels])).length
  return size > GRANT_BYTES_MAX ? `${size} bytes of capabilities and labels, at most ${GRANT_BYTES_MAX} fit` : null
}

/** Reads the payload of a credential; the error names the claim that is wrong. */
export function readClaims(payload: Uint8Array): Result<CredentialClaims, string> {
  if (payload.length > CREDENTIAL_BYTES_MAX) return err(`more than ${CREDENTIAL_BYTES_MAX} bytes`)
  let raw: unknown
  try {
    raw = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(payload))
  } catch {
    return err('not JSON')
  }
  return readWith(claimsSchema, raw, () => err('no envelope belongs here'))
}

/**
 * What the claims are worth under a charter, whoever shows them and whenever: federation, issuer, domain, times.
 * `delegate` is who signed them in the operator's name, where it was not the operator.
 */
export function checkClaims(
  claims: CredentialClaims,
  charter: CharterView,
  delegate: SignerFacts | null = null,
): Result<SignerFacts, CredentialProblem> {
  if (claims.federation !== charter.federation) {
    return err({ code: 'other-federation', detail: 'the credential is of another federation' })
  }
  const operator = issuerOf(claims, charter)
  if (!operator.ok) return operator
  const domain = parseDomainPath(claims.domain)
  if (!domain.ok || domain.value === ROOT) {
    return err({ code: 'forged', detail: `"${claims.domain}" is no domain that a node can be in` })
  }
  if (claims.exp <= claims.iat) return err({ code: 'forged', detail: 'it expires before it was issued' })
  const overreach = delegate === null ? null : overreachOf(claims, operator.value, delegate)
  if (overreach !== null) return err({ code: 'forged', detail: overreach })
  return ok({
    node: claims.sub,
    operator: operator.value,
    domain: domain.value,
    capabilities: claims.capabilities,
    labels: claims.labels,
    expiresAt: claims.exp * 1_000,
  })
}

/** The operator behind a credential, also one that has left: whether it still counts is for `isRevoked`. */
function issuerOf({ iss }: CredentialClaims, charter: CharterView): Result<OperatorId, CredentialProblem> {
  const known = charter.keys.get(iss)
  if (known !== undefined) return ok(known.operator)
  return err({ code: 'forged', detail: `issued by ${iss}, which is not an operator of this federation` })
}

/** What a delegate may not do; null when it may. */
function overreachOf(claims: CredentialClaims, operator: OperatorId, delegate: SignerFacts): string | null {
  if (!delegate.capabilities.includes(ENROL)) return `${delegate.node} may not enrol`
  if (claims.iat * 1_000 > delegate.expiresAt + CLOCK_SKEW_MS) return `${delegate.node} had expired when it enrolled`
  if (delegate.operator !== operator) return `${delegate.node} enrols for another operator`
  const excess = claims.capabilities.find((capability) => !mayHandOn(capability, delegate.capabilities))
  return excess === undefined ? null : `${delegate.node} may not hand on "${excess}"`
}

/** Whether a delegate with these capabilities may grant that one. */
export const mayHandOn = (capability: string, held: readonly string[]): boolean =>
  capability !== ENROL && (held.includes(capability) || MEMBER_CAPABILITIES.includes(capability))

/** Whose membership is in question. */
export interface Bearer {
  readonly node: NodeId
  readonly operator: OperatorId
  /** The operator's key that stands behind the credential. */
  readonly issuer: OperatorId
  /** Hex SHA-256 of the credential. */
  readonly hashHex: string
  /** Who enrolled it in the operator's name. */
  readonly delegate: { readonly node: NodeId; readonly hashHex: string } | null
}

/** Whether the charter put the node, this very credential, who signed it, or its operator out. */
export function isRevoked({ node, operator, issuer, hashHex, delegate }: Bearer, charter: CharterView): boolean {
  if (operatorOfKey(charter, issuer) !== operator) return true
  if (isPutOut(node, operator, charter)) return true
  if (speaksFor(charter.revokedCredentials.get(hashHex), operator)) return true
  if (delegate === null) return false
  return (
    isPutOut(delegate.node, operator, charter) || speaksFor(charter.revokedCredentials.get(delegate.hashHex), operator)
  )
}

/** Whether the charter put a node of this operator out. */
export const isPutOut = (node: NodeId, operator: OperatorId, charter: CharterView): boolean =>
  speaksFor(charter.revokedNodes.get(node), operator)

const speaksFor = (by: ReadonlySet<OperatorId> | undefined, operator: OperatorId): boolean =>
  by !== undefined && (by.has(EVERYBODY) || by.has(operator))

/** Whether a credential is past its time by more than clocks may be apart. */
export const isExpired = (facts: Pick<SignerFacts, 'expiresAt'>, wall: UnixMillis): boolean =>
  wall > facts.expiresAt + CLOCK_SKEW_MS

/** Whether it is time for a new credential. */
export const isDueForRenewal = (facts: Pick<SignerFacts, 'expiresAt'>, wall: UnixMillis): boolean =>
  wall > facts.expiresAt - RENEW_BEFORE_MS

/** What is known about the one who says hello, besides its credential. */
export interface HelloCircumstances {
  /** Whom the connection's handshake proved. */
  readonly peer: NodeId
  readonly bearer: Bearer
  /** Not before the latest time that the credential's operator vouched for. */
  readonly wall: UnixMillis
  /** Whether this very credential passed a hello here while it was valid. */
  readonly metBefore: boolean
}

/**
 * Whether a hello with a genuine credential is accepted. An expired credential of a member that we met is: cutting the
 * connection would stop running work, and who wants to refuse it new orders finds `expiresAt` in the facts.
 */
export function admitAtHello(
  facts: SignerFacts,
  charter: CharterView,
  circumstances: HelloCircumstances,
): Result<SignerFacts, CredentialProblem> {
  const { peer, bearer, wall, metBefore } = circumstances
  if (facts.node !== peer)
    return err({ code: 'forged', detail: `the credential is for ${facts.node}, shown by ${peer}` })
  if (isRevoked(bearer, charter)) {
    return err({ code: 'revoked', detail: `${peer} was put out of the federation by its operators` })
  }
  if (isExpired(facts, wall) && !metBefore) {
    const days = Math.ceil((wall - facts.expiresAt) / DAY_MS)
    return err({
      code: 'expired',
      detail: `the credential of ${peer} expired ${days} day(s) ago; it needs a new invite`,
    })
  }
  return ok(facts)
}
