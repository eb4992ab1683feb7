// Tunnels on libp2p streams: a header, an answer, then the bytes of one connection (overlay/tunnel.ts says what is in
// them).

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
} from '../tunnel.ts'
import type { SignerFacts } from '../wire/envelope.ts'
import { peerOf } from './connections.ts'
import type { Counters } from './counters.ts'
import type { Libp2pNode } from './create-libp2p.ts'
import { readFrame, writeFrame } from './frames.ts'
import type { TunnelHandler, TunnelHeader, TunnelRefusal } from './network.ts'
import { TUNNEL_PROTOCOL } from './protocols.ts'
import { splice } from './splice.ts'
import { libp2pDuplex } from './stream-duplex.ts'

/** Tunnels that one node serves at once; each may hold some MiB of buffers. A guess for a device with 1 GiB. */
export const TUNNELS_SERVED_MAX = 1_024
/** Of these, tunnels of one member: nobody takes them all. A guess: four members can fill a node. */
export const TUNNELS_PER_MEMBER_MAX = 256
/** How long a caller may take to say what it wants. */
const HEADER_TIMEOUT_MS = 5_000
/** How long opening may take in all, the serving node's dial to the instance included. */
export const TUNNEL_OPEN_TIMEOUT_MS = 10_000

export interface TunnelService {
  readonly node: Libp2pNode
  readonly counters: Counters
  readonly handler: TunnelHandler
  caller(connection: Connection): { readonly peer: NodeId; readonly facts: SignerFacts } | null
}

/** Serves tunnels: asks the handler for the other end, answers, and carries bytes. */
export async function serveTunnels(service: TunnelService): Promise<void> {
  let open = 0
  const openOf = new Map<NodeId, number>()
  await service.node.handle(
    TUNNEL_PROTOCOL,
    (stream, connection) => {
      const duplex = libp2pDuplex(stream)
      const from = peerOf(connection)
      const mine = (openOf.get(from) ?? 0) + 1
      open += 1
      openOf.set(from, mine)
      duplex.once('close', () => {
        open -= 1
        const left = (openOf.get(from) ?? 1) - 1
        if (left > 0) openOf.set(from, left)
        else openOf.delete(from)
      })
      duplex.on('error', () => {})
      const limit = limitReached(open, mine)
      void serveOne(service, duplex, connection, limit)
    },
    {
      maxInboundStreams: TUNNELS_SERVED_MAX + 1,
      maxOutboundStreams: TUNNELS_SERVED_MAX + 1,
      runOnLimitedConnection: true,
    },
  )
}

/** The sentence for whoever comes when there is no room. */
function limitReached(open: number, ofMember: number): string | null {
  if (ofMember > TUNNELS_PER_MEMBER_MAX) return `this node serves at most ${TUNNELS_PER_MEMBER_MAX} tunnels of a member`
  return open > TUNNELS_SERVED_MAX ? `this node serves at most ${TUNNELS_SERVED_MAX} tunnels` : null
}

async function serveOne(
  service: TunnelService,
  duplex: Duplex,
  connection: Connection,
  limit: string | null,
): Promise<void> {
  const gone = new AbortController()
  duplex.once('close', () => gone.abort())
  try {
    const bytes = await readFrame(duplex, TUNNEL_HEADER_BYTES_MAX, AbortSignal.timeout(HEADER_TIMEOUT_MS))
    const inner = await otherEnd(service, bytes, connection, limit, gone.signal)
    service.counters.add(inner.ok ? 'tunnels-served' : `tunnels-refused-${inner.error.code}`)
    if (duplex.destroyed) {
      if (inner.ok) inner.value.destroy()
      return
    }
    writeFrame(duplex, encodeAnswer(inner.ok ? ok(null) : inner))
    if (inner.ok) splice(duplex, inner.value)
    else duplex.end().resume()
  } catch {
    service.counters.add('tunnels-failed')
    duplex.destroy()
  }
}

async function otherEnd(
  { handler, caller }: TunnelService,
  bytes: Uint8Array,
  connection: Connection,
  limit: string | null,
  signal: AbortSignal,
): Promise<Result<Duplex, TunnelRefusal>> {
  const from = caller(connection)
  if (from === null) return err({ code: 'not-allowed', detail: 'the caller is no member' })
  if (limit !== null) return err({ code: 'limit', detail: limit })
  const header = decodeHeader(bytes)
  return header.ok ? await handler(from.peer, from.facts, header.value, signal) : header
}

/** Opens a tunnel over a connection. Never rejects: what goes wrong is a refusal, and nothing was carried. */
export async function openTunnelOver(
  connect: (signal: AbortSignal) => Promise<Connection>,
  header: TunnelHeader,
  signal: AbortSignal,
): Promise<Result<Duplex, TunnelRefusal>> {
  const bounded = AbortSignal.any([signal, AbortSignal.timeout(TUNNEL_OPEN_TIMEOUT_MS)])
  let duplex: Duplex | null = null
  try {
    const connection = await connect(bounded)
    const stream: Stream = await connection.newStream(TUNNEL_PROTOCOL, {
      signal: bounded,
      runOnLimitedConnection: true,
      maxOutboundStreams: TUNNELS_SERVED_MAX + 1,
    })
    duplex = libp2pDuplex(stream)
    // Until the answer is here nobody else listens; afterwards the holder of the duplex does.
    duplex.on('error', () => {})
    writeFrame(duplex, encodeHeader(header))
    const answer = decodeAnswer(await readFrame(duplex, TUNNEL_ANSWER_BYTES_MAX, bounded))
    if (answer.ok) return ok(duplex)
    duplex.end().resume()
    return answer
  } catch (problem) {
    duplex?.destroy()
    return err({ code: 'unreachable', detail: problem instanceof Error ? problem.message : String(problem) })
  }
}
