// A port of this device and what members see of it: the sockets from one local port, to one or two members, hold the
// mapping of a NAT open for as long as they last.

import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import type { Connection } from '@libp2p/interface'
import { multiaddr } from '@multiformats/multiaddr'
import { isIpv6, type PunchOffer } from '../punch.ts'
import type { Libp2pNode } from './create-libp2p.ts'
import { hostAndPortOf } from './dial-back.ts'
import { closeQuietly } from './hello.ts'

export interface PortMapping {
  readonly localPort: number
  readonly offer: PunchOffer
  close(): void
}

/** A member that can be dialled: its multiaddr ends in its id. */
export type Observer = string

interface Probe {
  readonly localPort: number
  readonly host: string
  readonly port: number
  readonly connection: Connection
}

/** Asks up to two members how they see one local port. Rejects when not even the first answers. */
export async function openMapping(
  node: Libp2pNode,
  observers: readonly Observer[],
  signal: AbortSignal,
): Promise<PortMapping> {
  const [first, second] = observers
  if (first === undefined) throw new Error('no member is connected that could say how this node is seen from outside')
  const seen = await probe(node, first, 0, signal)
  const again = second === undefined ? null : await probe(node, second, seen.localPort, signal).catch(() => null)
  const { localPort, host, port } = seen
  return {
    localPort,
    offer: { host, port, isSteady: again === null ? null : again.host === host && again.port === port },
    close: () => {
      void closeQuietly(seen.connection)
      if (again !== null) void closeQuietly(again.connection)
    },
  }
}

async function probe(node: Libp2pNode, observer: Observer, localPort: number, signal: AbortSignal): Promise<Probe> {
  const target = hostAndPortOf(observer)
  if (target === null) throw new Error(`${observer} is no address of TCP`)
  const socket = await dialFrom(localPort, target.host, target.port, signal)
  const bound = socket.localPort ?? 0
  const connection = await node.services.inside.transportManager.dial(multiaddr(observer), { signal, socket } as object)
  const { observedAddr } = await node.services.identify.identify(connection, { signal })
  const seen = observedAddr === undefined ? null : hostAndPortOf(observedAddr.toString())
  if (seen === null) throw new Error('the member did not say how it sees this node')
  return { localPort: bound, host: seen.host, port: seen.port, connection }
}

/** Dials from a local port (0: any, which others may then share), as a listener of that port would be seen. */
export async function dialFrom(localPort: number, host: string, port: number, signal: AbortSignal): Promise<Socket> {
  signal.throwIfAborted()
  const socket = connect({ host, port, localPort, localAddress: isIpv6(host) ? '::' : '0.0.0.0', noDelay: true })
  try {
    await once(socket, 'connect', { signal })
    return socket
  } catch (problem) {
    socket.destroy()
    throw problem
  }
}
