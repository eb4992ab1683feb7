// How two nodes agree on a line and connect it: whoever can reach the other connects, to the very address on which
// their libp2p connection stands; who cannot asks to be called.

import { randomBytes } from 'node:crypto'
import type { Socket } from 'node:net'
import type { TLSSocket } from 'node:tls'
import type { Connection } from '@libp2p/interface'
import type { NodeId } from '../kernel/ids.ts'
import {
  decodeLineAnswer,
  decodeRequest,
  encodeLineAnswer,
  encodeRequest,
  LINE_REQUEST_BYTES_MAX,
  LINE_SECRET_BYTES,
  LINE_TICKET_CHARS,
  type LineAnswer,
  type LineRequest,
} from '../line-request.ts'
import { peerOf } from './connections.ts'
import type { Libp2pNode } from './create-libp2p.ts'
import { dialTls, lineKey } from './line-tls.ts'
import { LINE_PROTOCOL } from './protocols.ts'
import { answerOnStream, askOnStream } from './question.ts'

/** How long a question may take to be read; a guess, far above any round trip. */
const REQUEST_TIMEOUT_MS = 5_000
/** How long a ticket is good for: the time to connect. */
const TICKET_MS = 5_000
/** Tickets that wait for their connections; the oldest goes first. A guess. */
const TICKETS_MAX = 1_024

/** A connection as far as a line needs it: where it stands, and who made it. */
export interface Reach {
  readonly host: string
  readonly port: number
}

/** Where a line to the peer can be connected to: only a direct TCP connection that we made says so. */
export function reachOf(connection: Connection): Reach | null {
  if (!isTcp(connection) || connection.direction !== 'outbound') return null
  const [, , host = '', , port = ''] = connection.remoteAddr.toString().split('/')
  return { host, port: Number(port) }
}

/** A direct connection over nothing but TCP. */
export const isTcp = ({ direct, remoteAddr }: Connection): boolean =>
  direct && /^\/(?:ip4|ip6|dns|dns4|dns6)\/[^/]+\/tcp\/\d+(?:\/p2p\/[^/]+)?$/.test(remoteAddr.toString())

/** Makes a connection other than to an address, and begins the line on it. */
export type Way = (begin: (socket: Socket) => Promise<TLSSocket>) => Promise<TLSSocket>

export interface Agreed {
  readonly peer: NodeId
  readonly key: Uint8Array
}

export interface Meeting {
  /** Agrees on a line and connects it. Rejects when that fails. */
  dial(connection: Connection, way: Reach | Way, signal: AbortSignal): Promise<TLSSocket>
  /** Asks the peer to connect a line. Rejects when it cannot. */
  askToCall(connection: Connection, signal: AbortSignal): Promise<void>
  /** What was agreed for a ticket; null for none, or the second time. */
  redeem(ticket: string): Agreed | null
}

/** Serves the protocol; `onCall` is told which peer wants to be connected to. */
export async function arrangeMeetings(node: Libp2pNode, onCall: (peer: NodeId) => void): Promise<Meeting> {
  const tickets = new Map<string, Agreed & { readonly until: number }>()

  const answerTo = (request: LineRequest, peer: NodeId): LineAnswer => {
    if (request.kind === 'call') {
      onCall(peer)
      return { kind: 'called' }
    }
    const ticket = randomBytes(LINE_TICKET_CHARS / 2).toString('hex')
    const secret = randomBytes(LINE_SECRET_BYTES)
    const key = lineKey(ticket, [request.secret, secret])
    tickets.set(ticket, { peer, key, until: performance.now() + TICKET_MS })
    const [oldest] = tickets.keys()
    if (tickets.size > TICKETS_MAX && oldest !== undefined) tickets.delete(oldest)
    return { kind: 'line', ticket, secret }
  }

  await node.handle(
    LINE_PROTOCOL,
    (stream, connection) =>
      answerOnStream(stream, { bytesMax: LINE_REQUEST_BYTES_MAX, msMax: REQUEST_TIMEOUT_MS }, (raw) => {
        const request = decodeRequest(raw)
        if (!request.ok) throw new Error(request.error)
        return encodeLineAnswer(answerTo(request.value, peerOf(connection)))
      }),
    { runOnLimitedConnection: false },
  )

  return {
    dial: async (connection, way, signal) => {
      const secret = randomBytes(LINE_SECRET_BYTES)
      const answer = await ask(connection, { kind: 'line', secret }, signal)
      if (answer.kind !== 'line') throw new Error('the peer did not answer with a line')
      const { ticket } = answer
      const key = lineKey(ticket, [secret, answer.secret])
      const begin = (at: Reach | { readonly socket: Socket }) => dialTls(at, ticket, key, signal)
      return await (typeof way === 'function' ? way((socket) => begin({ socket })) : begin(way))
    },
    askToCall: async (connection, signal) => {
      await ask(connection, { kind: 'call' }, signal)
    },
    redeem: (ticket) => {
      const agreed = tickets.get(ticket)
      tickets.delete(ticket)
      return agreed !== undefined && performance.now() < agreed.until ? agreed : null
    },
  }
}

async function ask(connection: Connection, request: LineRequest, signal: AbortSignal): Promise<LineAnswer> {
  const asking = { bytesMax: LINE_REQUEST_BYTES_MAX, signal }
  const answer = decodeLineAnswer(await askOnStream(connection, LINE_PROTOCOL, encodeRequest(request), asking))
  if (!answer.ok) throw new Error(answer.error)
  return answer.value
}
