// The network port on libp2p: puts hello, control streams, gossip, tunnels and the peer manager together. Each of them
// is a file of its own; here they only meet.

import { randomInt } from 'node:crypto'
import type { Socket } from 'node:net'
import type { Connection, PeerId, PrivateKey } from '@libp2p/interface'
import { peerIdFromString } from '@libp2p/peer-id'
import type { Multiaddr } from '@multiformats/multiaddr'
import type { Datastore } from 'interface-datastore'
import { invariant } from '../kernel/assert.ts'
import { type FederationId, type NodeId, nodeId } from '../kernel/ids.ts'
import { type Liveness, METERED_LIVENESS } from '../liveness.ts'
import { MESSAGE_BYTES_MAX } from '../wire/codec.ts'
import { keepCommonTime, takeHeartbeat } from './common-time.ts'
import { type Connections, peerOf, trackConnections } from './connections.ts'
import { type ControlStreams, openControlStreams } from './control-streams.ts'
import { type Counters, createCounters } from './counters.ts'
import { createNode, kadProtocol, type Libp2pNode } from './create-libp2p.ts'
import { credentialAsker, serveCredentials } from './credential-exchange.ts'
import { hearGossip, publish } from './gossip.ts'
import { closeQuietly, type HelloRefused, installHello } from './hello.ts'
import { askForRenewal, serveJoins, serveRenewals } from './join.ts'
import { openKnockDoor } from './knocks.ts'
import { LINE_PATIENCE_MS, type Lines, NO_LINES, openLines } from './lines.ts'
import { checkListening } from './listen-check.ts'
import type { Gate, NetworkEvents, NetworkPort, TunnelHandler } from './network.ts'
import { serveNewcomers } from './newcomers.ts'
import { installPaths, type Paths, RELAYED } from './paths.ts'
import { managePeers, type PeerManager } from './peer-manager.ts'
import {
  CARRY_PROTOCOL,
  CONTROL_PROTOCOL,
  CREDENTIAL_PROTOCOL,
  DIAL_BACK_PROTOCOL,
  HELLO_PROTOCOL,
  HELLO_TIMEOUT_MS,
  JOIN_OVER_PROTOCOL,
  JOIN_PROTOCOL,
  LINE_PROTOCOL,
  OBSERVE_PROTOCOL,
  PUNCH_LINE_PROTOCOL,
  PUNCH_PROTOCOL,
  RELAY_HOP_PROTOCOL,
  RELAY_STOP_PROTOCOL,
  RENEWAL_PROTOCOL,
  TUNNEL_PROTOCOL,
} from './protocols.ts'
import { createQuiet } from './quiet.ts'
import type { ReachKeeper } from './reach.ts'
import { follow, paceOfGossip } from './topics.ts'
import { openTunnelOver, serveTunnels, type TunnelServer } from './tunnel-streams.ts'

export interface NetworkOptions {
  readonly privateKey: PrivateKey
  readonly federation: FederationId
  readonly gate: Gate
  readonly events: NetworkEvents
  readonly tunnels: TunnelHandler
  /** Multiaddrs to listen on, e.g. `/ip4/0.0.0.0/tcp/0`; `/p2p-circuit` asks for a place on a relay. */
  readonly listen: readonly string[]
  readonly announce?: readonly string[]
  /** Finds members on the local network. Default false. */
  readonly mdns?: boolean
  /** Serves as a relay for members: always, never, or, when left out, while members can dial it. */
  readonly relay?: boolean
  /** Asks the router of its network to forward a port where members cannot dial this node. Default true. */
  readonly portForwarding?: boolean
  /** Keeps the peer store over restarts; opened and closed by the caller. */
  readonly datastore?: Datastore
  /** Asks the DHT but does not serve it. Default: true, except where it is told to be a relay. */
  readonly clientMode?: boolean
  /** How long a peer has to prove membership; default HELLO_TIMEOUT_MS. */
  readonly helloTimeoutMs?: number
  /** Carries tunnels on lines where the path allows it. Default true. */
  readonly lines?: boolean
  /** How long the first tunnel to a peer waits for a line; default LINE_PATIENCE_MS. */
  readonly linePatienceMs?: number
  /** How soon a peer that fell silent is given up; default LIVENESS. */
  readonly liveness?: Liveness
  /**
   * Up to how long what came by gossip waits until it is handed on, in ms. Most peers have it by then, and are spared.
   * Default 0.
   */
  readonly gossipPatienceMs?: number
}

