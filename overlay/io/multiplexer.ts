// Yamux with two faults of its JavaScript implementation mended from outside: it answers every piece of data with a
// window update, which doubles the frames of small messages, and it ends the process when a connection closes at the
// moment in which a stream is opened on it.

import type { Stream, StreamMuxerFactory } from '@libp2p/interface'
import { yamux } from '@libp2p/yamux'
import { invariant } from '../kernel/assert.ts'

/** Of a stream, what the mending needs; the states are those of @libp2p/yamux 8. */
interface YamuxStream {
  readonly state: number
  readonly recvWindow: number
  readonly recvWindowCapacity: number
  sendWindowUpdate(): void
  abort(problem: Error): void
}
interface YamuxMuxer {
  _newStream(...args: readonly unknown[]): YamuxStream
}

const ESTABLISHED = 3
/** The share of a window that may be used up before the sender hears of more; half, as in Go's and Rust's Yamux. */
const WINDOW_SHARE_LEFT_MIN = 0.5

/** Yamux that gives up a stream whose connection is closing, instead of throwing where nobody catches. */
export const multiplexer = (options: Parameters<typeof yamux>[0]) => (): StreamMuxerFactory => {
  const factory = yamux(options)()
  return Object.assign(Object.create(factory) as StreamMuxerFactory, {
    createStreamMuxer: (connection: Parameters<StreamMuxerFactory['createStreamMuxer']>[0]) => {
      const muxer = factory.createStreamMuxer(connection)
      mend(muxer as unknown as YamuxMuxer)
      return muxer
    },
  })
}

function mend(muxer: YamuxMuxer): void {
  const newStream = muxer._newStream
  invariant(typeof newStream === 'function', 'yamux makes its streams where we look for it')
  muxer._newStream = (...args) => {
    const stream = newStream.apply(muxer, args as unknown[])
    const sendWindowUpdate = stream.sendWindowUpdate
    invariant(typeof sendWindowUpdate === 'function', 'a yamux stream opens itself with a window update')
    stream.sendWindowUpdate = () => {
      try {
        sendWindowUpdate.call(stream)
      } catch (problem) {
        stream.abort(problem as Error)
      }
    }
    return stream
  }
}

/**
 * Answers small messages on a direct connection by no window update while half of the window is left. Not for bulk nor
 * for what crosses a relay: there a sender that waits may have nothing but the next window update to go on by.
 */
export function spareWindowUpdates(libp2pStream: Stream): void {
  const stream = libp2pStream as unknown as YamuxStream
  const { sendWindowUpdate } = stream
  invariant(typeof stream.recvWindowCapacity === 'number', 'a yamux stream counts its window where we look for it')
  stream.sendWindowUpdate = () => {
    const hasRoom = stream.recvWindowCapacity >= stream.recvWindow * WINDOW_SHARE_LEFT_MIN
    if (stream.state !== ESTABLISHED || !hasRoom) sendWindowUpdate.call(stream)
  }
}
