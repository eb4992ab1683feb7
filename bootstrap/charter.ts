// The charter: an append-only chain of signed entries that says which operators a federation has and who was revoked.
// Each entry is bound to the one before by its hash, so the hash of the first names the federation and the hash of the
// last names everything that was ever agreed; whoever holds the chain can check all of it alone.

import { base16 } from 'multiformats/bases/base16'
import { base64url } from 'multiformats/bases/base64'
import type { FederationId, NodeId, OperatorId } from '../overlay/kernel/ids.ts'
import { err, ok, type Result } from '../overlay/kernel/result.ts'
import { decodeBounded, encodeCbor } from '../overlay/wire/codec.ts'
import { bytes, type Infer, list, nullable, object, readWith, text, whole } from '../overlay/wire/schema.ts'

/** The arithmetic of trust, handed in so that this file stays pure. */
export interface Crypto {
  sha256(bytes: Uint8Array): Uint8Array
  /** Ed25519 (RFC 8032) on a raw public key of 32 bytes; false for anything malformed. */
  verify(publicKey: Uint8Array, payload: Uint8Array, signature: Uint8Array): boolean
}

/** The longest encoded chain: it travels whole in every hello, so it stays half of what a message may be. */
export const CHARTER_BYTES_MAX = 32_768
/** A relation: more do not fit, as an entry takes at least 240 bytes. */
export const CHARTER_ENTRIES_MAX = 136
export const OPERATORS_MAX = 64
/** Nodes, and credentials, in one `revoke` entry; many at once share one signature. */
export const REVOKED_PER_ENTRY_MAX = 64
export const NAME_CHARS_MAX = 64
export const REASON_CHARS_MAX = 200
export const HASH_BYTES = 32
const PUBLIC_KEY_BYTES = 32
const SIGNATURE_BYTES = 64

const operatorSchema = object({ id: text<OperatorId>(64), name: text(NAME_CHARS_MAX) })
export type Operator = Infer<typeof operatorSchema>

/** What founds a federation. The nonce tells two federations of one name and operator apart. */
const genesisSchema = object({
  name: text(NAME_CHARS_MAX),
  nonce: bytes(HASH_BYTES),
  at: whole(),
  operators: list(operatorSchema, OPERATORS_MAX),
})
export type GenesisBody = Infer<typeof genesisSchema>

/** What puts nodes, or single credentials (by SHA-256), out of the federation for good. */
const revokeSchema = object({
  nodes: list(text<NodeId>(128), REVOKED_PER_ENTRY_MAX),
  credentials: list(bytes(HASH_BYTES), REVOKED_PER_ENTRY_MAX),
  reason: text(REASON_CHARS_MAX),
  at: whole(),
})
export type RevokeBody = Infer<typeof revokeSchema>

export type CharterFact =
  | { readonly kind: 'genesis'; readonly body: GenesisBody }
  | { readonly kind: 'revoke'; readonly body: RevokeBody }

const entrySchema = object({
  /** Counts from 0, the genesis. */
  seq: whole(0, CHARTER_ENTRIES_MAX),
  /** The hash of the entry before; null at the genesis. */
  prev: nullable(bytes(HASH_BYTES)),
  kind: text(32),
  /** CBOR as it was signed: kept as bytes, so that fields a later version adds do not change the hash. */
  body: bytes(CHARTER_BYTES_MAX),
  signatures: list(object({ operator: text<OperatorId>(64), signature: bytes(SIGNATURE_BYTES) }), OPERATORS_MAX),
})
export type CharterEntry = Infer<typeof entrySchema>

const chainSchema = list(entrySchema, CHARTER_ENTRIES_MAX)

/** What a verified chain says. */
export interface CharterView {
  readonly federation: FederationId
  readonly name: string
  /** Hex hash of the last entry. */
  readonly head: string
  readonly length: number
  /** Hex hash of each entry, first to last. */
  readonly hashes: readonly string[]
  readonly operators: readonly Operator[]
  readonly revokedNodes: ReadonlySet<NodeId>
  /** Hex SHA-256 of revoked credentials. */
  readonly revokedCredentials: ReadonlySet<string>
}

export interface CharterProblem {
  readonly kind:
    | 'malformed'
    | 'too-large'
    | 'empty'
    | 'bad-sequence'
    | 'broken-link'
    | 'unknown-kind'
    | 'misplaced-genesis'
    | 'bad-body'
    | 'not-an-operator'
    | 'repeated-signature'
    | 'bad-signature'
    | 'too-few-signatures'
  /** A sentence without its subject, e.g. `entry 3: …`. */
  readonly detail: string
}

