// Dialling another node from one port while it dials that port: whichever packet comes through first makes the
// connection. Where the NATs in between let nobody in who was not dialled, both packets do (a simultaneous open); where
// they let everybody in, one side's packet arrives before the other side dials, and has to find somebody who listens.

import { createServer, type Server, type Socket } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { isIpv6, type PunchOffer } from '../punch.ts'
import { dialFrom } from './port-mapping.ts'

/** A router that refuses instead of dropping is dialled again until the other side has opened its own. */
const REFUSED_RETRY_MS = 100
/** Whoever finds the port while it is listened on may connect; the peer does so once or twice. */
const CONNECTIONS_MAX = 8

/**
 * Dials the other side from the mapped port and listens on that port, until the signal aborts; `use` is given each
 * connection that comes about. What was sent has opened our own NAT for the answer, and, if that goes by addresses, for
 * another port of the same address. Linux lets a port that was bound for dialling be listened on afterwards, and not
 * the other way round: so each dial begins without a listener, and the pause after one that was refused has one.
 */
export async function dialAndListen(
  localPort: number,
  theirs: Pick<PunchOffer, 'host' | 'port'>,
  signal: AbortSignal,
  use: (socket: Socket) => Promise<void>,
): Promise<void> {
  while (!signal.aborted) {
    const dialling = dialFrom(localPort, theirs.host, theirs.port, signal)
    const listener = listenOn(localPort, theirs.host, use)
    const close = (): void => void listener.close()
    signal.addEventListener('abort', close, { once: true })
    try {
      await use(await dialling)
      return
    } catch {
      await delay(REFUSED_RETRY_MS, null, { signal }).catch(() => {})
    } finally {
      signal.removeEventListener('abort', close)
      close()
    }
  }
}

/** Where the port cannot be listened on, dialling is what is left. */
function listenOn(port: number, theirHost: string, use: (socket: Socket) => Promise<void>): Server {
  const listener = createServer((socket) => void use(socket)).on('error', () => {})
  listener.maxConnections = CONNECTIONS_MAX
  return listener.listen({ port, host: isIpv6(theirHost) ? '::' : '0.0.0.0' })
}
