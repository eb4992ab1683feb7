// Makes connections that count: dialled once however many ask, and handed out only after their hello.

import { setTimeout as delay } from 'node:timers/promises'
import type { Connection } from '@libp2p/interface'
import type { SingleKadDHT } from '@libp2p/kad-dht'
import { peerIdFromString } from '@libp2p/peer-id'
import { type Multiaddr, multiaddr } from '@multiformats/multiaddr'
import type { NodeId } from '../kernel/ids.ts'
import type { Connections } from './connections.ts'
import type { Counters } from './counters.ts'
import type { Libp2pNode } from './create-libp2p.ts'
import { createDirectDial, type DirectDial } from './direct-dial.ts'
import { type HelloDesk, HelloRefused } from './hello.ts'

/** One dial with all its addresses, the hello included. */
const CONNECT_TIMEOUT_MS = 30_000
/** After a failed dial, a message to that peer does not dial again for this long; the dial plan keeps its own pace. */
const FAILED_RETRY_MS = 2_000
const FAILURES_REMEMBERED_MAX = 1_024
/** How long a direct dial is alone before relays are dialled besides. A guess: most answer within one round trip. */
const DIRECT_LEAD_MS = 200
/** One relay: about five round trips over it. */
const RELAY_DIAL_MS_MAX = 5_000

export interface Dialler {
  /** Dials, or joins the dial that runs. Rejects when no address leads to the peer, or with HelloRefused. */
  dial(peer: NodeId, addresses: readonly string[]): Promise<Connection>
  /**
   * Dials these, and nothing else, whatever connection there is and whatever other dial runs: for a direct path
   * besides a relayed one, and addresses that turned up.
   */
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
  const directly = createDirectDial(node, stop)
  const failedAt = new Map<NodeId, number>()
  const admit = async (peer: NodeId, attempt: (signal: AbortSignal) => Promise<Connection>): Promise<Connection> => {
    counters.add('dials')
    const signal = AbortSignal.any([stop, AbortSignal.timeout(CONNECT_TIMEOUT_MS)])
    try {
      const connection = await attempt(signal)
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
    const dialling = admit(peer, (signal) => dialAny(node, directly, peer, addresses, signal)).finally(() =>
      running.delete(peer),
    )
    running.set(peer, dialling)
    return dialling
  }
  return {
    dial,
    dialBesides: (peer, addresses) =>
      admit(peer, (signal) => dialNamed(node, directly, toMultiaddrs(addresses, peer), signal)),
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
async function dialAny(
  node: Libp2pNode,
  directly: DirectDial,
  peer: NodeId,
  addresses: readonly string[],
  signal: AbortSignal,
) {
  const named = toMultiaddrs(addresses, peer)
  let failure: unknown = new Error('no address is known')
  if (named.length > 0) {
    try {
      return await dialNamed(node, directly, named, signal)
    } catch (problem) {
      signal.throwIfAborted()
      if (isRefusal(problem)) throw problem
      failure = problem
    }
  }
  const peerId = peerIdFromString(peer)
  const stored = (await node.peerStore.get(peerId, { signal }).catch(() => null))?.addresses ?? []
  // The DHT does not answer "unknown" while it knows nobody: it waits for somebody. So it is not asked then.
  if (stored.length === 0 && dhtPeers(node) === 0) throw failure
  // It is asked where nothing is stored; what is stored and failed just now would only cost both ends the same again.
  const tried = new Set(named.map(String))
  const storedTexts = stored.map(({ multiaddr: address }) => address.toString())
  const untried = toMultiaddrs(storedTexts, peer).some((address) => !tried.has(String(address)))
  if (stored.length > 0 && !untried) throw failure
  return await node.dial(peerId, { signal })
}

/**
 * Direct addresses, and soon also those over relays: an address of somebody else's local network swallows packets for
 * seconds. Where the relay is first, the direct dial goes on and may still take over.
 */
async function dialNamed(
  node: Libp2pNode,
  directly: DirectDial,
  named: readonly Multiaddr[],
  signal: AbortSignal,
): Promise<Connection> {
  const direct = named.filter((address) => relayOf(address) === null)
  const relayed = named.filter((address) => relayOf(address) !== null)
  if (relayed.length === 0) return await directly(direct)
  if (direct.length === 0) return await dialOverRelays(node, relayed, signal)
  const isDirect = new AbortController()
  const overRelay = delay(DIRECT_LEAD_MS, undefined, { signal: AbortSignal.any([signal, isDirect.signal]) }).then(() =>
    dialOverRelays(node, relayed, signal),
  )
  const first = directly(direct).then((connection) => {
    isDirect.abort()
    return connection
  })
  return await Promise.any([first, overRelay]).catch((problem) => {
    const refusal = problem instanceof AggregateError ? problem.errors.find(isRefusal) : undefined
    throw refusal ?? problem
  })
}

/** One address of each relay, those first that are connected. Not through libp2p's queue, which dials in turn. */
async function dialOverRelays(
  node: Libp2pNode,
  relayed: readonly Multiaddr[],
  signal: AbortSignal,
): Promise<Connection> {
  const byRelay = new Map(relayed.toReversed().map((address) => [relayOf(address) ?? '', address]))
  const isConnected = (relay: string): boolean => node.getConnections(peerIdFromString(relay)).length > 0
  const order = [...byRelay].toReversed().sort(([a], [b]) => Number(isConnected(b)) - Number(isConnected(a)))
  const problems: unknown[] = []
  for (const [, address] of order) {
    const bounded = AbortSignal.any([signal, AbortSignal.timeout(RELAY_DIAL_MS_MAX)])
    try {
      return await node.services.inside.transportManager.dial(address, { signal: bounded })
    } catch (problem) {
      signal.throwIfAborted()
      problems.push(problem)
    }
  }
  throw new AggregateError(problems, 'no relay led to the peer')
}

/** The relay's id in a relayed address. */
const relayOf = (address: Multiaddr): string | null => {
  const [before, after] = address.toString().split('/p2p-circuit')
  return after === undefined ? null : (before?.split('/p2p/').at(-1) ?? null)
}

const dhtPeers = (node: Libp2pNode): number => (node.services.dht as SingleKadDHT).routingTable.size

const toMultiaddrs = (addresses: readonly string[], peer: NodeId): readonly Multiaddr[] =>
  addresses.flatMap((address) => toMultiaddr(address, peer))

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
