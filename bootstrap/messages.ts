// What bootstrap says on the wire: hello on each connection, the question and answer of a join or a renewal, and what
// is new in the charter. Hello, join and renewal are frames of their own; only `charter/…` travels in envelopes.

import type { FederationId, OperatorId } from '../overlay/kernel/ids.ts'
import { err, ok, type Result } from '../overlay/kernel/result.ts'
import { decodeBounded, type MessageSchemas } from '../overlay/wire/codec.ts'
import {
  bytes,
  encodeWith,
  type Infer,
  list,
  literal,
  nullable,
  object,
  optional,
  readWith,
  type Schema,
  text,
  union,
  whole,
} from '../overlay/wire/schema.ts'
import { HASH_BYTES, NAME_CHARS_MAX, noEnvelope } from './charter-entry.ts'
import { SHOWN_MAX } from './charter-sync.ts'
import { CREDENTIAL_BYTES_MAX } from './credential.ts'
import { INVITE_ID_BYTES, INVITE_SECRET_BYTES } from './invite.ts'
import { POLICY_STATEMENT_BYTES_MAX } from './policy-statement.ts'

/** The largest hello, in bytes (a relation: a credential, the hashes that are shown, and 2 KiB for framing). */
export const HELLO_BYTES_MAX = CREDENTIAL_BYTES_MAX + SHOWN_MAX * (HASH_BYTES + 2) + 2_048
export const JOIN_REQUEST_BYTES_MAX = 1_024
/** A request to renew carries the credential that is to be renewed. */
export const RENEWAL_BYTES_MAX = CREDENTIAL_BYTES_MAX + 256
/** One piece of a charter: half of what a message may be, so that an entry always fits. */
export const PIECE_BYTES_MAX = 32_768
/** So many bytes in front of an answer's charter say how long the answer itself is. */
const LENGTH_BYTES = 2

const helloSchema = object({
  kind: literal('hello'),
  federation: text<FederationId>(64),
  /** Compact JWS. */
  credential: text(CREDENTIAL_BYTES_MAX),
  name: text(NAME_CHARS_MAX),
  /** Some hashes of the charter, and one over all of it. */
  shown: list(bytes(HASH_BYTES), SHOWN_MAX),
  digest: bytes(HASH_BYTES),
})
export type Hello = Infer<typeof helloSchema>

const joinRequestSchema = object({
  kind: literal('join'),
  inviteId: bytes(INVITE_ID_BYTES),
  secret: bytes(INVITE_SECRET_BYTES),
  name: text(NAME_CHARS_MAX),
  /** The key of the operator that will sign for the guest itself; absent when the host shall. */
  operator: optional(text<OperatorId>(64)),
})
export type JoinRequest = Infer<typeof joinRequestSchema>

const renewalSchema = object({ kind: literal('renew'), credential: text(CREDENTIAL_BYTES_MAX) })
export type Renewal = Infer<typeof renewalSchema>

const acceptedSchema = object({ kind: literal('accepted'), credential: nullable(text(CREDENTIAL_BYTES_MAX)) })
export const refusedSchema = object({ kind: literal('refused'), code: text(64), detail: text(512) })
type AnswerHead = Infer<typeof acceptedSchema> | Infer<typeof refusedSchema>
/** `credential` is null where the guest's own operator signs it. */
export type JoinAnswer = (Infer<typeof acceptedSchema> & { readonly charter: Uint8Array }) | Infer<typeof refusedSchema>
const answerSchema = union<AnswerHead>({ accepted: acceptedSchema, refused: refusedSchema })

/** Entries and drafts that are new, published by whoever made or brought them; or what somebody lacked. */
const newsSchema = object({ kind: literal('charter/news'), packed: bytes(PIECE_BYTES_MAX) })
export type CharterNews = Infer<typeof newsSchema>
/** What whoever cannot place an entry shows to the one who sent it, to be sent what lies between. */
const wantSchema = object({ kind: literal('charter/want'), shown: list(bytes(HASH_BYTES), SHOWN_MAX) })
export type CharterWant = Infer<typeof wantSchema>

/** Which policy a device of the operator has; 0 for none. Said to devices of the same operator only. */
const policyHeldSchema = object({ kind: literal('policy/held'), version: whole() })
export type PolicyHeld = Infer<typeof policyHeldSchema>

/** The policy as the operator signed it, for a device that has an older one. */
const policySignedSchema = object({ kind: literal('policy/signed'), statement: text(POLICY_STATEMENT_BYTES_MAX) })
export type PolicySigned = Infer<typeof policySignedSchema>

export type CharterMessage = CharterNews | CharterWant
export type BootstrapMessage = CharterMessage | PolicyHeld | PolicySigned
export const bootstrapSchemas: MessageSchemas<BootstrapMessage> = {
  'charter/news': newsSchema,
  'charter/want': wantSchema,
  'policy/held': policyHeldSchema,
  'policy/signed': policySignedSchema,
}

export interface FrameCodec<T> {
  encode(frame: T): Uint8Array
  decode(frame: Uint8Array): Result<T, string>
}

export const helloFrame = frameCodec<Hello>(helloSchema, HELLO_BYTES_MAX)
export const joinRequestFrame = frameCodec<JoinRequest>(joinRequestSchema, JOIN_REQUEST_BYTES_MAX)
export const renewalFrame = frameCodec<Renewal>(renewalSchema, RENEWAL_BYTES_MAX)
const answerHead = frameCodec<AnswerHead>(answerSchema, RENEWAL_BYTES_MAX)

/** An answer, and behind it the charter, which is longer than a message may be. */
export const joinAnswerFrame: FrameCodec<JoinAnswer> = {
  encode: (answer) =>
    withCharter(answerHead.encode(answer), answer.kind === 'accepted' ? answer.charter : new Uint8Array(0)),
  decode: (frame) => {
    const parts = splitCharter(frame)
    if (!parts.ok) return parts
    const head = answerHead.decode(parts.value.head)
    if (!head.ok) return head
    return ok(head.value.kind === 'accepted' ? { ...head.value, charter: parts.value.charter } : head.value)
  },
}

export function withCharter(head: Uint8Array, charter: Uint8Array): Uint8Array {
  const frame = new Uint8Array(LENGTH_BYTES + head.length + charter.length)
  new DataView(frame.buffer).setUint16(0, head.length)
  frame.set(head, LENGTH_BYTES)
  frame.set(charter, LENGTH_BYTES + head.length)
  return frame
}

export function splitCharter(
  frame: Uint8Array,
): Result<{ readonly head: Uint8Array; readonly charter: Uint8Array }, string> {
  if (frame.length < LENGTH_BYTES) return err('it is cut off')
  const end = LENGTH_BYTES + new DataView(frame.buffer, frame.byteOffset).getUint16(0)
  return ok({ head: frame.subarray(LENGTH_BYTES, end), charter: frame.slice(end) })
}

export function frameCodec<T>(schema: Schema<T>, bytesMax: number): FrameCodec<T> {
  return {
    encode: (frame) => encodeWith(schema, frame),
    decode: (frame) => {
      if (frame.length > bytesMax) return err(`${frame.length} bytes, at most ${bytesMax}`)
      const raw = decodeBounded(frame)
      if (!raw.ok) return err(raw.error.detail)
      const read = readWith(schema, raw.value, noEnvelope)
      return read.ok ? ok(read.value) : read
    },
  }
}
