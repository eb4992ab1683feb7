// What is said when a member knocks at a port: with a ticket, on a connection of its own that carries nothing else. Who
// is knocked at says under which address it sees the other end. So members observe each other's ports and dial each
// other back without a handshake, and without a second connection that anything else could come to lean on.

import { err, ok, type Result } from './kernel/result.ts'
import { TICKET_CHARS } from './tickets.ts'
import { decodeBounded } from './wire/codec.ts'
import { encodeWith, flag, object, readWith, type Schema, text, whole } from './wire/schema.ts'

/** The first byte of such a connection; neither libp2p nor TLS begins with it. */
export const KNOCK = 0x4b
/** The longest thing said, in bytes. */
export const KNOCK_BYTES_MAX = 128
const HOST_CHARS_MAX = 64
const PORT_MAX = 65_535

/** An IP address and a port. */
export interface Seen {
  readonly host: string
  readonly port: number
}

/** To a member: dial me at this port, under the address that you see, and knock with this ticket. */
export interface DialBackRequest {
  readonly port: number
  readonly ticket: string
}

const port = whole(1, PORT_MAX)
const ticket = text(TICKET_CHARS)
const seenSchema = object({ host: text(HOST_CHARS_MAX), port })
const dialBackSchema = object({ port, ticket })
const dialBackAnswerSchema = object({ isReached: flag })
const observeAnswerSchema = object({ ticket })

export const encodeSeen = (seen: Seen): Uint8Array => encodeWith(seenSchema, seen)
export const encodeDialBack = (request: DialBackRequest): Uint8Array => encodeWith(dialBackSchema, request)
export const encodeDialBackAnswer = (isReached: boolean): Uint8Array => encodeWith(dialBackAnswerSchema, { isReached })
/** The ticket with which to knock in order to be seen. */
export const encodeObserveAnswer = (of: string): Uint8Array => encodeWith(observeAnswerSchema, { ticket: of })

export function decodeSeen(raw: Uint8Array): Result<Seen, string> {
  const seen = decodeWith(seenSchema, raw)
  return seen.ok && !/^[0-9a-f.:]+$/i.test(seen.value.host) ? err('host: expected an IP address') : seen
}

export const decodeDialBack = (raw: Uint8Array): Result<DialBackRequest, string> =>
  withWholeTicket(decodeWith(dialBackSchema, raw))

export const decodeDialBackAnswer = (raw: Uint8Array): Result<{ readonly isReached: boolean }, string> =>
  decodeWith(dialBackAnswerSchema, raw)

export const decodeObserveAnswer = (raw: Uint8Array): Result<{ readonly ticket: string }, string> =>
  withWholeTicket(decodeWith(observeAnswerSchema, raw))

function withWholeTicket<T extends { readonly ticket: string }>(read: Result<T, string>): Result<T, string> {
  return read.ok && read.value.ticket.length !== TICKET_CHARS ? err('a ticket that is too short') : read
}

function decodeWith<T>(schema: Schema<T>, raw: Uint8Array): Result<T, string> {
  const decoded = decodeBounded(raw)
  if (!decoded.ok) return err(decoded.error.detail)
  const read = readWith(schema, decoded.value, () => err('no envelope belongs here'))
  return read.ok ? ok(read.value) : read
}
