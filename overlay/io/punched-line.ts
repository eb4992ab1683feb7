// Lines through holes in NATs: a libp2p connection that was punched stands between two ports on which nobody listens,
// so a line to that peer needs a hole of its own, agreed on over the connection that there is (punch-agreement.ts).

import type { Socket } from 'node:net'
import type { TLSSocket } from 'node:tls'
import type { Connection } from '@libp2p/interface'
import { PUNCH_LINE_PROTOCOL } from './protocols.ts'
import { arrangePunches, type PunchMeans } from './punch-agreement.ts'

/**
 * Asks a peer for a hole and begins a line there. `begin` rejects on a connection whose other end does not know the
 * key. Rejects where none comes about.
 */
export type PunchLine = (
  over: Connection,
  begin: (socket: Socket) => Promise<TLSSocket>,
  signal: AbortSignal,
) => Promise<TLSSocket>

/** `onLine` is given connections that peers asked for, on which a line begins, or a stranger says something else. */
export async function installLinePunching(means: PunchMeans, onLine: (socket: Socket) => void): Promise<PunchLine> {
  const ask = await arrangePunches<TLSSocket>(means, {
    protocol: PUNCH_LINE_PROTOCOL,
    make: async (socket) => {
      onLine(socket)
      return null
    },
    // Who asked knows, and takes libp2p streams.
    onFailed: () => {},
  })
  return (over, begin, signal) => ask(over, begin, signal)
}
