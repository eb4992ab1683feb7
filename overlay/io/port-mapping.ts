// A port of this device and what members see of it: the sockets from one local port, to one or two members, hold the
// mapping of a NAT open for as long as they last.

import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import type { Connection } from '@libp2p/interface'
import type { NodeId } from '../kernel/ids.ts'
import { NoDirectPath } from '../not-direct.ts'
import { isIpv6, type PunchOffer } from '../punch.ts'
import { type Knocked, knock } from './knocks.ts'
import { askToBeSeen } from './observe.ts'

export interface PortMapping {
  readonly localPort: number
  readonly offer: PunchOffer
  close(): void
}

/** A member that is connected directly, and an address at which it can be knocked at. */
export interface Observer {
  readonly peer: NodeId
  readonly connection: Connection
  readonly host: string
  readonly port: number
}

/**
 * Asks up to two members, over one family of addresses, how they see one local port. Rejects when not even the first
 * answers.
 */
export async function openMapping([first, second]: readonly Observer[], signal: AbortSignal): Promise<PortMapping> {
  if (first === undefined) throw new NoDirectPath('unobserved')
  const secondTicket = second === undefined ? null : askToBeSeen(second.connection, signal)
  secondTicket?.catch(() => {})
  const seen = await beSeen(first, await askToBeSeen(first.connection, signal), 0, signal)
  const localPort = seen.socket.localPort ?? 0
  const again = await seenAgain(second, secondTicket, localPort, signal)
  const { host, port } = seen.seen
  return {
    localPort,
    offer: { host, port, isSteady: again === null ? null : again.seen.host === host && again.seen.port === port },
    close: () => {
      seen.socket.destroy()
      again?.socket.destroy()
    },
  }
}

async function seenAgain(
  observer: Observer | undefined,
  ticket: Promise<string> | null,
  localPort: number,
  signal: AbortSignal,
): Promise<Knocked | null> {
  if (observer === undefined || ticket === null) return null
  try {
    return await beSeen(observer, await ticket, localPort, signal)
  } catch {
    // One is enough to be dialled by those whom the NAT shows the same port.
    return null
  }
}

const beSeen = ({ host, port }: Observer, ticket: string, localPort: number, signal: AbortSignal): Promise<Knocked> =>
  knock({ host, port, ...from(localPort, host) }, ticket, signal)

/** A local port (0: any), which others may then share, as a listener of that port would be seen. */
const from = (localPort: number, host: string) => ({ localPort, localAddress: isIpv6(host) ? '::' : '0.0.0.0' })

/** Dials from a local port. */
export async function dialFrom(localPort: number, host: string, port: number, signal: AbortSignal): Promise<Socket> {
  signal.throwIfAborted()
  const socket = connect({ host, port, ...from(localPort, host), noDelay: true })
  try {
    await once(socket, 'connect', { signal })
    return socket
  } catch (problem) {
    socket.destroy()
    throw problem
  }
}
