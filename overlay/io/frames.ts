// Single frames at the start of a stream: an unsigned varint length, then that many bytes. What follows the frame stays
// in the duplex, so a tunnel's bytes can come right behind its header.

import type { Duplex, Readable } from 'node:stream'
import { encode } from 'it-length-prefixed'

/** A varint of 4 bytes counts to 268 million: more than any frame here may have. */
const LENGTH_BYTES_MAX = 4

/** Why a frame was not read; nothing after it makes sense. */
export class FrameError extends Error {
  override readonly name = 'FrameError'
}

/** A frame as it goes over the wire. */
export const frame = (bytes: Uint8Array): Uint8Array => encode.single(bytes).subarray()

/** Writes one frame; it is small, so its back-pressure is left to the next write. */
export const writeFrame = (duplex: Duplex, bytes: Uint8Array): void => {
  duplex.write(frame(bytes))
}

/** Reads one frame of at most `bytesMax` bytes. Rejects with FrameError, with the stream's error, or when aborted. */
export async function readFrame(duplex: Duplex, bytesMax: number, signal: AbortSignal): Promise<Uint8Array> {
  let length = 0
  for (let index = 0; ; index++) {
    if (index === LENGTH_BYTES_MAX) throw new FrameError(`a length of more than ${LENGTH_BYTES_MAX} bytes`)
    const byte = (await readBytes(duplex, 1, signal))[0] ?? 0
    length += (byte & 0x7f) * 2 ** (7 * index)
    if (byte < 0x80) break
  }
  if (length > bytesMax) throw new FrameError(`a frame of ${length} bytes; at most ${bytesMax} are read here`)
  return length === 0 ? new Uint8Array(0) : await readBytes(duplex, length, signal)
}

/** Reads so many bytes; what follows stays in the stream. Rejects as `readFrame` does. */
export async function readBytes(duplex: Readable, count: number, signal: AbortSignal): Promise<Uint8Array> {
  const parts: Uint8Array[] = []
  for (let missing = count; missing > 0; ) {
    if (duplex.errored !== null) throw duplex.errored
    if (duplex.readableEnded || duplex.destroyed) throw new FrameError('the stream ended within a frame')
    // What is there is taken, though it be half a frame: while bytes wait, Node calls a listener for `readable` at
    // once, so that to wait for the rest beside them would keep the thread for as long as the peer likes.
    const bytes: Uint8Array | null = duplex.read(Math.min(missing, duplex.readableLength))
    if (bytes === null) await nextChange(duplex, signal)
    else {
      parts.push(bytes)
      missing -= bytes.length
    }
  }
  return parts.length === 1 && parts[0] !== undefined ? parts[0] : new Uint8Array(Buffer.concat(parts))
}

/** Waits until there is more to read, or the stream ended. One promise: a tunnel waits for each of its frames. */
function nextChange(duplex: Readable, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const end = (settle: () => void): void => {
      duplex.off('readable', onChange).off('end', onChange).off('close', onChange).off('error', onError)
      signal.removeEventListener('abort', onAbort)
      settle()
    }
    const onChange = (): void => end(resolve)
    const onError = (problem: Error): void => end(() => reject(problem))
    const onAbort = (): void => end(() => reject(signal.reason))
    if (signal.aborted) return reject(signal.reason)
    duplex.on('readable', onChange).on('end', onChange).on('close', onChange).on('error', onError)
    signal.addEventListener('abort', onAbort)
  })
}
