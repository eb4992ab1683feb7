// Bytes as one line of text that people hand to each other. Such lines are read aloud over phones, wrapped by mail
// programs and cut by terminals, so each says how long it is and carries a checksum: what is wrong with it has a name.

import { base64url } from 'multiformats/bases/base64'
import { err, ok, type Result } from '../overlay/kernel/result.ts'

/** What a line holds: the word in front of it, and what people call it. */
export interface LineKind {
  /** Ends in a version and a colon, as in `coppice1:`. */
  readonly prefix: string
  /** As in `invite`. */
  readonly noun: string
  readonly bodyBytesMax: number
}

export interface LineProblem {
  readonly code: 'not-one' | 'newer-version' | 'cut-off' | 'too-long' | 'mistyped' | 'malformed'
  /** One sentence that says what is wrong. */
  readonly detail: string
}

/**
 * The longest line that is looked at (a relation: the largest body in base64url, with prefix, header and room for
 * spaces).
 */
export const LINE_CHARS_MAX = 8_192
const HEADER_BYTES = 6
/** Header bytes in base64url; 6 bytes are 8 characters exactly, so the header is read before the rest is there. */
const HEADER_CHARS = 8

export function encodeLine({ prefix }: LineKind, body: Uint8Array): string {
  const header = new Uint8Array(HEADER_BYTES)
  const view = new DataView(header.buffer)
  view.setUint16(0, body.length)
  view.setUint32(2, crc32(body))
  return prefix + base64url.baseEncode(header) + base64url.baseEncode(body)
}

/** Reads a line; spaces and line breaks that crept in are passed over. */
export function decodeLine(kind: LineKind, line: string): Result<Uint8Array, LineProblem> {
  const { prefix, noun } = kind
  if (line.length > LINE_CHARS_MAX) return refuse('too-long', `the ${noun} is too long: paste one ${noun} only`)
  const compact = line.replace(/\s+/g, '').replace(/^["'`]+|["'`]+$/g, '')
  const wrong = prefixProblem(kind, compact)
  if (wrong !== null) return wrong
  const rest = compact.slice(prefix.length)
  if (rest.length < HEADER_CHARS) return refuse('cut-off', `the ${noun} is cut off: only its beginning is there`)
  const header = decodeBase64(rest.slice(0, HEADER_CHARS))
  if (header === null) return mistyped(noun)
  const view = new DataView(header.buffer, header.byteOffset, header.byteLength)
  return decodeBody(kind, rest.slice(HEADER_CHARS), view.getUint16(0), view.getUint32(2))
}

function prefixProblem({ prefix, noun }: LineKind, compact: string): Result<never, LineProblem> | null {
  if (compact.startsWith(prefix)) return null
  if (compact !== '' && prefix.startsWith(compact)) {
    return refuse('cut-off', `the ${noun} is cut off: only its beginning is there`)
  }
  if (compact.replace(/^([a-z-]+)\d+:.*$/, '$1') === prefix.replace(/\d+:$/, '')) {
    return refuse('newer-version', `the ${noun} was made by a newer Coppice: update this device first`)
  }
  return refuse('not-one', `this is not an ${noun}: an ${noun} begins with "${prefix}"`)
}

function decodeBody(
  { noun, bodyBytesMax }: LineKind,
  encoded: string,
  length: number,
  checksum: number,
): Result<Uint8Array, LineProblem> {
  const expectedChars = Math.ceil((length * 4) / 3)
  const body = decodeBase64(encoded)
  const isIntact = body !== null && crc32(body) === checksum
  if (!isIntact && encoded.length < expectedChars) {
    const missing = expectedChars - encoded.length
    const what = missing === 1 ? '1 character is' : `${missing} characters are`
    return refuse('cut-off', `the ${noun} is cut off: ${what} missing at its end`)
  }
  if (!isIntact && encoded.length > expectedChars) {
    const excess = encoded.length - expectedChars
    return refuse('too-long', `the ${noun} has ${excess} characters too many: paste one ${noun} only`)
  }
  if (body === null || !isIntact || body.length !== length) return mistyped(noun)
  return body.length > bodyBytesMax ? refuse('malformed', `the ${noun} is larger than ${noun}s are`) : ok(body)
}

function decodeBase64(encoded: string): Uint8Array | null {
  // The library passes over padding; a line has none.
  if (encoded.includes('=')) return null
  try {
    return base64url.baseDecode(encoded)
  } catch {
    return null
  }
}

/** CRC-32 (IEEE 802.3): finds every single changed character, and any other change but one in four thousand million. */
function crc32(data: Uint8Array): number {
  let crc = 0xffffffff
  for (const byte of data) {
    crc ^= byte
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0)
  }
  return (crc ^ 0xffffffff) >>> 0
}

const refuse = (code: LineProblem['code'], detail: string): Result<never, LineProblem> => err({ code, detail })
const mistyped = (noun: string): Result<never, LineProblem> =>
  refuse('mistyped', `the ${noun} is damaged: at least one character differs from what was handed out; copy it again`)
