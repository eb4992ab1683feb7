// libp2p's TCP transport, which can also be handed a socket that is connected already: one that two nodes made by
// dialling each other at the same moment.

import type { Socket } from 'node:net'
import { tcp } from '@libp2p/tcp'
import { invariant } from '../kernel/assert.ts'

/** Of the options of a dial, the one that is ours: the socket to use instead of dialling. */
export interface SocketOption {
  readonly socket?: Socket
}

interface TcpTransport {
  _connect(address: unknown, options: SocketOption): Promise<Socket>
}

export const punchedTcp = (): ReturnType<typeof tcp> => {
  const make = tcp()
  return (components) => {
    const transport = make(components)
    const inner = transport as unknown as TcpTransport
    const connect = inner._connect
    invariant(typeof connect === 'function', 'the TCP transport connects where we look for it')
    inner._connect = async (address, options) => options.socket ?? (await connect.call(transport, address, options))
    return transport
  }
}
