// What bootstrap says on the wire: hello on each connection, the question and answer of a join, and the charter on
// gossip. Hello and join are frames of their own; only `charter/chain` travels in an envelope.

import type { FederationId } from '../overlay/kernel/ids.ts'
import { err, ok, type Result } from '../overlay/kernel/result.ts'
import { decodeBounded, encodeCbor, type MessageSchemas } from '../overlay/wire/codec.ts'
import {
  bytes,
  type Infer,
  literal,
  object,
  readWith,
  type Schema,
  text,
  union,
  whole,
} from '../overlay/wire/schema.ts'
import { CHARTER_BYTES_MAX, NAME_CHARS_MAX } from './charter.ts'
import { CREDENTIAL_BYTES_MAX } from './credential.ts'
import { INVITE_ID_BYTES, INVITE_SECRET_BYTES } from './invite.ts'
import { POLICY_STATEMENT_BYTES_MAX } from './policy-statement.ts'

/** The largest hello or join answer, in bytes (a relation: charter, credential, and 2 KiB for names and framing). */
export const HELLO_BYTES_MAX = CHARTER_BYTES_MAX + CREDENTIAL_BYTES_MAX + 2_048
export const JOIN_REQUEST_BYTES_MAX = 1_024

const helloSchema = object({
  kind: literal('hello'),
  federation: text<FederationId>(64),
  /** Compact JWS. */
  credential: text(CREDENTIAL_BYTES_MAX),
  name: text(NAME_CHARS_MAX),
  charter: bytes(CHARTER_BYTES_MAX),
})
export type Hello = Infer<typeof helloSchema>

const joinRequestSchema = object({
  kind: literal('join'),
  inviteId: bytes(INVITE_ID_BYTES),
  secret: bytes(INVITE_SECRET_BYTES),
  name: text(NAME_CHARS_MAX),
})
export type JoinRequest = Infer<typeof joinRequestSchema>

const acceptedSchema = object({
  kind: literal('accepted'),
  credential: text(CREDENTIAL_BYTES_MAX),
  charter: bytes(CHARTER_BYTES_MAX),
})
const refusedSchema = object({ kind: literal('refused'), code: text(64), detail: text(512) })
export type JoinAnswer = Infer<typeof acceptedSchema> | Infer<typeof refusedSchema>
const joinAnswerSchema = union<JoinAnswer>({ accepted: acceptedSchema, refused: refusedSchema })

/** The whole charter, published by whoever made it longer; a hearer adopts it when it is valid and extends its own. */
const charterChainSchema = object({ kind: literal('charter/chain'), chain: bytes(CHARTER_BYTES_MAX) })
export type CharterChain = Infer<typeof charterChainSchema>

/** Which policy a device of the operator has; 0 for none. Said to devices of the same operator only. */
const policyHeldSchema = object({ kind: literal('policy/held'), version: whole() })
export type PolicyHeld = Infer<typeof policyHeldSchema>

/** The policy as the operator signed it, for a device that has an older one. */
const policySignedSchema = object({ kind: literal('policy/signed'), statement: text(POLICY_STATEMENT_BYTES_MAX) })
export type PolicySigned = Infer<typeof policySignedSchema>

export type BootstrapMessage = CharterChain | PolicyHeld | PolicySigned
export const bootstrapSchemas: MessageSchemas<BootstrapMessage> = {
  'charter/chain': charterChainSchema,
  'policy/held': policyHeldSchema,
  'policy/signed': policySignedSchema,
}

interface FrameCodec<T> {
  encode(frame: T): Uint8Array
  decode(frame: Uint8Array): Result<T, string>
}

export const helloFrame = frameCodec<Hello>(helloSchema, HELLO_BYTES_MAX)
export const joinRequestFrame = frameCodec<JoinRequest>(joinRequestSchema, JOIN_REQUEST_BYTES_MAX)
export const joinAnswerFrame = frameCodec<JoinAnswer>(joinAnswerSchema, HELLO_BYTES_MAX)

function frameCodec<T>(schema: Schema<T>, bytesMax: number): FrameCodec<T> {
  return {
    encode: (frame) => encodeCbor(schema.write(frame)),
    decode: (frame) => {
      if (frame.length > bytesMax) return err(`${frame.length} bytes, at most ${bytesMax}`)
      const raw = decodeBounded(frame)
      if (!raw.ok) return err(raw.error.detail)
      const read = readWith(schema, raw.value, () => err('no envelope belongs here'))
      return read.ok ? ok(read.value) : read
    },
  }
}
