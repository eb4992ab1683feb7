// A libp2p stream as a Node Duplex, with back-pressure that holds in both directions. libp2p's own helpers do not: its
// `onDrain()` works once and its iterator buffers without bound, so only the `drain` event and `pause()` are relied on
// here.

import { Duplex } from 'node:stream'
import type { Stream } from '@libp2p/interface'
import { Uint8ArrayList } from 'uint8arraylist'

/** Written bytes that wait before `write()` says stop; also the most that one libp2p write carries. 256 KiB to 1 MiB
 *  measured fastest on tcp + noise + yamux (27 MB/s at 1 KiB, 311 at 256 KiB). */
export const DUPLEX_WRITE_BYTES_MAX = 262_144
/** Received bytes that wait for the reader before the stream is paused; the sender's window comes on top. */
export const DUPLEX_READ_BYTES_MAX = 262_144

/** What a duplex ends with when the connection below it went away before the other side had finished. */
export class StreamLostError extends Error {
  override readonly name = 'StreamLostError'
  readonly code = 'ERR_STREAM_LOST'
}

/**
 * Wraps a stream whose protocol is negotiated. Ending one side keeps the other open (half-close); destroying it resets
 * the stream; a reset or a lost connection destroys it with an error, so a cut is never mistaken for an end.
 */
export function libp2pDuplex(stream: Stream): Duplex {
  const duplex = new Duplex({
    allowHalfOpen: true,
    readableHighWaterMark: DUPLEX_READ_BYTES_MAX,
    writableHighWaterMark: DUPLEX_WRITE_BYTES_MAX,
    read: () => reader.resume(),
    write: (chunk: Uint8Array, _encoding, done) => writer.write(chunk, done),
    writev: (chunks: readonly { readonly chunk: Uint8Array }[], done) =>
      writer.write(new Uint8ArrayList(...chunks.map((item) => item.chunk)), done),
    final: (done) => writer.end(done),
    destroy: (problem, done) => {
      if (stream.status === 'open') stream.abort(problem ?? new Error('the tunnel was closed on this side'))
      done(problem)
    },
  })
  const reader = readFrom(stream, duplex)
  const writer = writeTo(stream, duplex)
  return duplex
}

/** Moves received bytes into the duplex and pauses the stream while nobody takes them. */
function readFrom(stream: Stream, duplex: Duplex): { resume(): void } {
  let wantsBytes = true
  let remoteEnded = false
  stream.addEventListener('message', ({ data }) => {
    for (const part of data instanceof Uint8Array ? [data] : data) wantsBytes = duplex.push(part)
    // Not here and now: a pause made while resume() hands out what was buffered is undone below, in yamux.
    if (!wantsBytes) queueMicrotask(() => !wantsBytes && stream.readStatus === 'readable' && stream.pause())
  })
  stream.addEventListener('remoteCloseWrite', () => {
    remoteEnded = true
  })
  stream.addEventListener('end', () => {
    if (remoteEnded) duplex.push(null)
  })
  stream.addEventListener('close', (event) => {
    if (event.error !== undefined) duplex.destroy(event.error)
    else if (!remoteEnded) duplex.destroy(new StreamLostError('the connection was lost'))
  })
  return {
    resume: () => {
      wantsBytes = true
      if (stream.readStatus === 'paused') stream.resume()
    },
  }
}

type Done = (problem?: Error | null) => void

/** Hands bytes to the stream and calls back when it can take more. */
function writeTo(
  stream: Stream,
  duplex: Duplex,
): { write(bytes: Uint8Array | Uint8ArrayList, done: Done): void; end(done: Done): void } {
  let waiting: Done | null = null
  const go = (problem?: Error): void => {
    const done = waiting
    waiting = null
    done?.(problem)
  }
  stream.addEventListener('drain', () => go())
  stream.addEventListener('close', (event) => {
    if (waiting !== null) go(event.error ?? new StreamLostError('the connection was lost'))
    else if (!duplex.writableEnded && !duplex.destroyed) duplex.destroy(event.error ?? lostBeforeEnd())
  })
  return {
    write: (bytes, done) => {
      try {
        if (stream.send(bytes)) done()
        else waiting = done
      } catch (problem) {
        done(problem as Error)
      }
    },
    end: (done) => {
      stream.close().then(() => done(), done)
    },
  }
}

const lostBeforeEnd = (): Error => new StreamLostError('the stream closed before everything was written')
