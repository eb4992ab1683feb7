// Who may speak: on each connection both sides prove membership first, and every other protocol waits for that. A
// stream that comes early is kept waiting rather than refused, because gossip opens its streams as soon as there is a
// connection.

import type { Duplex } from 'node:stream'
import type { Connection, Stream, StreamMiddleware } from '@libp2p/interface'
import type { NodeId } from '../kernel/ids.ts'
import { nodeId } from '../kernel/ids.ts'
import { err, ok } from '../kernel/result.ts'
import { decodeBounded, encodeCbor } from '../wire/codec.ts'
import type { SignerFacts } from '../wire/envelope.ts'
import { HANDSHAKE_MS_MAX, type Libp2pNode } from './create-libp2p.ts'
import { after, within } from './deadline.ts'
import { relaysIn } from './direct-only.ts'
import { readFrame, writeFrame } from './frames.ts'
import { spareWindowUpdates } from './multiplexer.ts'
import type { Gate } from './network.ts'
import {
  GOSSIP_PROTOCOLS_PREFIX,
  HELLO_BYTES_MAX,
  HELLO_PROTOCOL,
  PIECE_BYTES_MAX,
  PIECES_BYTES_MAX,
  VERDICT_BYTES_MAX,
} from './protocols.ts'
import { libp2pDuplex } from './stream-duplex.ts'

/** What a peer proved. */
export interface Member {
  readonly facts: SignerFacts
  readonly name: string
}

/** Why a connection was not let in; `by` says who refused. */
export class HelloRefused extends Error {
  override readonly name = 'HelloRefused'
  readonly by: 'us' | 'them'
  readonly code: string

  constructor(by: 'us' | 'them', code: string, detail: string) {
    super(detail)
    this.by = by
    this.code = code
  }
}

export interface HelloEvents {
  onAdmitted(connection: Connection, member: Member): void
  onRefused(connection: Connection, problem: HelloRefused): void
}

export interface HelloDesk {
  /** Resolves once both sides accepted each other; rejects with HelloRefused, at the latest after the hello's time. */
  admitted(connection: Connection): Promise<Member>
  /** Lets a connection without hello live on while a request to join is being answered. */
  exempt(connection: Connection, untilSettled: Promise<unknown>): void
  /** Does not make streams of one guarded protocol wait on a connection without hello. */
  letThrough(connection: Connection, protocol: string): void
  /** Makes streams of these protocols wait for the hello. */
  guard(protocols: readonly string[]): void
}

interface Visit {
  /** How long the hello may take. */
  readonly msMax: number
  readonly member: Promise<Member>
  readonly admit: (member: Member) => void
  readonly refuse: (problem: Error) => void
  exempt: boolean
  /** The guarded protocol that is served without hello; null on nearly every connection. */
  letThrough: string | null
}

const WELCOME = 'welcome'
/** Behind the last piece. */
const NO_MORE = new Uint8Array(0)
/**
 * Connections of one peer: two that were dialled at once, one over a relay, one that is being made, and two that
 * have not been noticed to be gone. Each may hold STREAMS_PER_CONNECTION_MAX streams. A further one is closed.
 */
export const CONNECTIONS_PER_PEER_MAX = 6
/**
 * How long a verdict that came right before the connection closed has to be read; reading takes some turns of the loop.
 */
const LAST_WORDS_MS = 50
/** How long a connection may take to close in order, so that a refusal still arrives. */
const CLOSE_TIMEOUT_MS = 1_000
const DETAIL_CHARS_MAX = 500
/**
 * A hello takes about as much work as the handshake before it. Whose handshake took long has so many times that for its
 * hello, or both ends would do all of it again. A guess.
 */
const HANDSHAKES_PER_HELLO = 2

