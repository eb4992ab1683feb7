// Frames out of bytes that come in whatever pieces: an unsigned varint length, then that many bytes. It waits for
// nothing, so a frame that came whole is there at once.

import { Uint8ArrayList } from 'uint8arraylist'
import { err, ok, type Result } from './kernel/result.ts'

/** A varint of 4 bytes counts to 268 million: more than any frame here may have. */
const LENGTH_BYTES_MAX = 4

export interface FrameReader {
  /** Adds what came; it is not to be changed afterwards. */
  add(bytes: Uint8Array | Uint8ArrayList): void
  /** The next frame, null until all of it came. The error says why nothing after it makes sense. */
  next(): Result<Uint8Array | null, string>
  /** Bytes that came and are in no frame yet that was read. */
  readonly size: number
}

/** Reads frames of at most `bytesMax` bytes. It owns what waits and changes it in place. */
export function createFrameReader(bytesMax: number): FrameReader {
  const waiting = new Uint8ArrayList()
  return {
    add: (bytes) => waiting.append(bytes),
    next: () => {
      let length = 0
      for (let index = 0; index < waiting.byteLength; index++) {
        if (index === LENGTH_BYTES_MAX) return err(`a length of more than ${LENGTH_BYTES_MAX} bytes`)
        const byte = waiting.get(index)
        length += (byte & 0x7f) * 2 ** (7 * index)
        if (byte >= 0x80) continue
        if (length > bytesMax) return err(`a frame of ${length} bytes; at most ${bytesMax} are read here`)
        const from = index + 1
        if (waiting.byteLength < from + length) return ok(null)
        const frame = waiting.subarray(from, from + length)
        waiting.consume(from + length)
        return ok(frame)
      }
      return ok(null)
    },
    get size() {
      return waiting.byteLength
    },
  }
}
