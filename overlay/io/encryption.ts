// Noise, with every message leaving in one write. The TCP transport hands each piece of an encrypted message (its
// length, its body, its tag) to the socket by itself: each costs a system call and, on an idle link, a segment with
// headers longer than what it carries.

import type { Socket } from 'node:net'
import { noise } from '@chainsafe/libp2p-noise'
import type { MessageStream } from '@libp2p/interface'
import { invariant } from '../kernel/assert.ts'

/** Of a TCP connection, what the mending needs (@libp2p/tcp 11). A relayed one has no socket. */
interface TcpConnection {
  readonly socket?: Socket
  sendData?(data: unknown): unknown
}

/** `prologue` is said before the handshake: who says another one does not get past it. */
export const encryption = (prologue: Uint8Array): ReturnType<typeof noise> => {
  const make = noise({ prologueBytes: prologue })
  return (components) => {
    const inner = make(components)
    const { secureInbound, secureOutbound } = inner
    return Object.assign(inner, {
      secureInbound: (...[connection, options]: Parameters<typeof secureInbound>) =>
        secureInbound.call(inner, inOneWrite(connection), options),
      secureOutbound: (...[connection, options]: Parameters<typeof secureOutbound>) =>
        secureOutbound.call(inner, inOneWrite(connection), options),
    })
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
