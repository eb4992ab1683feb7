// Four bytes in front of what is kept without a signature, so that a bit that flipped on a disk is noticed. A store
// checks its own blocks, but not on every read and not what a file system did to it.

import { err, ok, type Result } from '../kernel/result.ts'

const CHECKSUM_BYTES = 4

/** CRC-32 by its usual reflected polynomial (IEEE 802.3; the algorithm of RFC 1952, section 8). */
const POLYNOMIAL = 0xedb88320

const TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let rest = byte
  for (let bit = 0; bit < 8; bit++) rest = (rest & 1) === 1 ? (rest >>> 1) ^ POLYNOMIAL : rest >>> 1
  return rest
})

function crc32(bytes: Uint8Array): number {
  let sum = 0xffffffff
  for (const byte of bytes) sum = (sum >>> 8) ^ (TABLE[(sum ^ byte) & 0xff] as number)
  return ~sum >>> 0
}

export function withChecksum(body: Uint8Array): Uint8Array {
  const kept = new Uint8Array(CHECKSUM_BYTES + body.length)
  new DataView(kept.buffer).setUint32(0, crc32(body))
  kept.set(body, CHECKSUM_BYTES)
  return kept
}

/** What `withChecksum` was given, or why it is not that any more. */
export function checkedBody(kept: Uint8Array): Result<Uint8Array, string> {
  if (kept.length < CHECKSUM_BYTES) return err('cut off')
  const body = kept.subarray(CHECKSUM_BYTES)
  const sum = new DataView(kept.buffer, kept.byteOffset, CHECKSUM_BYTES).getUint32(0)
  return sum === crc32(body) ? ok(body) : err('its checksum is wrong')
}
