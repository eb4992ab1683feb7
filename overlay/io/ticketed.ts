// Connections that begin with a ticket: made to where a member listens, and read where they arrive.

import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { connect, type Socket, type TcpNetConnectOpts } from 'node:net'
import { PREAMBLE_BYTES, preamble, TICKET_CHARS, ticketIn } from '../tickets.ts'
import { within } from './deadline.ts'
import { readBytes } from './frames.ts'

/** How long a ticket may take to be read; a guess, far above any round trip. */
const PREAMBLE_MS_MAX = 5_000

export const newTicket = (): string => randomBytes(TICKET_CHARS / 2).toString('hex')

/** The ticket with which a connection begins. Rejects when none comes in time. */
export async function awaitTicket(socket: Socket): Promise<string> {
  const patience = within(PREAMBLE_MS_MAX)
  try {
    return ticketIn(await readBytes(socket, PREAMBLE_BYTES, patience.signal))
  } finally {
    patience.end()
  }
}

/** Connects and shows a ticket. Rejects when nobody listens there. */
export async function connectWith(
  at: TcpNetConnectOpts,
  first: number,
  ticket: string,
  signal: AbortSignal,
): Promise<Socket> {
  signal.throwIfAborted()
  const socket = connect(at)
  socket.on('error', () => {})
  try {
    await once(socket, 'connect', { signal })
  } catch (problem) {
    socket.destroy()
    throw problem
  }
  socket.write(preamble(first, ticket))
  return socket
}
