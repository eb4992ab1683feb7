// One entry of the charter: what it says, what of it is hashed and signed, and how it is laid out. Its body stays the
// bytes that were signed, so that fields a later version adds do not change the hash.

import { base16 } from 'multiformats/bases/base16'
import { base64url } from 'multiformats/bases/base64'
import type { NodeId, OperatorId } from '../overlay/kernel/ids.ts'
import { err, ok, type Result } from '../overlay/kernel/result.ts'
import { decodeBounded, encodeCbor, plainOf } from '../overlay/wire/codec.ts'
import {
  bytes,
  encodeWith,
  flag,
  type Infer,
  list,
  literal,
  nullable,
  object,
  readWith,
  type Schema,
  text,
  whole,
} from '../overlay/wire/schema.ts'

/** The arithmetic of trust, handed in so that the charter's files stay pure. */
export interface Crypto {
  sha256(bytes: Uint8Array): Uint8Array
  /** Ed25519 (RFC 8032) on a raw public key of 32 bytes; false for anything malformed. */
  verify(publicKey: Uint8Array, payload: Uint8Array, signature: Uint8Array): boolean
}

/** Entries of a charter, those of forks included; a guess: one a day for forty years. */
export const CHARTER_ENTRIES_MAX = 16_384
/** All entries together, encoded: what a node keeps and what a guest reads at most. */
export const CHARTER_BYTES_MAX = 8_388_608
/** One entry (a relation: a full revocation with the signatures of all operators has about 13 KiB). */
export const ENTRY_BYTES_MAX = 16_384
export const OPERATORS_MAX = 64
/** Nodes, and credentials, in one `revoke` entry; many at once share one signature. */
export const REVOKED_PER_ENTRY_MAX = 64
export const NAME_CHARS_MAX = 64
export const REASON_CHARS_MAX = 200
export const HASH_BYTES = 32
export const PUBLIC_KEY_BYTES = 32
const SIGNATURE_BYTES = 64
/** In base64url: 43 characters. */
const KEY_CHARS_MAX = 64

/** An operator's public key as text. An operator is called by its first one, whatever key it has by now. */
const keySchema = text<OperatorId>(KEY_CHARS_MAX)

/** What an operator says of itself when it asks to be admitted, or changes its key: signed by the key it names. */
const requestSchema = object({ key: keySchema, name: text(NAME_CHARS_MAX), at: whole() })
export type OperatorRequest = Infer<typeof requestSchema>
const consentSchema = object({ request: requestSchema, signature: bytes(SIGNATURE_BYTES) })
export type Consent = Infer<typeof consentSchema>

/** What founds a federation. The nonce tells two federations of one name and operator apart. */
const genesisSchema = object({
  name: text(NAME_CHARS_MAX),
  nonce: bytes(HASH_BYTES),
  at: whole(),
  operators: list(object({ id: keySchema, name: text(NAME_CHARS_MAX) }), OPERATORS_MAX),
})

const admitSchema = object({ consent: consentSchema, at: whole() })
/** Whoever leaves says so alone; whoever is made to leave needs no hand in it. */
const removeSchema = object({ operator: keySchema, isLeaving: flag, reason: text(REASON_CHARS_MAX), at: whole() })
/** `isDropped`: credentials that the old key signed count no more, for it may be in other hands. */
const rotateSchema = object({ operator: keySchema, consent: consentSchema, isDropped: flag, at: whole() })
/** How many operators decide what concerns all. */
export const THRESHOLDS = ['majority', 'two-thirds', 'all'] as const
export type Threshold = (typeof THRESHOLDS)[number]
const policySchema = object({ threshold: literal<Threshold>(...THRESHOLDS), at: whole() })

/**
 * What puts nodes, or single credentials (by SHA-256), out of the federation for good: an operator's word about those
 * that it enrolled, or (null) the operators' word about whosever.
 */
const revokeSchema = object({
  operator: nullable(keySchema),
  nodes: list(text<NodeId>(128), REVOKED_PER_ENTRY_MAX),
  credentials: list(bytes(HASH_BYTES), REVOKED_PER_ENTRY_MAX),
  reason: text(REASON_CHARS_MAX),
  at: whole(),
})

const bodySchemas = {
  genesis: genesisSchema,
  'admit-operator': admitSchema,
  'remove-operator': removeSchema,
  rotate: rotateSchema,
  policy: policySchema,
  revoke: revokeSchema,
} as const
export type FactKind = keyof typeof bodySchemas
export type CharterFact = {
  [K in FactKind]: { readonly kind: K; readonly body: Infer<(typeof bodySchemas)[K]> }
}[FactKind]

