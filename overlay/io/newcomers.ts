// Carrying a request to join to a member that only a relay reaches. A device with an invite says so to the relay, which
// then serves it one connection to that member and nothing else; the request and its answer are for the member alone.

import type { Connection } from '@libp2p/interface'
import { multiaddr } from '@multiformats/multiaddr'
import type { Libp2pNode } from './create-libp2p.ts'
import { readFrame, writeFrame } from './frames.ts'
import type { HelloDesk } from './hello.ts'
import { JOIN_OVER_PROTOCOL, JOIN_TIMEOUT_MS, RELAY_HOP_PROTOCOL } from './protocols.ts'
import { libp2pDuplex } from './stream-duplex.ts'

/**
 * Newcomers that a relay carries at once, each for as long as a join may take; the next is refused and tries again. A
 * guess: whoever knows the federation's id could come, and this is what it could take.
 */
export const NEWCOMERS_AT_ONCE_MAX = 8
/** What the relay says when it will carry; anything else ends the stream. */
const WILL_CARRY = new Uint8Array(0)
const ADDRESS_OF_RELAYED = '/p2p-circuit'

export async function serveNewcomers(node: Libp2pNode, desk: HelloDesk): Promise<void> {
  const carried = new Set<Connection>()
  await node.handle(
    JOIN_OVER_PROTOCOL,
    (stream, connection) => {
      const isRoom = carried.size < NEWCOMERS_AT_ONCE_MAX && !carried.has(connection)
      if (!isRoom || !connection.direct || !node.services.relay.isOn()) {
        stream.abort(new Error('this node carries no newcomer now'))
        return
      }
      carried.add(connection)
      node.newcomers.add(connection)
      desk.letThrough(connection, RELAY_HOP_PROTOCOL)
      const gone = goneOrAfter(connection, JOIN_TIMEOUT_MS)
      desk.exempt(connection, gone)
      void gone.then(() => carried.delete(connection))
      const duplex = libp2pDuplex(stream)
      duplex.on('error', () => {})
      writeFrame(duplex, WILL_CARRY)
      duplex.end()
    },
    { maxInboundStreams: 1 },
  )
}

function goneOrAfter(connection: Connection, ms: number): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms)
    timer.unref()
    connection.addEventListener('close', () => {
      clearTimeout(timer)
      resolve()
    })
  })
}

/** Where the address of an invite leads over a relay, asks that one to carry us. Rejects when it does not. */
export async function askToBeCarried(node: Libp2pNode, address: string, signal: AbortSignal): Promise<void> {
  const at = address.indexOf(ADDRESS_OF_RELAYED)
  if (at < 0) return
  const relay = await node.dial(multiaddr(address.slice(0, at)), { signal })
  const duplex = libp2pDuplex(await relay.newStream(JOIN_OVER_PROTOCOL, { signal }))
  duplex.on('error', () => {})
  try {
    await readFrame(duplex, WILL_CARRY.length, signal)
  } finally {
    duplex.destroy()
  }
}
