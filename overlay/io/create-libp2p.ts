// The one place that configures libp2p. Its defaults are made for a public network of strangers; where ours differ, the
// line says why.

import { createHash } from 'node:crypto'
import { gossipsub } from '@chainsafe/libp2p-gossipsub'
import { identify, identifyPush } from '@libp2p/identify'
import type { Address, Connection, ConnectionGater, PeerId, PrivateKey } from '@libp2p/interface'
import { FaultTolerance } from '@libp2p/interface'
import type { AddressManager, TransportManager } from '@libp2p/interface-internal'
import { kadDHT, passthroughMapper } from '@libp2p/kad-dht'
import { ping } from '@libp2p/ping'
import { isLoopback, isPrivate } from '@libp2p/utils'
import type { Multiaddr } from '@multiformats/multiaddr'
import type { Datastore } from 'interface-datastore'
import { createLibp2p } from 'libp2p'
import { fromString } from 'uint8arrays/from-string'
import { invariant } from '../kernel/assert.ts'
import type { FederationId } from '../kernel/ids.ts'
import { MESSAGE_BYTES_MAX } from '../wire/codec.ts'
import { GOSSIP_DECAY_MS } from './common-time.ts'
import { encryption } from './encryption.ts'
import { lanDiscovery, type OnNeighbour } from './lan-discovery.ts'
import { type PortSharers, sharingPort } from './line-tls.ts'
import { multiplexer } from './multiplexer.ts'
import { punchedTcp } from './punched-tcp.ts'
import { announced } from './reach.ts'
import { createRelayTransport, type RelayTransport } from './relay-client.ts'
import { RELAY_STREAMS_MAX, relayGater, relayService } from './relay-service.ts'

export interface Libp2pOptions {
  readonly privateKey: PrivateKey
  readonly federation: FederationId
  /** Multiaddrs to listen on. */
  readonly listen: readonly string[]
  /** Addresses under which this node is reachable besides those that it finds itself. */
  readonly announce: readonly string[]
  /** Where given, members on the local networks are looked for, and it is told of each answer, again and again. */
  readonly onNeighbour?: OnNeighbour
  /** Asks the DHT but does not serve it. */
  readonly clientMode: boolean
  /** What comes by gossip waits before it is handed on, so that "I have it" is worth saying. Default false. */
  readonly gossipWaits?: boolean
  /** How long one address of a dial may take, the handshake included, in ms. Default ADDRESS_DIAL_TIMEOUT_MS. */
  readonly addressMsMax?: number
  /** Keeps the peer store over restarts; opened and closed by the caller. */
  readonly datastore?: Datastore
  /** Takes the lines that come in on the ports that libp2p listens on; they begin like TLS. */
  readonly sharers?: PortSharers
}

/** Two windows of a relay or NAT must hold a whole fleet behind one address; libp2p's defaults are 300, 5/s and 10. */
const CONNECTIONS_MAX = 1_000
const INBOUND_PER_SECOND_AND_HOST_MAX = 200
const INBOUND_PENDING_MAX = 200
/**
 * A dial takes about 4.5 round trips: 5 s suffices at 1 s of round trip, and one dead address does not eat the dial.
 */
const ADDRESS_DIAL_TIMEOUT_MS = 5_000
const DIAL_TIMEOUT_MS = 30_000
/**
 * Who dialled may have to wait for its turn where a whole cluster comes at once, and one that is cut off comes back and
 * costs as much again. libp2p's 10 s were too short for the guests of a device with 2 % of a core. A guess.
 */
export const HANDSHAKE_MS_MAX = 30_000
/** How long a stream of pings may stay open; then the peer opens another one. A guess. */
const PING_STREAM_MS_MAX = 3_600_000
/** The window bounds a stream's throughput on a long path: 4 MiB carries 62 MB/s at 50 ms of round trip (measured). */
const STREAM_WINDOW_BYTES_MAX = 4_194_304
/** A paused stream still receives one window; libp2p resets it when that does not fit the buffer. Twice is safe. */
const STREAM_READ_BUFFER_BYTES_MAX = 2 * STREAM_WINDOW_BYTES_MAX
/** Nobody here writes without waiting for `drain`; this only bounds the damage of a bug. */
const STREAM_WRITE_BUFFER_BYTES_MAX = 33_554_432
/**
 * A stream costs its receiver about 45 KB (3,000 open tunnels: 133 MB of resident memory) and half a millisecond, so
 * this is what one connection of a hostile member may take: a thousand opened at once hold the event loop for a lease.
 * Twice the tunnels that a member gets (TUNNELS_PER_MEMBER_MAX), so that whoever asks for more is told why.
 */
