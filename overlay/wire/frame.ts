// The bytes of an envelope: who says what is in it, under which credential, and the proof. Nothing here is believed
// yet.

import type { FederationId, NodeId } from '../kernel/ids.ts'
import { encodeCbor } from './codec.ts'

const VERSION = 1
const CREDENTIAL_HASH_BYTES = 32
const SIGNATURE_BYTES_MAX = 64

/** The major type of a CBOR map: a first byte's upper three bits (RFC 8949, section 3.1). An envelope is an array. */
const CBOR_MAP = 5

/** Whether bytes are a message without envelope. */
export const isSpokenFrame = (bytes: Uint8Array): boolean => (bytes[0] ?? 0) >> 5 === CBOR_MAP

/** The parts of an envelope, before anything of it is believed. */
export interface Frame {
  readonly from: NodeId
  readonly credentialHash: Uint8Array
  readonly body: Uint8Array
  readonly signature: Uint8Array
}

export const encodeEnvelope = ({ from, credentialHash, body, signature }: Frame): Uint8Array =>
  encodeCbor([VERSION, from, credentialHash, body, signature])

/** The parts of what may be an envelope; null for what has not its form. */
export function readFrame(raw: unknown): Frame | null {
  if (!Array.isArray(raw) || raw.length !== 5 || raw[0] !== VERSION) return null
  const [, from, credentialHash, body, signature] = raw
  if (typeof from !== 'string' || from.length > 128) return null
  if (!(credentialHash instanceof Uint8Array) || credentialHash.length !== CREDENTIAL_HASH_BYTES) return null
  if (!(body instanceof Uint8Array)) return null
  if (!(signature instanceof Uint8Array) || signature.length > SIGNATURE_BYTES_MAX) return null
  return { from: from as NodeId, credentialHash, body, signature }
}

/** What is signed: the federation is part of it, so that nothing said in one is worth anything in another. */
export const signedPayload = (
  federation: FederationId,
  from: NodeId,
  credentialHash: Uint8Array,
  body: Uint8Array,
): Uint8Array => encodeCbor(['coppice/envelope/1', federation, from, credentialHash, body])