/** How two chains stand to each other. A fork means that two entries were signed for one place. */
export type ChainComparison =
  | { readonly kind: 'same' | 'theirs-is-longer' | 'ours-is-longer' | 'other-federation' }
  | { readonly kind: 'fork'; readonly seq: number }

/** One operator's hand: signs the bytes it is given. */
export interface OperatorSeal {
  readonly operator: OperatorId
  sign(payload: Uint8Array): Uint8Array
}

/** How many operators must sign: a majority. */
export const signaturesNeeded = (operators: number): number => Math.floor(operators / 2) + 1

export const hexOf = (hash: Uint8Array): string => base16.baseEncode(hash)

/** The id of an operator from its raw public key of 32 bytes. */
export const operatorIdOf = (publicKey: Uint8Array): OperatorId => base64url.encode(publicKey) as string as OperatorId

/** The raw public key that an operator's id stands for, null when it is not an id. */
export function operatorPublicKey(operator: string): Uint8Array | null {
  try {
    const key = base64url.decode(operator)
    // One operator has one spelling: padding, which the library passes over, would make another.
    return key.length === PUBLIC_KEY_BYTES && operatorIdOf(key) === operator ? key : null
  } catch {
    return null
  }
}

export const encodeChain = (entries: readonly CharterEntry[]): Uint8Array => encodeCbor(chainSchema.write(entries))

/** Reads a chain; nothing in it is believed yet. */
export function decodeChain(encoded: Uint8Array): Result<readonly CharterEntry[], CharterProblem> {
  if (encoded.length > CHARTER_BYTES_MAX) {
    return refuse('too-large', `the charter has ${encoded.length} bytes, at most ${CHARTER_BYTES_MAX} are allowed`)
  }
  const raw = decodeBounded(encoded)
  if (!raw.ok) return refuse('malformed', raw.error.detail)
  const read = readWith(chainSchema, raw.value, noEnvelope)
  return read.ok ? read : refuse('malformed', read.error)
}

/** Checks a whole chain from its first entry: order, links, shapes, and that enough operators signed each entry. */
export function verifyChain(entries: readonly CharterEntry[], crypto: Crypto): Result<CharterView, CharterProblem> {
  let view: CharterView | null = null
  for (const [index, entry] of entries.entries()) {
    const next: Result<CharterView, CharterProblem> = verifyEntry(view, entry, index, crypto)
    if (!next.ok) return next
    view = next.value
  }
  return view === null ? refuse('empty', 'the charter has no entry') : ok(view)
}

/**
 * Signs a new entry on top of a verified chain (or, with `view` null, the genesis) and returns the longer chain,
 * verified.
 */
export function appendEntry(
  entries: readonly CharterEntry[],
  view: CharterView | null,
  fact: CharterFact,
  seals: readonly OperatorSeal[],
  crypto: Crypto,
): Result<{ readonly entries: readonly CharterEntry[]; readonly view: CharterView }, CharterProblem> {
  const body = encodeCbor(fact.kind === 'genesis' ? genesisSchema.write(fact.body) : revokeSchema.write(fact.body))
  const prev = view === null ? null : base16.baseDecode(view.head)
  const unsigned = { seq: entries.length, prev, kind: fact.kind, body }
  const payload = unsignedPart(unsigned)
  const signatures = seals.map((seal) => ({ operator: seal.operator, signature: seal.sign(payload) }))
  const entry: CharterEntry = { ...unsigned, signatures }
  const longer = [...entries, entry]
  const size = encodeChain(longer).length
  if (size > CHARTER_BYTES_MAX || longer.length > CHARTER_ENTRIES_MAX) {
    return refuse('too-large', `the charter would have ${size} bytes in ${longer.length} entries`)
  }
  const verified = verifyEntry(view, entry, entries.length, crypto)
  return verified.ok ? ok({ entries: longer, view: verified.value }) : verified
}

/**
 * The longer chain wins when it begins with the whole of the shorter one; else the first entry that differs is a
 * fork.
 */
export function compareChains(ours: CharterView, theirs: CharterView): ChainComparison {
  if (ours.federation !== theirs.federation) return { kind: 'other-federation' }
  const shared = Math.min(ours.length, theirs.length)
  for (let seq = 0; seq < shared; seq++) {
    if (ours.hashes[seq] !== theirs.hashes[seq]) return { kind: 'fork', seq }
  }
  if (ours.length === theirs.length) return { kind: 'same' }
  return { kind: theirs.length > ours.length ? 'theirs-is-longer' : 'ours-is-longer' }
}

