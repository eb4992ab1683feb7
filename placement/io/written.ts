// Bytes into a stream at the pace of whoever reads it.

import type { Writable } from 'node:stream'

/** Resolves when more may follow: at once, once the reader has caught up, or when there is none any more. */
export function written(stream: Writable, bytes: Uint8Array): Promise<void> {
  if (stream.destroyed || stream.writableEnded || stream.write(bytes)) return Promise.resolve()
  return new Promise((resolve) => {
    const done = (): void => {
      stream.off('drain', done).off('close', done)
      resolve()
    }
    stream.once('drain', done).once('close', done)
  })
}
