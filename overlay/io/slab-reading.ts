// Has a socket read into slabs. Node can read into memory that is given to it (`onread` of `net.connect()`), though not
// where a connection was accepted, or is a TLS connection on one; what that option sets is set here from outside.

import { Socket } from 'node:net'
import { TLSSocket } from 'node:tls'
import { closeSlab, forgetFreeSlabs, openSlab, SLAB_BYTES } from './slabs.ts'

/** As much as TLS hands out at once. */
const RECORD_BYTES = 16_384
/** Sockets that have a slab each, 9 MiB together; further ones read as sockets do. A guess. */
export const SLAB_READERS_MAX = 64

/** The names under which a socket keeps its memory, who is told of a read, and who gives it the next memory. */
const inside = (() => {
  const symbols = Object.getOwnPropertySymbols(new Socket())
  const [memory, onRead, next] = ['kBuffer', 'kBufferCb', 'kBufferGen'].map((name) =>
    symbols.find(({ description }) => description === name),
  )
  return memory && onRead && next ? { memory, onRead, next } : null
})()

interface Handle {
  useUserBuffer?(memory: Uint8Array): void
}

let readers = 0

/**
 * From now on `onBytes` gets what the socket would have told as `data`, as long as it is open; `pause()` and `resume()`
 * stay what they are. The bytes are good within the call; who keeps some asks for them with `lend`. Returns false, and
 * does nothing, where a Node does not have it, bytes wait in the socket, or there are too many readers.
 */
export function receiveIntoSlabs(socket: Socket, onBytes: (bytes: Uint8Array) => void): boolean {
  const { _handle: handle } = socket as unknown as { readonly _handle?: Handle | null }
  if (inside === null || typeof handle?.useUserBuffer !== 'function') return false
  if (socket.destroyed || socket.readableLength > 0 || readers >= SLAB_READERS_MAX) return false
  readers += 1
  let slab = openSlab()
  // What was read and not handed on stands between the two.
  let from = 0
  let to = 0
  let isAwaited = false
  const handOn = (): void => {
    if (from === to) return
    const bytes = slab.bytes.subarray(from, to)
    from = to
    onBytes(bytes)
  }
  const onRead = (count: number): void => {
    to += count
    // TLS tells each record by itself; behind a full one there is another one.
    if (count < RECORD_BYTES || !(socket instanceof TLSSocket)) return handOn()
    if (isAwaited) return
    isAwaited = true
    setImmediate(() => {
      isAwaited = false
      handOn()
    })
  }
  const next = (): Uint8Array => {
    const isFull = SLAB_BYTES - to < RECORD_BYTES
    if (isFull) handOn()
    if (from === to && slab.lent === 0) {
      from = 0
      to = 0
    } else if (isFull) {
      closeSlab(slab)
      slab = openSlab()
      from = 0
      to = 0
    }
    return slab.bytes.subarray(to)
  }
  socket.prependListener('end', handOn)
  socket.prependListener('close', () => {
    handOn()
    closeSlab(slab)
    readers -= 1
    if (readers === 0) forgetFreeSlabs()
  })
  const memory = next()
  Object.assign(socket, { [inside.memory]: memory, [inside.onRead]: onRead, [inside.next]: next })
  handle.useUserBuffer(memory)
  // A socket that was paused goes on reading until so much waits in it; from now on nothing waits there.
  if (socket.isPaused()) socket.pause()
  return true
}