/** Where each byte is paid for. A second is several round trips of a radio link, and no hurry for gossip. */
export const METERED_NETWORK: Pick<NetworkOptions, 'liveness' | 'gossipPatienceMs'> = {
  liveness: METERED_LIVENESS,
  gossipPatienceMs: 1_000,
}

/** Protocols that are served only after the hello; libp2p's own besides ours. */
const guardedProtocols = (federation: FederationId): readonly string[] => [
  CONTROL_PROTOCOL,
  CREDENTIAL_PROTOCOL,
  RENEWAL_PROTOCOL,
  TUNNEL_PROTOCOL,
  LINE_PROTOCOL,
  CARRY_PROTOCOL,
  DIAL_BACK_PROTOCOL,
  OBSERVE_PROTOCOL,
  PUNCH_PROTOCOL,
  PUNCH_LINE_PROTOCOL,
  '/meshsub/1.0.0',
  '/meshsub/1.1.0',
  '/meshsub/1.2.0',
  kadProtocol(federation),
  RELAY_HOP_PROTOCOL,
  RELAY_STOP_PROTOCOL,
  '/ipfs/id/push/1.0.0',
]

/** What anybody may open: they tell nothing that a handshake with the federation's id did not presuppose. */
const OPEN_PROTOCOLS: readonly string[] = [
  HELLO_PROTOCOL,
  JOIN_PROTOCOL,
  JOIN_OVER_PROTOCOL,
  '/ipfs/id/1.0.0',
  '/ipfs/ping/1.0.0',
]

/**
 * Below this many connections, members found by mDNS are dialled without being wanted: all known addresses may be
 * stale.
 */
const LONELY_BELOW = 4
const DISCOVERY_DIAL_TIMEOUT_MS = 10_000
/**
 * Twice. Whoever is busy is not given up for it: a dead connection is cut by who looks for signs of life, and another
 * one would cost both ends a handshake. A guess.
 */
const IDENTIFY_TIMEOUT_MS = 15_000

interface Parts {
  readonly options: NetworkOptions
  readonly node: Libp2pNode
  readonly self: NodeId
  readonly counters: Counters
  readonly connections: Connections
  readonly manager: PeerManager
  readonly control: ControlStreams
  readonly lines: Lines
  readonly wanted: Set<NodeId>
  readonly paths: Paths
}

