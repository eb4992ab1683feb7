// Lines over a relay: both ends connect to the relay's port and show a ticket, and the relay joins the two connections.
// What they carry is the line's own TLS, under a key that the ends agreed on without the relay; so it costs the relay
// no encryption, and tells it nothing.

import type { Socket } from 'node:net'
import type { Connection } from '@libp2p/interface'
import {
  CARRIAGE_BYTES_MAX,
  CARRIED,
  type CarriageAnswer,
  type CarriageRequest,
  decodeCarriageAnswer,
  decodeCarriageRequest,
  encodeCarriageAnswer,
  encodeCarriageRequest,
} from '../carriage.ts'
import type { NodeId } from '../kernel/ids.ts'
import { LINES_PER_PEER_MAX } from '../line-choice.ts'
import { type Connections, peerOf } from './connections.ts'
import type { Counters } from './counters.ts'
import type { Libp2pNode } from './create-libp2p.ts'
import { within } from './deadline.ts'
import { type Reach, reachOf } from './line-meeting.ts'
import { CARRY_PROTOCOL } from './protocols.ts'
import { answerOnStream, askOnStream } from './question.ts'
import { splice } from './splice.ts'
import { awaitTicket, connectWith, newTicket } from './ticketed.ts'

/** Lines that one relay carries at once: two sockets and their buffers each. A guess. */
const CARRIED_MAX = 512
/** Of them, those that one member has asked for: all lines to four peers. A guess. */
const CARRIED_PER_MEMBER_MAX = 4 * LINES_PER_PEER_MAX
/** Connections to relays that are being made because they asked for it. A guess. */
const FETCHES_MAX = 64
/** How long a question may take to be read, and both ends to connect; a guess, far above any round trip. */
const REQUEST_MS_MAX = 5_000
const JOIN_MS_MAX = 5_000
/** The system asks an idle connection for a sign of life after this long. */
const KEEP_ALIVE_MS = 5_000

export interface CarriageSetup {
  readonly node: Libp2pNode
  readonly connections: Connections
  readonly counters: Counters
  /** A line begins on this connection, which we made to a relay because it asked us to. */
  onLine(socket: Socket): void
}

export interface Carriage {
  /**
   * A connection through a relay on which the other one expects a line. Rejects when the relay refuses, or nobody
   * answers.
   */
  dial(relay: Connection, reach: Reach, to: NodeId, signal: AbortSignal): Promise<Socket>
  /** A connection that began with a ticket. */
  accept(socket: Socket): void
  /** Cuts all that is carried from or to a peer. */
  cut(peer: NodeId): void
  close(): void
}

/** Two connections that are, or are about to be, one. */
interface Pair {
  readonly ends: readonly NodeId[]
  readonly tickets: readonly string[]
  readonly sockets: Set<Socket>
}

