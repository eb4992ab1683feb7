// Tunnels: a header, an answer, then the bytes of one connection (overlay/tunnel.ts says what is in them). They run on
// lines where there is one, and on libp2p streams everywhere else.

import type { Duplex } from 'node:stream'
import type { Connection, Stream } from '@libp2p/interface'
import type { NodeId } from '../kernel/ids.ts'
import { err, ok, type Result } from '../kernel/result.ts'
import {
  decodeAnswer,
  decodeHeader,
  encodeAnswer,
  encodeHeader,
  TUNNEL_ANSWER_BYTES_MAX,
  TUNNEL_HEADER_BYTES_MAX,
  type TunnelFailure,
} from '../tunnel.ts'
import type { SignerFacts } from '../wire/envelope.ts'
import { peerOf } from './connections.ts'
import type { Counters } from './counters.ts'
import type { Libp2pNode } from './create-libp2p.ts'
import { type Deadline, messageOf, within } from './deadline.ts'
import { sendEarly } from './early-bytes.ts'
import { readFrame, writeFrame } from './frames.ts'
import type { TunnelOnLine } from './lines.ts'
import type { TunnelHandler, TunnelHeader, TunnelRefusal } from './network.ts'
import { TUNNEL_PROTOCOL } from './protocols.ts'
import { splice } from './splice.ts'
import { libp2pDuplex } from './stream-duplex.ts'

/**
 * Tunnels that one node serves at once as libp2p streams; each may hold some MiB of buffers. A guess for a device with
 * 1 GiB.
 */
export const TUNNELS_SERVED_MAX = 1_024
/** Of these, tunnels of one member: nobody takes them all. A guess: four members can fill a node. */
export const TUNNELS_PER_MEMBER_MAX = 256
/** The same on lines, where a tunnel that nobody reads holds 256 KiB (line-window.ts): four times as many. A guess. */
const LINE_TUNNELS_SERVED_MAX = 4_096
const LINE_TUNNELS_PER_MEMBER_MAX = 1_024
/** How long a caller may take to say what it wants. */
const HEADER_TIMEOUT_MS = 5_000
/** How long opening may take in all, the serving node's dial to the instance included. */
export const TUNNEL_OPEN_TIMEOUT_MS = 10_000

/**
 * A caller's first bytes go ahead where something came over the line so lately: of a peer that vanished without a word
 * nobody knows what it carried, so the next instance could not be tried. A guess.
 */
const EARLY_SILENCE_MS_MAX = 1_000

/** One for all: each tunnel ends like this, and hardly ever anybody reads why. */
const CALLER_GONE = new Error('the caller is gone')

export interface TunnelService {
  readonly node: Libp2pNode
  readonly counters: Counters
  readonly handler: TunnelHandler
  /** What a peer proved; null for who is no member any more. */
  factsOf(peer: NodeId): SignerFacts | null
}

export interface TunnelServer {
  /** Serves a tunnel that a peer opened: asks the handler for the other end, answers, and carries bytes. */
  serve(peer: NodeId, duplex: Duplex): void
}

/** Serves tunnels that come as libp2p streams; what it returns serves those that come over lines. */
export async function serveTunnels(service: TunnelService): Promise<TunnelServer> {
  const serveWithin =
    (quota: Quota): TunnelServer['serve'] =>
    (peer, duplex) => {
      const limit = quota.enter(peer)
      duplex.once('close', () => quota.leave(peer))
      duplex.on('error', () => {})
      void serveOne(service, duplex, peer, limit)
    }
  const serve = serveWithin(createQuota(TUNNELS_SERVED_MAX, TUNNELS_PER_MEMBER_MAX))
  await service.node.handle(TUNNEL_PROTOCOL, (stream, connection) => serve(peerOf(connection), libp2pDuplex(stream)), {
    maxInboundStreams: TUNNELS_SERVED_MAX + 1,
    maxOutboundStreams: TUNNELS_SERVED_MAX + 1,
    runOnLimitedConnection: true,
  })
  return { serve: serveWithin(createQuota(LINE_TUNNELS_SERVED_MAX, LINE_TUNNELS_PER_MEMBER_MAX)) }
}

interface Quota {
  /** Counts one in; a sentence for whoever comes when there is no room. */
  enter(peer: NodeId): string | null
  leave(peer: NodeId): void
}

function createQuota(inAll: number, perMember: number): Quota {
  const openOf = new Map<NodeId, number>()
  let open = 0
  return {
    enter: (peer) => {
      const mine = (openOf.get(peer) ?? 0) + 1
      open += 1
      openOf.set(peer, mine)
      if (mine > perMember) return `this node serves at most ${perMember} tunnels of a member`
      return open > inAll ? `this node serves at most ${inAll} tunnels` : null
    },
    leave: (peer) => {
      open -= 1
      const left = (openOf.get(peer) ?? 1) - 1
      if (left > 0) openOf.set(peer, left)
      else openOf.delete(peer)
    },
  }
}

async function serveOne(service: TunnelService, duplex: Duplex, peer: NodeId, limit: string | null): Promise<void> {
  const gone = new AbortController()
  duplex.once('close', () => gone.abort(CALLER_GONE))
  const patience = within(HEADER_TIMEOUT_MS)
  try {
    const bytes = await readFrame(duplex, TUNNEL_HEADER_BYTES_MAX, patience.signal)
    patience.end()
    const inner = await otherEnd(service, bytes, peer, limit, gone.signal)
    service.counters.add(inner.ok ? 'tunnels-served' : `tunnels-refused-${inner.error.code}`)
    if (duplex.destroyed) {
      if (inner.ok) inner.value.destroy()
      return
    }
    writeFrame(duplex, encodeAnswer(inner.ok ? ok(null) : inner))
    if (inner.ok) splice(duplex, inner.value)
    else duplex.end().resume()
  } catch {
    patience.end()
    service.counters.add('tunnels-failed')
    duplex.destroy()
  }
}