export async function installHello(
  node: Libp2pNode,
  gate: Gate,
  timeoutMs: number,
  events: HelloEvents,
): Promise<HelloDesk> {
  const visits = new WeakMap<Connection, Visit>()
  const visitOf = (connection: Connection): Visit => {
    const known = visits.get(connection)
    if (known !== undefined) return known
    const visit = openVisit(connection, helloMsMax(timeoutMs, Date.now() - connection.timeline.open))
    visits.set(connection, visit)
    visit.member.then(
      (member) => events.onAdmitted(connection, member),
      (problem) => events.onRefused(connection, asRefusal(problem)),
    )
    return visit
  }
  const greet = async (connection: Connection, opened: Promise<Stream>): Promise<void> => {
    const visit = visitOf(connection)
    try {
      const peer = nodeId(connection.remotePeer.toString())
      visit.admit(await exchangeHello(await opened, peer, gate, visit.msMax))
    } catch (problem) {
      visit.refuse(asRefusal(problem))
      await closeQuietly(connection)
    }
  }
  await node.handle(HELLO_PROTOCOL, (stream, connection) => greet(connection, Promise.resolve(stream)), {
    maxInboundStreams: 1,
    runOnLimitedConnection: true,
  })
  node.addEventListener('connection:open', ({ detail: connection }) => {
    if (node.getConnections(connection.remotePeer).length > CONNECTIONS_PER_PEER_MAX) {
      connection.abort(new Error(`more than ${CONNECTIONS_PER_PEER_MAX} connections of one peer`))
      return
    }
    // libp2p takes it for direct. Relays of ours carry only what comes directly (direct-only.ts).
    if (relaysIn(connection.remoteAddr) > 1) {
      connection.abort(new Error('a connection over more than one relay'))
      return
    }
    const { msMax } = visitOf(connection)
    if (connection.direction === 'inbound') return
    const { signal, end } = within(msMax)
    const opening = connection.newStream(HELLO_PROTOCOL, { signal, runOnLimitedConnection: true })
    void greet(connection, opening.finally(end))
  })
  return {
    admitted: (connection) => visitOf(connection).member,
    exempt: (connection, untilSettled) => {
      visitOf(connection).exempt = true
      const close = (): void => void closeQuietly(connection)
      untilSettled.then(close, close)
    },
    letThrough: (connection, protocol) => {
      visitOf(connection).letThrough = protocol
    },
    guard: (protocols) => {
      for (const protocol of protocols) node.use(protocol, waitForHello(node, gate, protocol, visitOf))
    },
  }
}

/** How long a hello may take, in ms: `usualMs`, and more where the handshake took long, HANDSHAKE_MS_MAX at most. */
export const helloMsMax = (usualMs: number, handshakeMs: number): number =>
  Math.max(usualMs, Math.min(HANDSHAKE_MS_MAX, HANDSHAKES_PER_HELLO * handshakeMs))

/** Starts a connection's time: who has not proved membership by then is dropped, unless it is joining. */
function openVisit(connection: Connection, msMax: number): Visit {
  const { promise, resolve, reject } = Promise.withResolvers<Member>()
  const visit: Visit = { msMax, member: promise, admit: resolve, refuse: reject, exempt: false, letThrough: null }
  const settle = after(msMax, () => {
    if (visit.exempt) return
    visit.refuse(new HelloRefused('us', 'no-hello', `no hello within ${msMax} ms`))
    void closeQuietly(connection)
  })
  promise.then(settle, settle)
  const closed = (): void => visit.refuse(new HelloRefused('them', 'closed', 'the connection closed'))
  // A refusal may arrive together with the close; it is read first.
  connection.addEventListener('close', () => setTimeout(closed, LAST_WORDS_MS))
  return visit
}