/** Starts a node on the network. Rejects with ListenError when it can listen on none of the addresses asked for. */
export async function createNetwork(options: NetworkOptions): Promise<NetworkPort> {
  const { federation, gate, events } = options
  const counters = createCounters()
  const door = openKnockDoor(counters)
  const node = await createNode({
    ...options,
    listen: options.listen.filter((address) => address !== RELAYED),
    announce: options.announce ?? [],
    ...(options.mdns === true ? { onNeighbour: (peer, addresses) => onNeighbour(parts, peer, addresses) } : {}),
    clientMode: options.clientMode ?? options.relay !== true,
    gossipWaits: (options.gossipPatienceMs ?? 0) > 0,
    sharers: {
      onTls: (socket) => lines.accept(socket),
      onCarried: (socket) => lines.carry(socket),
      onKnock: (socket) => door.accept(socket),
    },
  })
  const self = nodeId(node.peerId.toString())
  const quiet = createQuiet()
  const connections = trackConnections({
    onConnected: (peer) => {
      manager.tell({ kind: 'connected', peer: peer.peer, path: peer.path })
      if (peer.path === 'relay') paths.onNotDirect(peer.peer)
      events.onConnected(peer)
    },
    onDisconnected: (peer) => {
      quiet.begin(peer)
      lines.doubt(peer)
      manager.tell({ kind: 'disconnected', peer })
      paths.onNotDirect(peer)
      events.onDisconnected(peer)
    },
    onBestChanged: (peer) => control.move(peer),
    onLeaned: (peer, remaining) => {
      lines.doubt(peer)
      void introduce(node, remaining)
    },
  })
  const desk = await installHello(node, gate, options.helloTimeoutMs ?? HELLO_TIMEOUT_MS, {
    onAdmitted: (connection, member) => {
      // Whoever comes again may have lost the other connection: a device that moved, a restart.
      const others = node.getConnections(connection.remotePeer).filter((other) => other !== connection)
      for (const other of others) paths.roundTrips.doubt(other, 'peer-came-again')
      if (others.length > 0) lines.doubt(peerOf(connection))
      connections.add(connection, member)
      void introduce(node, connection)
    },
    onRefused: (connection, problem) => reportRefusal(options, counters, connection, problem),
  })
  desk.guard(guardedProtocols(federation))
  const wanted = new Set<NodeId>()
  const onLine = (socket: Socket): void => lines.accept(socket)
  const onAddressGained = (): void => manager.tell({ kind: 'address-gained' })
  const paths = await installPaths({
    node,
    desk,
    connections,
    counters,
    options,
    wanted,
    door,
    onLine,
    onAddressGained,
  })
  const { punch, punchLine } = paths
  const manager = managePeers({ node, self, desk, connections, counters, seed: randomInt(2 ** 32), punch })
  const control = await openControlStreams({
    node,
    counters,
    connect: async (peer, signal) => {
      if (connections.best(peer) === null && quiet.holds(peer)) throw new Error('its connection closed a moment ago')
      return await manager.connect(peer, signal)
    },
    onHeard: paths.roundTrips.heard,
    onMessage: (bytes, from) => events.onMessage(bytes, from, null),
  })
  const tunnels: TunnelServer = await serveTunnels({
    node,
    counters,
    handler: options.tunnels,
    factsOf: (peer) => (gate.isRevoked(peer) ? null : (connections.member(peer)?.facts ?? null)),
  })
  const lines =
    options.lines === false
      ? NO_LINES
      : await openLines({
          node,
          connections,
          counters,
          punchLine,
          patienceMs: options.linePatienceMs ?? LINE_PATIENCE_MS,
          onTunnel: tunnels.serve,
        })
  const parts: Parts = { options, node, self, counters, connections, manager, control, lines, wanted, paths }
  await serveJoins(node, gate, desk)
  await serveNewcomers(node, desk)
  await serveRenewals(node, gate)
  await serveCredentials(node, gate)
  return await start(parts)
}

async function start(parts: Parts): Promise<NetworkPort> {
  const { node, options, counters } = parts
  try {
    takeHeartbeat(node.services)
    await node.start()
    const problems = await checkListening(node, options.listen)
    for (const { address, reason } of problems) options.events.onNotice('listen-failed', `${address}: ${reason}`)
  } catch (problem) {
    await node.stop()
    throw problem
  }
  const served = new Set([...OPEN_PROTOCOLS, ...guardedProtocols(options.federation)])
  const unguarded = node.getProtocols().filter((protocol) => !served.has(protocol))
  invariant(unguarded.length === 0, `protocols that nothing guards: ${unguarded.join(', ')}`)
  hearGossip(node, {
    patienceMs: options.gossipPatienceMs ?? 0,
    counters,
    onHeard: parts.paths.roundTrips.heard,
    domainOf: (peer) => parts.connections.member(peer)?.facts.domain ?? null,
    onMessage: options.events.onMessage,
  })
  listenForDiscoveries(parts)
  return portOf(parts, parts.paths.start(), keepCommonTime(node.services))
}

