// What two nodes agree on before a line, over the connection on which they proved who they are: one question, one
// answer.

import { err, ok, type Result } from './kernel/result.ts'
import { decodeBounded } from './wire/codec.ts'
import { bytes, encodeWith, literal, object, readWith, type Schema, text, union } from './wire/schema.ts'

/** What each side adds to the keys, in random bytes. */
export const LINE_SECRET_BYTES = 32
/** What the dialler shows when it connects, good for once; in hexadecimal digits. */
export const LINE_TICKET_CHARS = 32
/** The longest question or answer in bytes. */
export const LINE_REQUEST_BYTES_MAX = 256

export type LineRequest =
  /** I will connect to you; here is my part of the keys. */
  | { readonly kind: 'line'; readonly secret: Uint8Array }
  /** You reach me and I do not reach you: connect, please. */
  | { readonly kind: 'call' }

export type LineAnswer =
  | { readonly kind: 'line'; readonly ticket: string; readonly secret: Uint8Array }
  | { readonly kind: 'called' }

const requestSchema: Schema<LineRequest> = union<LineRequest>({
  line: object({ kind: literal('line'), secret: bytes(LINE_SECRET_BYTES) }),
  call: object({ kind: literal('call') }),
})

const answerSchema: Schema<LineAnswer> = union<LineAnswer>({
  line: object({ kind: literal('line'), ticket: text(LINE_TICKET_CHARS), secret: bytes(LINE_SECRET_BYTES) }),
  called: object({ kind: literal('called') }),
})

export const encodeRequest = (request: LineRequest): Uint8Array => encodeWith(requestSchema, request)
export const encodeLineAnswer = (answer: LineAnswer): Uint8Array => encodeWith(answerSchema, answer)

/** Reads a question; secrets that are shorter than they should be are refused. */
export function decodeRequest(raw: Uint8Array): Result<LineRequest, string> {
  const read = decodeWith(requestSchema, raw)
  if (!read.ok || read.value.kind !== 'line') return read
  return read.value.secret.length === LINE_SECRET_BYTES ? read : err('a secret that is too short')
}

export function decodeLineAnswer(raw: Uint8Array): Result<LineAnswer, string> {
  const read = decodeWith(answerSchema, raw)
  if (!read.ok || read.value.kind !== 'line') return read
  const { secret, ticket } = read.value
  const isWhole = secret.length === LINE_SECRET_BYTES && ticket.length === LINE_TICKET_CHARS
  return isWhole ? read : err('a secret or a ticket that is too short')
}

function decodeWith<T>(schema: Schema<T>, raw: Uint8Array): Result<T, string> {
  const decoded = decodeBounded(raw)
  if (!decoded.ok) return err(decoded.error.detail)
  const read = readWith(schema, decoded.value, () => err('no envelope belongs here'))
  return read.ok ? ok(read.value) : read
}