/** Both sides say hello at once, then each says what it thinks of the other's. */
async function exchangeHello(stream: Stream, peer: NodeId, gate: Gate, timeoutMs: number): Promise<Member> {
  const { signal, end } = within(timeoutMs)
  const duplex = libp2pDuplex(stream)
  // What goes wrong on the stream is seen by the reads below.
  duplex.on('error', () => {})
  try {
    const own = gate.ownHello()
    writeFrame(duplex, own)
    const hello = await readFrame(duplex, HELLO_BYTES_MAX, signal)
    const news = await exchangePieces(duplex, peer, gate, gate.piecesFor(own, hello), signal)
    const checked = news.ok ? await gate.checkHello(peer, hello) : news
    const verdict = checked.ok ? { code: WELCOME, detail: '' } : checked.error
    writeFrame(duplex, encodeCbor({ code: verdict.code, detail: verdict.detail.slice(0, DETAIL_CHARS_MAX) }))
    duplex.end()
    const theirs = readVerdict(await readFrame(duplex, VERDICT_BYTES_MAX, signal).catch(() => null))
    duplex.resume()
    if (!checked.ok) throw new HelloRefused('us', checked.error.code, checked.error.detail)
    if (theirs.code !== WELCOME) throw new HelloRefused('them', theirs.code, theirs.detail)
    return checked.value
  } catch (problem) {
    // A refusal must still reach the peer, so its stream ends in order.
    if (!(problem instanceof HelloRefused)) stream.abort(problem as Error)
    throw problem
  } finally {
    end()
  }
}

/** Each side says what the other lacks, and an empty frame behind it; who is told nonsense does not read on. */
async function exchangePieces(
  duplex: Duplex,
  peer: NodeId,
  gate: Gate,
  pieces: readonly Uint8Array[] | null,
  signal: AbortSignal,
): ReturnType<Gate['takePiece']> {
  if (pieces === null) return ok(null)
  for (const piece of [...pieces, NO_MORE]) writeFrame(duplex, piece)
  for (let bytes = 0; bytes <= PIECES_BYTES_MAX; ) {
    const piece = await readFrame(duplex, PIECE_BYTES_MAX, signal)
    if (piece.length === 0) return ok(null)
    const taken = await gate.takePiece(peer, piece)
    if (!taken.ok) return taken
    bytes += piece.length
  }
  return err({ code: 'forged', detail: 'it showed more than a charter can be' })
}

function readVerdict(bytes: Uint8Array | null): { readonly code: string; readonly detail: string } {
  const raw = bytes === null ? null : decodeBounded(bytes)
  const said = raw?.ok === true && raw.value !== null ? raw.value : {}
  const { code, detail } = said as { readonly code?: unknown; readonly detail?: unknown }
  if (typeof code !== 'string' || typeof detail !== 'string') return { code: 'closed', detail: 'no verdict came' }
  return { code, detail }
}

/**
 * The guard of one protocol. libp2p appends each inbound stream's handler to the very list of middleware that was
 * registered, so the guard registers itself anew whenever it runs; otherwise the second stream would be handled twice.
 */
function waitForHello(
  node: Libp2pNode,
  gate: Gate,
  protocol: string,
  visitOf: (connection: Connection) => Visit,
): StreamMiddleware {
  const guard: StreamMiddleware = async (stream, connection, next) => {
    node.use(protocol, guard)
    const visit = visitOf(connection)
    if (visit.letThrough === protocol) return next(stream, connection)
    await visit.member
    if (gate.isRevoked(nodeId(connection.remotePeer.toString()))) throw new HelloRefused('us', 'revoked', 'was revoked')
    if (connection.direct && protocol.startsWith(GOSSIP_PROTOCOLS_PREFIX)) spareWindowUpdates(stream)
    next(stream, connection)
  }
  return guard
}

const asRefusal = (problem: unknown): HelloRefused =>
  problem instanceof HelloRefused ? problem : new HelloRefused('them', 'no-hello', messageOf(problem))

const messageOf = (problem: unknown): string => (problem instanceof Error ? problem.message : String(problem))

/** Closes a connection, and cuts it where the other end does not go along: libp2p leaves it half closed for ever. */
export async function closeQuietly(connection: Connection): Promise<void> {
  try {
    await connection.close({ signal: AbortSignal.timeout(CLOSE_TIMEOUT_MS) })
  } catch (problem) {
    connection.abort(problem as Error)
  }
}
