// Bytes to message and back: deterministic CBOR (RFC 8949, section 4.2, as DAG-CBOR narrows it), bounded, refusing
// instead of throwing.

import { invariant } from '../kernel/assert.ts'
import { err, ok, type Result } from '../kernel/result.ts'
import { decodeCbor, encodeCbor, NotCbor } from './cbor.ts'
import { encodeWith, type OpenNested, readWith, type Schema } from './schema.ts'

/** The largest message that leaves or enters a node, in bytes (DESIGN section 7). */
export const MESSAGE_BYTES_MAX = 65_536

/** Any message: a plain object whose `kind` is `folder/name`. */
export interface AnyMessage {
  readonly kind: string
}

/** The schemas of some messages by their kind. */
export type MessageSchemas<M extends AnyMessage> = {
  readonly [K in M['kind']]: Schema<Extract<M, { readonly kind: K }>>
}

/** Why bytes were not understood. `unknown-kind` is what a newer version says; the others are malformed. */
export interface DecodeProblem {
  readonly kind: 'too-large' | 'not-cbor' | 'unknown-kind' | 'malformed'
  readonly detail: string
}

export interface Codec<M extends AnyMessage> {
  /** Lays a message out as bytes. Throws InvariantError for a kind without schema: that is a bug of ours. */
  encode(message: M): Uint8Array
  decode(bytes: Uint8Array, open: OpenNested, depth: number): Result<M, DecodeProblem>
  /** Whether a kind may be said without a signature, to the one who hears it. */
  isSpoken(kind: M['kind']): boolean
}

/** How the messages of a kind may be said: `sealed` in an envelope, `spoken` also without one (envelope.ts). */
export type Manner = 'sealed' | 'spoken'

/** A codec of some kinds; without manners all are sealed. */
export function createCodec<M extends AnyMessage>(
  schemas: MessageSchemas<M>,
  manners?: Readonly<Record<M['kind'], Manner>>,
): Codec<M> {
  const byKind = new Map(Object.entries(schemas) as [string, Schema<M>][])
  return {
    isSpoken: (kind) => manners?.[kind as M['kind']] === 'spoken',
    encode: (message) => {
      const schema = byKind.get(message.kind)
      invariant(schema !== undefined, `no schema for the message kind ${message.kind}`)
      return encodeWith(schema, message)
    },
    decode: (bytes, open, depth) => {
      const raw = decodeBounded(bytes)
      if (!raw.ok) return raw
      const kind = (raw.value as { kind?: unknown } | null)?.kind
      if (typeof kind !== 'string') return err({ kind: 'malformed', detail: 'kind: expected text' })
      const schema = byKind.get(kind)
      if (schema === undefined) return err({ kind: 'unknown-kind', detail: kind.slice(0, 64) })
      const read = readWith(schema, raw.value, open, depth)
      return read.ok ? read : err({ kind: 'malformed', detail: `${kind}: ${read.error}` })
    },
  }
}

/** A value as plain data, with nothing in it that its schema does not know: a part of what is signed. */
export const plainOf = <T>(schema: Schema<T>, value: T): unknown => decodeCbor(encodeWith(schema, value))

/** Decodes CBOR of at most MESSAGE_BYTES_MAX bytes. */
export function decodeBounded(bytes: Uint8Array): Result<unknown, DecodeProblem> {
  if (bytes.length > MESSAGE_BYTES_MAX) {
    return err({ kind: 'too-large', detail: `${bytes.length} bytes, at most ${MESSAGE_BYTES_MAX}` })
  }
  try {
    return ok(decodeCbor(bytes))
  } catch (problem) {
    if (problem instanceof NotCbor) return err({ kind: 'not-cbor', detail: problem.message })
    throw problem
  }
}

export { encodeCbor }