const STREAMS_PER_CONNECTION_MAX = 512
/** A liveness check and a round trip at a time, a `coppice ping` or two, and those that are being closed. A guess. */
const PINGS_PER_CONNECTION_MAX = 16
/** Room for gossipsub's own framing and a topic name around one message. */
const GOSSIP_FRAMING_BYTES_MAX = 2_048
/** gossipsub counts about 1 KiB for a topic; a node follows at most 4 topics in each of 9 domains. */
const GOSSIP_TOPIC_BYTES_PER_PEER_MAX = 262_144
const GOSSIP_MESSAGE_ID_BYTES = 20
/** From this size on "I have it" (27 bytes) is worth saying where bytes are paid for. */
const GOSSIP_KNOWN_BYTES_MIN_METERED = 256
/**
 * Elsewhere it costs its hearer as much to read as a second copy of a small message, and it is said to the whole mesh
 * for each message that comes. libp2p says it from 512 bytes on, and idle nodes of 24 read ten pieces of gossip and
 * more for each message that was new to them.
 */
const GOSSIP_KNOWN_BYTES_MIN = 16_384
/**
 * Whom a node hands gossip on to: fewer than libp2p's 6 (4 to 12), which are for networks of strangers, thousands and
 * lost messages. Who publishes tells everybody it is connected to, and what was missed comes by anti-entropy; in a
 * cluster of 100 four copies of each message reach everybody in four hops. A guess. "These I have" is said once a
 * second for each topic: to three peers, as it was, it was most of the gossip that an idle node of 36 read. To one now.
 */
const GOSSIP_PEERS = { D: 4, Dlo: 3, Dhi: 6, Dscore: 3, Dout: 1, Dlazy: 1, gossipFactor: 0.05 } as const
/**
 * How often gossipsub takes back what it holds against peers: as much as in five of its own steps of a second, of which
 * each wakes the process.
 */
const GOSSIP_DECAY = { decayInterval: GOSSIP_DECAY_MS, behaviourPenaltyDecay: 0.2 ** 5 } as const
const DAY_MS = 86_400_000
/** libp2p forgets addresses after an hour; a device that slept a week should still find its cluster. */
const ADDRESS_AGE_MS_MAX = 7 * DAY_MS
const PEER_AGE_MS_MAX = 30 * DAY_MS
const FEDERATION_BYTES = 32

export type Libp2pNode = Awaited<ReturnType<typeof createNode>>

/**
 * Configures a node and does not start it. `newcomers` are connections of who is no member yet; `punched` those over a
 * hole in a NAT, on whose addresses nobody listens.
 */
export async function createNode(options: Libp2pOptions) {
  const relays = createRelayTransport({
    maxInboundStopStreams: RELAY_STREAMS_MAX,
    maxOutboundStopStreams: RELAY_STREAMS_MAX,
  })
  const made: { node?: { getConnections(peer: PeerId): Connection[] } } = {}
  const newcomers = new WeakSet<Connection>()
  const gater = relayGater(
    (peer) => made.node?.getConnections(peer) ?? [],
    (connection) => newcomers.has(connection),
  )
  const node = await configure(options, relays.transport, gater)
  made.node = node
  const { transportManager } = node.services.inside
  const relayClient = relays.client((addresses) => transportManager.listen(addresses))
  return Object.assign(node, { relayClient, newcomers, punched: new WeakSet<Connection>() })
}

const configure = (
  options: Libp2pOptions,
  relayTransport: RelayTransport['transport'],
  connectionGater: ConnectionGater,
) =>
  createLibp2p({
    start: false,
    privateKey: options.privateKey,
    ...(options.datastore === undefined ? {} : { datastore: options.datastore }),
    nodeInfo: { name: 'coppice', version: '1' },
    addresses: {
      listen: [...options.listen],
      // Trusted at once; what AutoNAT would have to confirm first is never announced in a small private fleet.
      appendAnnounce: [...options.announce],
      announceFilter: announced,
    },
    transports: [
      options.sharers === undefined ? punchedTcp() : sharingPort(punchedTcp(), options.sharers),
      relayTransport,
    ],
    connectionGater,
    // A relay that is down at start must not keep the node from starting; the transport reports ports in use itself.
    transportManager: { faultTolerance: FaultTolerance.NO_FATAL },
    // Another federation, or a stranger, does not get past the handshake.
    connectionEncrypters: [encryption(prologueOf(options.federation))],
    streamMuxers: [
      multiplexer({
        maxInboundStreams: STREAMS_PER_CONNECTION_MAX,
        maxOutboundStreams: STREAMS_PER_CONNECTION_MAX,
        streamOptions: {
          maxStreamWindowSize: STREAM_WINDOW_BYTES_MAX,
          maxReadBufferLength: STREAM_READ_BUFFER_BYTES_MAX,
          maxWriteBufferLength: STREAM_WRITE_BUFFER_BYTES_MAX,
        },
      }),
    ],
    connectionManager: {
      maxConnections: CONNECTIONS_MAX,
      inboundConnectionThreshold: INBOUND_PER_SECOND_AND_HOST_MAX,
      maxIncomingPendingConnections: INBOUND_PENDING_MAX,
      // Its reconnection gives up after 31 s and never tries again; the peer manager does it instead.
      reconnectRetries: 0,
      addressDialTimeout: options.addressMsMax ?? ADDRESS_DIAL_TIMEOUT_MS,
      inboundUpgradeTimeout: HANDSHAKE_MS_MAX,
      dialTimeout: DIAL_TIMEOUT_MS,
      addressSorter: nearestFirst,
    },
    // It opens a stream for each ping; round-trips.ts keeps one open.
    connectionMonitor: { enabled: false },
    peerStore: { maxAddressAge: ADDRESS_AGE_MS_MAX, maxPeerAge: PEER_AGE_MS_MAX },
    services: servicesOf(options),
  })

