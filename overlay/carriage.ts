// What is said to have a line carried: who reaches another member over a relay only asks that relay, and the relay asks
// the other one to fetch it. The relay joins two connections and sees nothing of what they carry.

import type { NodeId } from './kernel/ids.ts'
import { err, ok, type Result } from './kernel/result.ts'
import { TICKET_CHARS } from './tickets.ts'
import { decodeBounded } from './wire/codec.ts'
import { encodeWith, literal, object, readWith, type Schema, text, union } from './wire/schema.ts'

/** The first byte of a connection that is to be joined to another; neither libp2p nor TLS begins with it. */
export const CARRIED = 0x43
/** The longest question or answer in bytes: an id of 60 characters, or a sentence, and small fields. */
export const CARRIAGE_BYTES_MAX = 512
const ID_CHARS_MAX = 128
const DETAIL_CHARS_MAX = 100

export type CarriageRequest =
  /** To a relay: carry a line between you and me on to this member. */
  | { readonly kind: 'carry'; readonly to: NodeId }
  /** From a relay: somebody has a line for you. Connect to me with this ticket. */
  | { readonly kind: 'fetch'; readonly ticket: string }

export type CarriageAnswer =
  /** Connect with this ticket; the other one does as well. */
  | { readonly kind: 'joined'; readonly ticket: string }
  | { readonly kind: 'coming' }
  | { readonly kind: 'refused'; readonly detail: string }

const ticket = text(TICKET_CHARS)
const requestSchema: Schema<CarriageRequest> = union<CarriageRequest>({
  carry: object({ kind: literal('carry'), to: text<NodeId>(ID_CHARS_MAX) }),
  fetch: object({ kind: literal('fetch'), ticket }),
})
const answerSchema: Schema<CarriageAnswer> = union<CarriageAnswer>({
  joined: object({ kind: literal('joined'), ticket }),
  coming: object({ kind: literal('coming') }),
  refused: object({ kind: literal('refused'), detail: text(DETAIL_CHARS_MAX) }),
})

export const encodeCarriageRequest = (request: CarriageRequest): Uint8Array => encodeWith(requestSchema, request)

export const encodeCarriageAnswer = (answer: CarriageAnswer): Uint8Array => encodeWith(answerSchema, answer)

/** Reads a question; a ticket that is too short is refused. */
export const decodeCarriageRequest = (raw: Uint8Array): Result<CarriageRequest, string> =>
  withWholeTicket(decodeWith(requestSchema, raw))

export const decodeCarriageAnswer = (raw: Uint8Array): Result<CarriageAnswer, string> =>
  withWholeTicket(decodeWith(answerSchema, raw))

function withWholeTicket<T extends object>(read: Result<T, string>): Result<T, string> {
  if (!read.ok || !('ticket' in read.value)) return read
  return String(read.value.ticket).length === TICKET_CHARS ? read : err('a ticket that is too short')
}

function decodeWith<T>(schema: Schema<T>, raw: Uint8Array): Result<T, string> {
  const decoded = decodeBounded(raw)
  if (!decoded.ok) return err(decoded.error.detail)
  const read = readWith(schema, decoded.value, () => err('no envelope belongs here'))
  return read.ok ? ok(read.value) : read
}