function portOf(parts: Parts, reach: ReachKeeper, leaveCommonTime: () => void): NetworkPort {
  const gossipPace = paceOfGossip(parts.counters)
  const { node, self, counters, connections, manager, control, lines, wanted, options, paths } = parts
  return {
    self,
    addresses: () => node.getMultiaddrs().map((address) => address.toString()),
    reach: reach.now,
    send: (to, bytes) => {
      if (bytes.length <= MESSAGE_BYTES_MAX) control.send(to, bytes)
      else counters.add('send-too-large')
    },
    publish: (topic, bytes, hearers = null) => publish(node, counters, { topic, bytes, hearers }),
    follow: (topics) => follow(node, topics, gossipPace),
    want: (peers) => {
      wanted.clear()
      for (const { peer } of peers) wanted.add(peer)
      manager.want(peers)
    },
    connectedPeers: connections.peers,
    cut: async (peer) => {
      control.forget(peer)
      lines.cut(peer)
      await closeAll(node, peer)
    },
    fetchCredential: credentialAsker(options.gate, manager.connect),
    askRenewal: async (of, request, signal) => askForRenewal(await manager.connect(of, signal), request, signal),
    prepare: async (to, signal) => {
      await manager.connect(to, signal)
      const unused = await lines.openTunnel(to, signal)
      unused?.duplex.destroy()
    },
    openTunnel: (to, header, signal, caller = null) => {
      const connect = (bounded: AbortSignal) => manager.connect(to, bounded)
      const line = (bounded: AbortSignal) => lines.openTunnel(to, bounded)
      return openTunnelOver({ counters, connect, line, leaving: connections.leaving }, { header, caller }, signal)
    },
    ping: async (to, signal) => paths.roundTrips.measure(await manager.connect(to, signal), signal),
    counters: counters.all,
    stop: async () => {
      leaveCommonTime()
      paths.close()
      await reach.close()
      manager.close()
      control.close()
      lines.close()
      await node.stop()
    },
  }
}

/**
 * Lets libp2p learn what the peer speaks, which is what makes gossip, DHT and relay open their streams to it. Done
 * after the hello, and again when the connection that they ran over closed while another is left: they do not notice
 * that.
 */
async function introduce(node: Libp2pNode, connection: Connection): Promise<void> {
  const attempt = () =>
    node.services.identify.identify(connection, { signal: AbortSignal.timeout(IDENTIFY_TIMEOUT_MS) })
  try {
    await attempt().catch(attempt)
  } catch {
    // Without it the peer would be connected and deaf to gossip; a new connection is the better start.
    await closeQuietly(connection)
  }
}

function reportRefusal(
  { events }: NetworkOptions,
  counters: Counters,
  connection: Connection,
  problem: HelloRefused,
): void {
  if (problem.code === 'closed') return
  counters.add(`hello-refused-by-${problem.by}-${problem.code}`)
  const who = problem.by === 'us' ? 'refused' : 'was refused by'
  events.onNotice(problem.code, `${who} ${peerOf(connection)} at ${connection.remoteAddr}: ${problem.message}`)
}

async function closeAll(node: Libp2pNode, peer: NodeId): Promise<void> {
  await Promise.all(node.getConnections(peerIdFromString(peer)).map(closeQuietly))
}

/** Whoever libp2p hears of for the first time. */
function listenForDiscoveries(parts: Parts): void {
  parts.node.addEventListener('peer:discovery', ({ detail: { id, multiaddrs } }) => onDiscovered(parts, id, multiaddrs))
}

/** Members in the local network, also with addresses that libp2p has not heard of. */
async function onNeighbour(parts: Parts, id: PeerId, multiaddrs: readonly Multiaddr[]): Promise<void> {
  // A dial by the id alone finds them there.
  await parts.node.peerStore.merge(id, { multiaddrs: [...multiaddrs] }).catch(() => {})
  onDiscovered(parts, id, multiaddrs)
}

/** New addresses of wanted peers; on a node that knows hardly anybody, anyone. */
function onDiscovered(parts: Parts, id: PeerId, multiaddrs: readonly Multiaddr[]): void {
  const { self, manager, connections, wanted, options } = parts
  const peer = nodeId(id.toString())
  if (peer === self) return
  manager.tell({ kind: 'discovered', target: { peer, addresses: multiaddrs.map(String) } })
  if (options.mdns !== true || wanted.has(peer) || connections.peers().length >= LONELY_BELOW) return
  manager.connect(peer, AbortSignal.timeout(DISCOVERY_DIAL_TIMEOUT_MS)).catch(() => {})
}