function verifyEntry(
  view: CharterView | null,
  entry: CharterEntry,
  index: number,
  crypto: Crypto,
): Result<CharterView, CharterProblem> {
  const at = `entry ${index}`
  if (entry.seq !== index) return refuse('bad-sequence', `${at}: is numbered ${entry.seq}`)
  const prev = entry.prev === null ? null : hexOf(entry.prev)
  if (prev !== (view === null ? null : view.head)) {
    return refuse('broken-link', `${at}: does not follow from the entry before it`)
  }
  const payload = unsignedPart(entry)
  const hash = hexOf(crypto.sha256(payload))
  const next = applyFact(view, entry, hash, at)
  if (!next.ok) return next
  // Nobody becomes an operator without consent: the genesis needs all it names, later entries what the charter so far
  // demands.
  const operators = view === null ? next.value.operators : view.operators
  const needed = view === null ? operators.length : signaturesNeeded(operators.length)
  const signed = checkSignatures(entry, payload, operators, needed, at, crypto)
  return signed === null ? next : signed
}

/** What the charter says after an entry, supposing that it is signed. */
function applyFact(
  view: CharterView | null,
  entry: CharterEntry,
  hash: string,
  at: string,
): Result<CharterView, CharterProblem> {
  const raw = decodeBounded(entry.body)
  if (!raw.ok) return refuse('bad-body', `${at}: ${raw.error.detail}`)
  switch (entry.kind) {
    case 'genesis': {
      if (view !== null) return refuse('misplaced-genesis', `${at}: a charter has one genesis, its first entry`)
      const body = readWith(genesisSchema, raw.value, noEnvelope)
      return body.ok ? founded(body.value, hash, at) : refuse('bad-body', `${at}: ${body.error}`)
    }
    case 'revoke': {
      if (view === null) return refuse('misplaced-genesis', `${at}: a charter begins with its genesis`)
      const body = readWith(revokeSchema, raw.value, noEnvelope)
      return body.ok ? ok(revoked(view, body.value, hash)) : refuse('bad-body', `${at}: ${body.error}`)
    }
    default:
      return refuse('unknown-kind', `${at}: this version does not know the kind "${entry.kind}"`)
  }
}

function founded(body: GenesisBody, hash: string, at: string): Result<CharterView, CharterProblem> {
  const ids = new Set(body.operators.map((operator) => operator.id))
  if (ids.size === 0 || ids.size !== body.operators.length) {
    return refuse('bad-body', `${at}: a federation has at least one operator and names each once`)
  }
  const bad = body.operators.find((operator) => operatorPublicKey(operator.id) === null)
  if (bad !== undefined) return refuse('bad-body', `${at}: "${bad.id}" is not an operator's id`)
  return ok({
    federation: hash as FederationId,
    name: body.name,
    head: hash,
    length: 1,
    hashes: [hash],
    operators: body.operators,
    revokedNodes: new Set(),
    revokedCredentials: new Set(),
  })
}

const revoked = (view: CharterView, body: RevokeBody, hash: string): CharterView => ({
  ...view,
  head: hash,
  length: view.length + 1,
  hashes: [...view.hashes, hash],
  revokedNodes: new Set([...view.revokedNodes, ...body.nodes]),
  revokedCredentials: new Set([...view.revokedCredentials, ...body.credentials.map(hexOf)]),
})

/**
 * Null when enough operators signed; every signature that stands there must be good, so that tampering never goes
 * unseen.
 */
function checkSignatures(
  entry: CharterEntry,
  payload: Uint8Array,
  operators: readonly Operator[],
  needed: number,
  at: string,
  crypto: Crypto,
): Result<never, CharterProblem> | null {
  const signers = new Set<OperatorId>()
  for (const { operator, signature } of entry.signatures) {
    if (signers.has(operator)) return refuse('repeated-signature', `${at}: ${operator} signed twice`)
    signers.add(operator)
    const key = operatorPublicKey(operator)
    if (key === null || !operators.some((known) => known.id === operator)) {
      return refuse('not-an-operator', `${at}: signed by ${operator}, which is not an operator of this federation`)
    }
    if (!crypto.verify(key, payload, signature)) return refuse('bad-signature', `${at}: the signature is not good`)
  }
  if (signers.size >= needed) return null
  return refuse('too-few-signatures', `${at}: ${signers.size} of the ${needed} signatures that it needs`)
}

/** What is hashed and signed. The link to the entry before binds each entry to its federation. */
const unsignedPart = (entry: Omit<CharterEntry, 'signatures'>): Uint8Array =>
  encodeCbor(['coppice/charter/1', entry.seq, entry.prev, entry.kind, entry.body])

const refuse = (kind: CharterProblem['kind'], detail: string): Result<never, CharterProblem> => err({ kind, detail })
const noEnvelope = (): Result<never, string> => err('no envelope belongs here')
