// The tunnel protocol's pure half: what the caller says first (one header) and what the serving node says back (one
// answer). After that a tunnel is bytes both ways and nothing here is concerned; framing (the length prefix) is the
// stream's.

import { invariant } from './kernel/assert.ts'
import type { ServiceId } from './kernel/ids.ts'
import { err, ok, type Result } from './kernel/result.ts'
import { decodeBounded } from './wire/codec.ts'
import {
  bytes,
  encodeWith,
  flag,
  literal,
  nullable,
  object,
  optional,
  readWith,
  type Schema,
  text,
  union,
  whole,
} from './wire/schema.ts'

/**
 * What a tunnel is for: the bytes of one instance's port, an instance's log, a program inside an instance, a
 * container image, or the login of the registry that has one.
 */
export type TunnelHeader =
  | {
      readonly kind: 'instance'
      readonly service: ServiceId
      readonly number: number
      /** The declared port. */
      readonly port: number
      readonly protocol: 'tcp' | 'udp'
      /** `app.namespace` of the calling service, or empty for a person on the device. */
      readonly callerNamespace: string
    }
  | {
      readonly kind: 'logs'
      readonly service: ServiceId
      readonly number: number
      readonly follow: boolean
      /** How many of the last lines come first; null for all that is kept. */
      readonly tail: number | null
      /** Only what was written in the last so many ms; null for no such limit. */
      readonly sinceMs: number | null
    }
  /**
   * A container image: a line with its id, then an archive (placement/io/docker-images.ts) without the layers that the
   * caller has, as far as it says so (placement/io/docker-layers.ts).
   */
  | { readonly kind: 'image'; readonly image: string; readonly have?: Uint8Array | undefined }
  /** What opens a registry, for the image of this instance: one line of JSON (node/registry-logins.ts). */
  | { readonly kind: 'registry'; readonly registry: string; readonly service: ServiceId; readonly number: number }
  /** A secret for an instance, sealed to who asks (node/secrets.ts). */
  | { readonly kind: 'secret'; readonly name: string; readonly service: ServiceId; readonly number: number }
  /** A secret for a device of the same operator to keep, sealed to it; answered with one byte. */
  | { readonly kind: 'keep-secret'; readonly name: string; readonly at: string }
  /**
   * The operator's devices go on in another federation (node/federate/): who is a member here, what a device needs for
   * it, and that it shall begin.
   */
  | { readonly kind: 'federate'; readonly step: 'members' | 'take' | 'begin' }
  /** What to run, its input and its output are frames in the tunnel (placement/exec-frames.ts). */
  | { readonly kind: 'exec'; readonly service: ServiceId; readonly number: number }

const REFUSAL_CODES = [
  'no-such-instance',
  'no-such-port',
  'not-running',
  'dial-failed',
  'not-allowed',
  'limit',
  'unreachable',
  'malformed',
] as const
export type TunnelRefusalCode = (typeof REFUSAL_CODES)[number]

/** Why no tunnel came to be; nothing was carried, so the caller may try another instance. */
export interface TunnelRefusal {
  readonly code: TunnelRefusalCode
  readonly detail: string
}

/**
 * Why a tunnel is of no use: a refusal, or `lost` where the caller's first bytes went out and no answer came. They may
 * have been carried, so nobody else gets them.
 */
export interface TunnelFailure {
  readonly code: TunnelRefusalCode | 'lost'
  readonly detail: string
}

/** Yes (the bytes follow) or a coded refusal (nothing follows). */
export type TunnelAnswer = Result<null, TunnelRefusal>

/** The longest header in bytes: two names of at most 255 and 127 characters and small fields take about 500. */
export const TUNNEL_HEADER_BYTES_MAX = 1_024
/** The longest answer in bytes: DETAIL_CHARS_MAX characters of at most 3 bytes in UTF-8, and the fields around them. */
export const TUNNEL_ANSWER_BYTES_MAX = 2_048
/** How much of a refusal's detail is carried; the rest is cut. */
const DETAIL_CHARS_MAX = 500

const SERVICE_CHARS_MAX = 255
const NAMESPACE_CHARS_MAX = 127
/** A longer image reference is not asked for; Docker's own limit for a name without its registry is 255. */
export const TUNNEL_IMAGE_CHARS_MAX = 512
/** Marks of layers, beside the longest image reference in the longest header. */
const HAVE_BYTES_MAX = 320
/** A DNS name of 253 characters and a port. */
const REGISTRY_CHARS_MAX = 259
const SECRET_NAME_CHARS_MAX = 63
/** ISO 8601 with milliseconds. */
const TIME_CHARS_MAX = 32
const INSTANCE_NUMBER_MAX = 999_999_999
const TAIL_LINES_MAX = 1_000_000
/** How far back a log may be asked for: a year, longer than any is kept. A guess. */
const SINCE_MS_MAX = 365 * 24 * 3_600_000