async function otherEnd(
  { handler, factsOf }: TunnelService,
  bytes: Uint8Array,
  peer: NodeId,
  limit: string | null,
  signal: AbortSignal,
): Promise<Result<Duplex, TunnelRefusal>> {
  const facts = factsOf(peer)
  if (facts === null) return err({ code: 'not-allowed', detail: 'the caller is no member' })
  if (limit !== null) return err({ code: 'limit', detail: limit })
  const header = decodeHeader(bytes)
  return header.ok ? await handler(peer, facts, header.value, signal) : header
}

export interface TunnelWays {
  readonly counters: Counters
  connect(signal: AbortSignal): Promise<Connection>
  /** Aborts with the outer signal, or when another connection should be used instead. */
  leaving(connection: Connection, outer: AbortSignal): Deadline
  /** A tunnel on a line; null where there is none. */
  line(signal: AbortSignal): Promise<TunnelOnLine | null>
}

/** What a tunnel is for, and who will be joined to it; null for nobody whose bytes could go ahead. */
export interface TunnelRequest {
  readonly header: TunnelHeader
  readonly caller: Duplex | null
}

/**
 * Opens a tunnel: on a line, or else as a libp2p stream. Where the way to the peer turns out to be dead and there is
 * another, it goes on at once, as long as nothing of the caller's was sent. Never rejects.
 */
export async function openTunnelOver(
  ways: TunnelWays,
  request: TunnelRequest,
  signal: AbortSignal,
): Promise<Result<Duplex, TunnelFailure>> {
  const patience = within(TUNNEL_OPEN_TIMEOUT_MS, signal)
  try {
    for (;;) {
      const connection = await ways.connect(patience.signal)
      const left = ways.leaving(connection, patience.signal)
      try {
        return await openOnce(ways, connection, request, { patience: patience.signal, left: left.signal })
      } catch (problem) {
        if (patience.signal.aborted || !left.signal.aborted) throw problem
        ways.counters.add('tunnels-moved')
      } finally {
        left.end()
      }
    }
  } catch (problem) {
    return err({ code: 'unreachable', detail: messageOf(problem) })
  } finally {
    patience.end()
  }
}

/** When nobody waits any more; and, before that, when another connection should be used instead. */
interface Ends {
  readonly patience: AbortSignal
  readonly left: AbortSignal
}

async function openOnce(
  ways: TunnelWays,
  connection: Connection,
  { header, caller }: TunnelRequest,
  ends: Ends,
): Promise<Result<Duplex, TunnelFailure>> {
  const onLine = await ways.line(ends.left)
  if (ends.left.aborted) onLine?.duplex.destroy()
  ends.left.throwIfAborted()
  if (onLine !== null) {
    const isEarly = onLine.silentMs <= EARLY_SILENCE_MS_MAX
    const opened = await askFor(onLine.duplex, header, ends, isEarly ? caller : null).catch(lostOrNull)
    if (opened !== null) {
      ways.counters.add('tunnels-on-lines')
      return opened
    }
    // The line was lost, or closed at the very moment.
    ends.left.throwIfAborted()
    ways.counters.add('tunnels-line-lost')
  }
  const stream: Stream = await connection.newStream(TUNNEL_PROTOCOL, {
    signal: ends.left,
    runOnLimitedConnection: true,
    maxOutboundStreams: TUNNELS_SERVED_MAX + 1,
  })
  return await askFor(libp2pDuplex(stream), header, ends, null)
}

/** The caller's first bytes went out, and no answer came. */
class LostBytesError extends Error {
  override readonly name = 'LostBytesError'
}

const lostOrNull = (problem: unknown): Result<never, TunnelFailure> | null =>
  problem instanceof LostBytesError ? err({ code: 'lost', detail: problem.message }) : null

/**
 * Says what the tunnel is for, and what the caller says, and reads the answer. Rejects when there is none, with
 * LostBytesError where that may have carried bytes; the tunnel is cut then.
 */
async function askFor(
  duplex: Duplex,
  header: TunnelHeader,
  { patience, left }: Ends,
  caller: Duplex | null,
): Promise<Result<Duplex, TunnelRefusal>> {
  // Until the answer is here nobody else listens; afterwards the holder of the duplex does.
  duplex.on('error', () => {})
  duplex.cork()
  writeFrame(duplex, encodeHeader(header))
  const early = caller === null ? null : sendEarly(caller, duplex)
  duplex.uncork()
  const onLeft = (): void => {
    if (!early?.wereSent()) duplex.destroy(left.reason)
  }
  left.addEventListener('abort', onLeft, { once: true })
  if (left.aborted) onLeft()
  try {
    const answer = decodeAnswer(await readFrame(duplex, TUNNEL_ANSWER_BYTES_MAX, patience))
    if (answer.ok) {
      early?.keep()
      return ok(duplex)
    }
    // An answer that makes no sense says nothing of what was carried.
    if (answer.error.code === 'malformed' && early?.wereSent()) throw new Error(answer.error.detail)
    early?.takeBack()
    duplex.end().resume()
    return answer
  } catch (problem) {
    duplex.destroy()
    early?.keep()
    if (early?.wereSent()) throw new LostBytesError(messageOf(problem))
    throw problem
  } finally {
    left.removeEventListener('abort', onLeft)
  }
}
