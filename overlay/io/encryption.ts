// Noise, with two things mended from outside that cost an idle node most. The TCP transport hands each piece of an
// encrypted message (its length, its body, its tag) to the socket by itself: each costs a system call and, on an idle
// link, a segment with headers longer than what it carries; here it leaves in one write. And the reader of lengths
// finds the end of what came by an error with a stack, for each message; here it is one error, made once.

import type { Socket } from 'node:net'
import { noise } from '@chainsafe/libp2p-noise'
import type { MessageStream } from '@libp2p/interface'
import { invariant } from '../kernel/assert.ts'

/** Of a TCP connection, what the mending needs (@libp2p/tcp 11). A relayed one has no socket. */
interface TcpConnection {
  readonly socket?: Socket
  sendData?(data: unknown): unknown
}

/** Of an encrypted connection, what the mending needs (@chainsafe/libp2p-noise 17, @libp2p/utils 7). */
interface DecryptingConnection {
  readonly decoder?: { lengthDecoder?: (bytes: LengthBytes) => number }
}
interface LengthBytes {
  readonly byteLength: number
  get(index: number): number
}

/** Two bytes of length stand before each message of Noise, the higher one first. */
const LENGTH_BYTES = 2
/** The decoder takes any RangeError for "not all has come yet". */
const NOT_ALL_CAME = new RangeError('the length of a message has not come yet')

/** `prologue` is said before the handshake: who says another one does not get past it. */
export const encryption = (prologue: Uint8Array): ReturnType<typeof noise> => {
  const make = noise({ prologueBytes: prologue })
  return (components) => {
    const inner = make(components)
    const { secureInbound, secureOutbound } = inner
    return Object.assign(inner, {
      secureInbound: async (...[connection, options]: Parameters<typeof secureInbound>) => {
        const secured = await secureInbound.call(inner, inOneWrite(connection), options)
        readLengthsCheaply(secured.connection)
        return secured
      },
      secureOutbound: async (...[connection, options]: Parameters<typeof secureOutbound>) => {
        const secured = await secureOutbound.call(inner, inOneWrite(connection), options)
        readLengthsCheaply(secured.connection)
        return secured
      },
    })
  }
}

/** Each message ends what has come, so each would make an error: 3 % of what an idle node does. */
export function readLengthsCheaply(connection: MessageStream): void {
  const { decoder } = connection as unknown as DecryptingConnection
  invariant(typeof decoder?.lengthDecoder === 'function', 'an encrypted connection reads lengths where we look for it')
  decoder.lengthDecoder = (bytes) => {
    if (bytes.byteLength < LENGTH_BYTES) throw NOT_ALL_CAME
    return bytes.get(0) * 256 + bytes.get(1)
  }
}

/** What a TCP connection sends at once it also writes at once. */
export function inOneWrite<C extends MessageStream>(connection: C): C {
  const { socket, sendData } = connection as unknown as TcpConnection
  if (socket === undefined) return connection
  invariant(typeof sendData === 'function', 'a TCP connection sends where we look for it')
  return Object.assign(connection, {
    sendData: (data: unknown) => {
      socket.cork()
      try {
        return sendData.call(connection, data)
      } finally {
        socket.uncork()
      }
    },
  })
}