const headerSchema: Schema<TunnelHeader> = union<TunnelHeader>({
  instance: object({
    kind: literal('instance'),
    service: text<ServiceId>(SERVICE_CHARS_MAX),
    number: whole(0, INSTANCE_NUMBER_MAX),
    port: whole(1, 65_535),
    protocol: literal('tcp', 'udp'),
    callerNamespace: text(NAMESPACE_CHARS_MAX),
  }),
  logs: object({
    kind: literal('logs'),
    service: text<ServiceId>(SERVICE_CHARS_MAX),
    number: whole(0, INSTANCE_NUMBER_MAX),
    follow: flag,
    tail: nullable(whole(0, TAIL_LINES_MAX)),
    sinceMs: nullable(whole(0, SINCE_MS_MAX)),
  }),
  image: object({
    kind: literal('image'),
    image: text(TUNNEL_IMAGE_CHARS_MAX),
    have: optional(bytes(HAVE_BYTES_MAX)),
  }),
  registry: object({
    kind: literal('registry'),
    registry: text(REGISTRY_CHARS_MAX),
    service: text<ServiceId>(SERVICE_CHARS_MAX),
    number: whole(0, INSTANCE_NUMBER_MAX),
  }),
  secret: object({
    kind: literal('secret'),
    name: text(SECRET_NAME_CHARS_MAX),
    service: text<ServiceId>(SERVICE_CHARS_MAX),
    number: whole(0, INSTANCE_NUMBER_MAX),
  }),
  'keep-secret': object({
    kind: literal('keep-secret'),
    name: text(SECRET_NAME_CHARS_MAX),
    at: text(TIME_CHARS_MAX),
  }),
  federate: object({ kind: literal('federate'), step: literal('members', 'take', 'begin') }),
  exec: object({
    kind: literal('exec'),
    service: text<ServiceId>(SERVICE_CHARS_MAX),
    number: whole(0, INSTANCE_NUMBER_MAX),
  }),
})

type WireAnswer = { readonly kind: 'ok' } | ({ readonly kind: 'refused' } & TunnelRefusal)

const answerSchema: Schema<WireAnswer> = union<WireAnswer>({
  ok: object({ kind: literal('ok') }),
  refused: object({ kind: literal('refused'), code: literal(...REFUSAL_CODES), detail: text(DETAIL_CHARS_MAX) }),
})

/**
 * Lays a header out as CBOR, at most TUNNEL_HEADER_BYTES_MAX bytes; throws InvariantError for names that are too
 * long.
 */
export function encodeHeader(header: TunnelHeader): Uint8Array {
  const bytes = encodeWith(headerSchema, header)
  invariant(bytes.length <= TUNNEL_HEADER_BYTES_MAX, `a tunnel header of ${bytes.length} bytes`)
  return bytes
}

/** Reads a header; the error is the refusal to answer with, always `malformed`. */
export const decodeHeader = (bytes: Uint8Array): Result<TunnelHeader, TunnelRefusal> =>
  decodeWith(headerSchema, bytes, TUNNEL_HEADER_BYTES_MAX, 'header')

/** Lays an answer out as CBOR, at most TUNNEL_ANSWER_BYTES_MAX bytes; a longer detail is cut. */
export function encodeAnswer(answer: TunnelAnswer): Uint8Array {
  if (answer.ok) return encodeWith(answerSchema, { kind: 'ok' })
  const { code, detail } = answer.error
  // A cut may fall between the two halves of a character outside the basic plane; half of one cannot be encoded.
  const wellFormed = detail.slice(0, DETAIL_CHARS_MAX).toWellFormed()
  return encodeWith(answerSchema, { kind: 'refused', code, detail: wellFormed })
}

/** Reads an answer; what is no answer counts as a refusal with the code `malformed`. */
export function decodeAnswer(bytes: Uint8Array): TunnelAnswer {
  const read = decodeWith(answerSchema, bytes, TUNNEL_ANSWER_BYTES_MAX, 'answer')
  if (!read.ok) return read
  return read.value.kind === 'ok' ? ok(null) : err({ code: read.value.code, detail: read.value.detail })
}

function decodeWith<T>(schema: Schema<T>, bytes: Uint8Array, bytesMax: number, what: string): Result<T, TunnelRefusal> {
  if (bytes.length > bytesMax) {
    return err({ code: 'malformed', detail: `a tunnel ${what} has at most ${bytesMax} bytes; got ${bytes.length}` })
  }
  const raw = decodeBounded(bytes)
  if (!raw.ok) return err({ code: 'malformed', detail: `the tunnel ${what} is not CBOR: ${raw.error.detail}` })
  const read = readWith(schema, raw.value, () => err('no envelope belongs here'))
  return read.ok ? read : err({ code: 'malformed', detail: `the tunnel ${what} is malformed: ${read.error}` })
}
