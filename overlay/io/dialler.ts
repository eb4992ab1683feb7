// Makes connections that count: dialled once however many ask, and handed out only after their hello.

import type { Connection } from '@libp2p/interface'
import type { SingleKadDHT } from '@libp2p/kad-dht'
import { peerIdFromString } from '@libp2p/peer-id'
import { type Multiaddr, multiaddr } from '@multiformats/multiaddr'
import type { NodeId } from '../kernel/ids.ts'
import type { Connections } from './connections.ts'
import type { Counters } from './counters.ts'
import type { Libp2pNode } from './create-libp2p.ts'
import { type HelloDesk, HelloRefused } from './hello.ts'

/** One dial with all its addresses, the hello included. */
const CONNECT_TIMEOUT_MS = 30_000
/** After a failed dial, a message to that peer does not dial again for this long; the dial plan keeps its own pace. */
const FAILED_RETRY_MS = 2_000
const FAILURES_REMEMBERED_MAX = 1_024

export interface Dialler {
  /** Dials, or joins the dial that runs. Rejects when no address leads to the peer, or with HelloRefused. */
  dial(peer: NodeId, addresses: readonly string[]): Promise<Connection>
  /** Dials even though there is a connection: for a direct path besides a relayed one. */
  dialBesides(peer: NodeId, addresses: readonly string[]): Promise<Connection>
  /** What there is, or a dial unless one failed a moment ago; rejects when the signal aborts first. */
  connect(peer: NodeId, addresses: readonly string[], signal: AbortSignal): Promise<Connection>
}

export interface DiallerSetup {
  readonly node: Libp2pNode
  readonly desk: HelloDesk
  readonly connections: Connections
  readonly counters: Counters
}

export function createDialler({ node, desk, connections, counters }: DiallerSetup, stop: AbortSignal): Dialler {
  const running = new Map<NodeId, Promise<Connection>>()
  const failedAt = new Map<NodeId, number>()
  const dialBesides = async (peer: NodeId, addresses: readonly string[]): Promise<Connection> => {
    counters.add('dials')
    const signal = AbortSignal.any([stop, AbortSignal.timeout(CONNECT_TIMEOUT_MS)])
    try {
      const connection = await dialAny(node, peer, addresses, signal)
      await desk.admitted(connection)
      failedAt.delete(peer)
      return connections.best(peer) ?? connection
    } catch (problem) {
      counters.add('dials-failed')
      if (failedAt.size >= FAILURES_REMEMBERED_MAX) failedAt.clear()
      failedAt.set(peer, performance.now())
      throw problem
    }
  }
  const dial = (peer: NodeId, addresses: readonly string[]): Promise<Connection> => {
    const known = running.get(peer)
    if (known !== undefined) return known
    const dialling = dialBesides(peer, addresses).finally(() => running.delete(peer))
    running.set(peer, dialling)
    return dialling
  }
  return {
    dial,
    dialBesides,
    connect: async (peer, addresses, signal) => {
      const open = connections.best(peer)
      if (open !== null) return open
      signal.throwIfAborted()
      const since = performance.now() - (failedAt.get(peer) ?? Number.NEGATIVE_INFINITY)
      if (since < FAILED_RETRY_MS && !running.has(peer)) throw new Error('a dial failed a moment ago')
      return await untilAborted(dial(peer, addresses), signal)
    },
  }
}

/** Dials what was named, then what the peer store and the DHT know. */
async function dialAny(node: Libp2pNode, peer: NodeId, addresses: readonly string[], signal: AbortSignal) {
  const named = addresses.flatMap((address) => toMultiaddr(address, peer))
  if (named.length > 0) {
    try {
      return await node.dial(named, { signal })
    } catch (problem) {
      signal.throwIfAborted()
      if (isRefusal(problem)) throw problem
    }
  }
  const peerId = peerIdFromString(peer)
  // The DHT does not answer "unknown" while it knows nobody: it waits for somebody. So it is not asked then.
  const stored = await node.peerStore.get(peerId, { signal }).catch(() => null)
  if ((stored?.addresses.length ?? 0) === 0 && dhtPeers(node) === 0) throw new Error('no address is known')
  return await node.dial(peerId, { signal })
}

const dhtPeers = (node: Libp2pNode): number => (node.services.dht as SingleKadDHT).routingTable.size

/** A multiaddr that ends in the peer's id; none when it is malformed or another peer's. */
function toMultiaddr(address: string, peer: NodeId): readonly Multiaddr[] {
  try {
    const suffix = `/p2p/${peer}`
    return [multiaddr(address.endsWith(suffix) ? address : `${address}${suffix}`)]
  } catch {
    return []
  }
}

export const isRefusal = (problem: unknown): boolean =>
  problem instanceof HelloRefused && problem.code !== 'closed' && problem.code !== 'no-hello'

/** The promise, or a rejection as soon as the signal aborts; the work itself goes on for others. */
async function untilAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  const { promise, reject } = Promise.withResolvers<never>()
  const abort = (): void => reject(signal.reason)
  signal.addEventListener('abort', abort)
  try {
    return await Promise.race([work, promise])
  } finally {
    signal.removeEventListener('abort', abort)
  }
}