const entrySchema = object({
  /** Counts from 0, the genesis. */
  seq: whole(0, CHARTER_ENTRIES_MAX),
  /** The hash of the entry before; null at the genesis. */
  prev: nullable(bytes(HASH_BYTES)),
  kind: text(32),
  body: bytes(ENTRY_BYTES_MAX),
  signatures: list(object({ key: keySchema, signature: bytes(SIGNATURE_BYTES) }), OPERATORS_MAX + 1),
})
export type CharterEntry = Infer<typeof entrySchema>
export type UnsignedEntry = Omit<CharterEntry, 'signatures'>

/** One operator's hand: signs the bytes it is given. */
export interface OperatorSeal {
  /** The public key, as text. */
  readonly operator: OperatorId
  sign(payload: Uint8Array): Uint8Array
}

export const hexOf = (hash: Uint8Array): string => base16.baseEncode(hash)
export const bytesOfHex = (hex: string): Uint8Array => base16.baseDecode(hex)

/** A public key of 32 bytes as text: what an operator is called by. */
export const operatorIdOf = (publicKey: Uint8Array): OperatorId => base64url.encode(publicKey) as string as OperatorId

/** The raw public key that the text stands for, null when it stands for none. */
export function operatorPublicKey(operator: string): Uint8Array | null {
  try {
    const key = base64url.decode(operator)
    // One key has one spelling: padding, which the library passes over, would make another.
    return key.length === PUBLIC_KEY_BYTES && operatorIdOf(key) === operator ? key : null
  } catch {
    return null
  }
}

export function draftEntry(seq: number, prev: string | null, fact: CharterFact): UnsignedEntry {
  const schema = bodySchemas[fact.kind] as Schema<CharterFact['body']>
  const body = encodeWith(schema, fact.body)
  return { seq, prev: prev === null ? null : bytesOfHex(prev), kind: fact.kind, body }
}

/** Adds signatures; a key that signed already is passed over. */
export function signEntry(entry: UnsignedEntry | CharterEntry, seals: readonly OperatorSeal[]): CharterEntry {
  const payload = signedPart(entry)
  const held = 'signatures' in entry ? entry.signatures : []
  const added = seals
    .filter((seal) => !held.some(({ key }) => key === seal.operator))
    .map((seal) => ({ key: seal.operator, signature: seal.sign(payload) }))
  return { seq: entry.seq, prev: entry.prev, kind: entry.kind, body: entry.body, signatures: [...held, ...added] }
}

/** What is hashed and signed. The link to the entry before binds each entry to its federation. */
export const signedPart = (entry: UnsignedEntry): Uint8Array =>
  encodeCbor(['coppice/charter/2', entry.seq, entry.prev, entry.kind, entry.body])

export const entryHash = (entry: UnsignedEntry, crypto: Crypto): string => hexOf(crypto.sha256(signedPart(entry)))

export const encodeEntry = (entry: CharterEntry): Uint8Array => encodeWith(entrySchema, entry)

/** Reads an entry; nothing in it is believed yet. */
export function decodeEntry(encoded: Uint8Array): Result<CharterEntry, string> {
  if (encoded.length > ENTRY_BYTES_MAX) return err(`an entry of ${encoded.length} bytes`)
  const raw = decodeBounded(encoded)
  return raw.ok ? readWith(entrySchema, raw.value, noEnvelope) : err(raw.error.detail)
}

/** What an entry says; null when this version does not know its kind. */
export function readFact(entry: UnsignedEntry): Result<CharterFact, string> | null {
  if (!Object.hasOwn(bodySchemas, entry.kind)) return null
  const kind = entry.kind as FactKind
  const raw = decodeBounded(entry.body)
  if (!raw.ok) return err(raw.error.detail)
  const body = readWith(bodySchemas[kind] as Schema<unknown>, raw.value, noEnvelope)
  return body.ok ? ok({ kind, body: body.value } as CharterFact) : body
}

/** What an operator signs to be admitted, or with its next key to take over from the one before. */
export const consentPart = (request: OperatorRequest): Uint8Array =>
  encodeCbor(['coppice/operator-request/1', plainOf(requestSchema, request)])

export const giveConsent = (request: OperatorRequest, seal: OperatorSeal): Consent => ({
  request,
  signature: seal.sign(consentPart(request)),
})

/** Whether whoever holds the key that the request names made it. */
export function isConsent({ request, signature }: Consent, crypto: Crypto): boolean {
  const key = operatorPublicKey(request.key)
  return key !== null && crypto.verify(key, consentPart(request), signature)
}

export const encodeConsent = (consent: Consent): Uint8Array => encodeWith(consentSchema, consent)

export function decodeConsent(encoded: Uint8Array): Result<Consent, string> {
  const raw = decodeBounded(encoded)
  return raw.ok ? readWith(consentSchema, raw.value, noEnvelope) : err(raw.error.detail)
}

export const noEnvelope = (): Result<never, string> => err('no envelope belongs here')