export async function openCarriage({ node, connections, counters, onLine }: CarriageSetup): Promise<Carriage> {
  const pairs = new Set<Pair>()
  const pairOf = new Map<string, Pair>()
  let fetches = 0

  const end = (pair: Pair): void => {
    pairs.delete(pair)
    for (const ticket of pair.tickets) pairOf.delete(ticket)
    for (const socket of pair.sockets) socket.destroy()
  }

  const whyNot = (asker: NodeId, to: NodeId): string | null => {
    if (!node.services.relay.isOn()) return 'it carries nothing'
    if (pairs.size >= CARRIED_MAX) return `it carries at most ${CARRIED_MAX} lines`
    const mine = [...pairs].filter(({ ends: [first] }) => first === asker)
    if (mine.length >= CARRIED_PER_MEMBER_MAX) return `it carries at most ${CARRIED_PER_MEMBER_MAX} lines of a member`
    return connections.all(to).some(({ direct }) => direct) ? null : 'it has no connection to the other one'
  }

  const carry = async (asker: NodeId, to: NodeId): Promise<CarriageAnswer> => {
    const detail = whyNot(asker, to)
    const onward = connections.all(to).find(({ direct }) => direct)
    if (detail !== null || onward === undefined) return { kind: 'refused', detail: detail ?? 'the other one is gone' }
    const [own, others] = [newTicket(), newTicket()]
    const pair: Pair = { ends: [asker, to], tickets: [own, others], sockets: new Set() }
    pairs.add(pair)
    for (const ticket of pair.tickets) pairOf.set(ticket, pair)
    setTimeout(() => {
      if (pair.sockets.size < pair.tickets.length) end(pair)
    }, JOIN_MS_MAX).unref()
    const answer = await ask(onward, { kind: 'fetch', ticket: others }, AbortSignal.timeout(REQUEST_MS_MAX))
    if (answer.kind === 'coming') return { kind: 'joined', ticket: own }
    end(pair)
    return { kind: 'refused', detail: 'the other one does not come' }
  }

  const fetch = (relay: NodeId, ticket: string): CarriageAnswer => {
    const reach = connections
      .all(relay)
      .map(reachOf)
      .find((one) => one !== null)
    if (!reach) return { kind: 'refused', detail: 'the relay cannot be connected to' }
    if (fetches >= FETCHES_MAX) return { kind: 'refused', detail: 'too many at once' }
    fetches += 1
    const patience = within(JOIN_MS_MAX)
    connectWith(reach, CARRIED, ticket, patience.signal)
      .then(onLine, () => counters.add('carriage-failed'))
      .finally(() => {
        fetches -= 1
        patience.end()
      })
    return { kind: 'coming' }
  }

  const answerTo = async (request: CarriageRequest, connection: Connection): Promise<CarriageAnswer> => {
    if (!connection.direct) return { kind: 'refused', detail: 'only over a direct connection' }
    const peer = peerOf(connection)
    return request.kind === 'carry' ? await carry(peer, request.to) : fetch(peer, request.ticket)
  }

  await node.handle(CARRY_PROTOCOL, (stream, connection) =>
    answerOnStream(stream, { bytesMax: CARRIAGE_BYTES_MAX, msMax: REQUEST_MS_MAX }, async (raw) => {
      const request = decodeCarriageRequest(raw)
      if (!request.ok) throw new Error(request.error)
      return encodeCarriageAnswer(await answerTo(request.value, connection))
    }),
  )

  const join = (socket: Socket, ticket: string): void => {
    const pair = pairOf.get(ticket)
    pairOf.delete(ticket)
    if (pair === undefined || socket.destroyed) {
      counters.add('carriage-refused')
      socket.destroy()
      return
    }
    pair.sockets.add(socket)
    socket.setNoDelay(true)
    socket.setKeepAlive(true, KEEP_ALIVE_MS)
    socket.once('close', () => end(pair))
    const [first, second] = pair.sockets
    if (first === undefined || second === undefined) return
    counters.add('lines-carried')
    splice(first, second)
  }

  return {
    dial: async (relay, reach, to, signal) => {
      const answer = await ask(relay, { kind: 'carry', to }, signal)
      if (answer.kind === 'joined') return await connectWith(reach, CARRIED, answer.ticket, signal)
      throw new Error(answer.kind === 'refused' ? `the relay refused: ${answer.detail}` : 'the relay made no sense')
    },
    accept: (socket) => {
      socket.on('error', () => {})
      awaitTicket(socket).then(
        (ticket) => join(socket, ticket),
        () => socket.destroy(),
      )
    },
    cut: (peer) => {
      for (const pair of [...pairs]) if (pair.ends.includes(peer)) end(pair)
    },
    close: () => {
      for (const pair of [...pairs]) end(pair)
    },
  }
}

async function ask(connection: Connection, request: CarriageRequest, signal: AbortSignal): Promise<CarriageAnswer> {
  const asking = { bytesMax: CARRIAGE_BYTES_MAX, signal }
  const raw = await askOnStream(connection, CARRY_PROTOCOL, encodeCarriageRequest(request), asking)
  const answer = decodeCarriageAnswer(raw)
  if (!answer.ok) throw new Error(answer.error)
  return answer.value
}
