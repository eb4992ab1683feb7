// A device of a version that does not exist yet: each of its messages has a field that nobody here knows, and some are
// of a kind that nobody here knows. The others have to pass over both.

import type { CoreMessage } from '../../node/core/effects.ts'
import { coreCodec } from '../../node/core/messages.ts'
import { type Codec, encodeCbor } from '../../overlay/wire/codec.ts'

const UNKNOWN_KIND = 'future/greeting'

/** What only a newer device says. */
export const UNKNOWN_MESSAGE = { kind: UNKNOWN_KIND, moods: ['fine', 'curious'] } as unknown as CoreMessage

/** Longer than any other, since deterministic CBOR sorts keys by their length first. */
const UNKNOWN_FIELD = encodeCbor('a-field-that-only-newer-versions-know')
const UNKNOWN_VALUE = encodeCbor({ since: 2, why: 'nobody has asked yet' })

/** A CBOR map of fewer entries than this has its length in its first byte (RFC 8949, section 3). */
const MAP = 0xa0
const SHORT_MAP_MAX = 23

export const newerCodec: Codec<CoreMessage> = {
  encode: (message) => (message === UNKNOWN_MESSAGE ? encodeCbor(message) : withField(coreCodec.encode(message))),
  decode: coreCodec.decode,
  isSpoken: (kind) => coreCodec.isSpoken(kind) || kind === (UNKNOWN_KIND as CoreMessage['kind']),
}

function withField(body: Uint8Array): Uint8Array {
  const entries = (body[0] as number) - MAP
  if (entries < 0 || entries >= SHORT_MAP_MAX) return body
  const longer = new Uint8Array(body.length + UNKNOWN_FIELD.length + UNKNOWN_VALUE.length)
  longer.set(body)
  longer[0] = MAP + entries + 1
  longer.set(UNKNOWN_FIELD, body.length)
  longer.set(UNKNOWN_VALUE, body.length + UNKNOWN_FIELD.length)
  return longer
}
