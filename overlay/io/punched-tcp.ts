// libp2p's TCP transport, which can also be handed a socket that is connected already: one that two nodes made by
// dialling each other at the same moment.

import type { Socket } from 'node:net'
import type { Connection, Upgrader } from '@libp2p/interface'
import { tcp } from '@libp2p/tcp'
import { invariant } from '../kernel/assert.ts'

/** Of the options of a dial, those that are ours. */
export interface OwnDialOptions {
  /** The socket to use instead of dialling. */
  readonly socket?: Socket
  /** Who begins to speak. */
  readonly initiator?: boolean
  /** The other end's kernel has taken the connection; its process may be as busy as it likes. */
  readonly onTaken?: () => void
}
interface DialOptions extends OwnDialOptions {
  readonly upgrader: Upgrader
}

interface TcpTransport {
  dial(address: unknown, options: DialOptions): Promise<Connection>
  _connect(address: unknown, options: DialOptions): Promise<Socket>
}

export const punchedTcp = (): ReturnType<typeof tcp> => {
  const make = tcp()
  return (components) => {
    const transport = make(components)
    const inner = transport as unknown as TcpTransport
    const { dial, _connect } = inner
    invariant(typeof _connect === 'function', 'the TCP transport connects where we look for it')
    inner._connect = async (address, options) => {
      const socket = options.socket ?? (await _connect.call(inner, address, options))
      options.onTaken?.()
      return socket
    }
    inner.dial = (address, options) =>
      dial.call(
        inner,
        address,
        options.initiator === false ? { ...options, upgrader: listening(options.upgrader) } : options,
      )
    return transport
  }
}

/**
 * Both ends dialled, and one of them has to behave as if it had been dialled: the multiplexer numbers its streams by
 * the direction that the connection claims.
 */
const listening = (upgrader: Upgrader): Upgrader =>
  Object.assign(Object.create(upgrader) as Upgrader, {
    upgradeOutbound: (...[connection, options]: Parameters<Upgrader['upgradeOutbound']>) =>
      upgrader.upgradeOutbound(Object.assign(connection, { direction: 'inbound' }), options),
  })
