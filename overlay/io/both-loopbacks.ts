// A proxy on 127.0.0.1 is one on ::1 as well, where the device has that: programs that are told `localhost` try both.

import { once } from 'node:events'
import { createServer, type Server } from 'node:net'

const IPV6_LOOPBACK = '::1'

/**
 * Has a server that listens on 127.0.0.1 take what comes to the same port of ::1, until it closes. Where the device has
 * no IPv6, or somebody else has that port there, nothing changes.
 */
export async function takeIpv6Loopback(server: Server, port: number): Promise<void> {
  // What the server does with a connection it says by itself; here they are only let in.
  const twin = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => server.emit('connection', socket))
  twin.maxConnections = server.maxConnections
  try {
    twin.listen({ port, host: IPV6_LOOPBACK, ipv6Only: true })
    await once(twin, 'listening')
    server.once('close', () => twin.close())
  } catch {
    twin.close()
  }
}