function servicesOf(options: Libp2pOptions) {
  return {
    // Run by us after the hello: only then do gossip, DHT and relay open their streams.
    identify: identify({ runOnConnectionOpen: false }),
    identifyPush: identifyPush(),
    // A liveness check that finds no free stream aborts the connection, and round trips are measured over the same
    // protocol: with the default of one stream a peer that paused for a second lost its connections.
    ping: ping({
      timeout: PING_STREAM_MS_MAX,
      maxInboundStreams: PINGS_PER_CONNECTION_MAX,
      maxOutboundStreams: PINGS_PER_CONNECTION_MAX,
    }),
    pubsub: gossip(options.gossipWaits ?? false),
    dht: kadDHT({
      protocol: kadProtocol(options.federation),
      peerInfoMapper: passthroughMapper,
      clientMode: options.clientMode,
      // Never allowQueryWithZeroPeers: with a `/p2p-circuit` listener it freezes the process. No validators: the DHT
      // holds no values of ours, so there are none to accept.
      validators: {},
      selectors: {},
    }),
    inside: (components: InnerParts): InnerParts => ({
      transportManager: components.transportManager,
      addressManager: components.addressManager,
    }),
    relay: relayService,
    ...(options.onNeighbour === undefined
      ? {}
      : { lan: lanDiscovery(lanTag(options.federation), options.onNeighbour) }),
  }
}

/** Of libp2p's inside, what is used here: it has no other door to them. */
interface InnerParts {
  readonly transportManager: TransportManager
  readonly addressManager: AddressManager
}

/** A message is handed on when the caller says so: who has it by then, and said so, is passed over. */
const gossip = (waits: boolean) =>
  gossipsub({
    ...GOSSIP_PEERS,
    asyncValidation: true,
    idontwantMinDataSize: waits ? GOSSIP_KNOWN_BYTES_MIN_METERED : GOSSIP_KNOWN_BYTES_MIN,
    // Nodes behind one address (NAT, relay, one machine) are no attack here; the default silences a mesh of them.
    scoreParams: { ...GOSSIP_DECAY, IPColocationFactorWeight: 0 },
    // What is carried is a signed envelope: a second signature would add a quarter to the bytes and prove nothing more.
    globalSignaturePolicy: 'StrictNoSign',
    msgIdFn: (message) => gossipId(message.topic, message.data),
    fallbackToFloodsub: false,
    maxInboundDataLength: MESSAGE_BYTES_MAX + GOSSIP_FRAMING_BYTES_MAX,
    maxTopicBytesPerPeer: GOSSIP_TOPIC_BYTES_PER_PEER_MAX,
    // The first node of a cluster has nobody to tell; that is no error, anti-entropy tells later ones.
    allowPublishToZeroTopicPeers: true,
    ignoreDuplicatePublishError: true,
    runOnLimitedConnection: true,
  })

export const kadProtocol = (federation: FederationId): string => `/coppice/${federation}/kad/1.0.0`

/** One service name per federation, within a DNS label's 63 characters, so that others' devices are not even heard. */
const lanTag = (federation: FederationId): string => `_coppice-${federation.slice(0, 32)}._udp.local`

/** The Noise prologue: the federation's id as raw bytes. */
export function prologueOf(federation: FederationId): Uint8Array {
  const bytes = fromString(federation, 'base16')
  invariant(bytes.length === FEDERATION_BYTES, `a federation id has ${FEDERATION_BYTES} bytes; got ${bytes.length}`)
  return bytes
}

/** What makes two gossip messages the same: topic and bytes. */
const gossipId = (topic: string, data: Uint8Array): Uint8Array =>
  createHash('sha256').update(topic).update('\0').update(data).digest().subarray(0, GOSSIP_MESSAGE_ID_BYTES)

function nearestFirst(a: Address, b: Address): -1 | 0 | 1 {
  const difference = dialRank(a.multiaddr) - dialRank(b.multiaddr)
  if (difference === 0) return 0
  return difference < 0 ? -1 : 1
}

/** The order in which addresses are tried: local network, public, this machine, through a relay. */
export function dialRank(address: Multiaddr): number {
  if (address.toString().includes('/p2p-circuit')) return 3
  if (isLoopback(address)) return 2
  return isPrivate(address) ? 0 : 1
}
