// The port to other nodes: datagram-like messages, gossip, and tunnels. It promises little (anything may be lost), so
// that the machines above it have to be right; what it hands up was said by a member, over a connection whose hello was
// checked.

import type { Duplex } from 'node:stream'
import type { Hearers } from '../hearers.ts'
import type { NodeId } from '../kernel/ids.ts'
import type { Result } from '../kernel/result.ts'
import type { NotDirect } from '../not-direct.ts'
import type { TunnelFailure, TunnelHeader, TunnelRefusal } from '../tunnel.ts'
import type { SignerFacts } from '../wire/envelope.ts'
import type { Reach } from './reach.ts'

/** How two nodes are connected. */
export type PathKind = 'direct' | 'relay'

export interface PeerConnected {
  readonly peer: NodeId
  readonly facts: SignerFacts
  readonly name: string
  readonly path: PathKind
  /** The relay's node id when `path` is `relay`. */
  readonly via: NodeId | null
}

export interface WantedPeer {
  readonly peer: NodeId
  /** Multiaddrs where it may answer; may be empty, then the peer store and the DHT are asked. */
  readonly addresses: readonly string[]
}

export type { TunnelFailure, TunnelHeader, TunnelRefusal } from '../tunnel.ts'

export type TunnelHandler = (
  from: NodeId,
  facts: SignerFacts,
  header: TunnelHeader,
  signal: AbortSignal,
) => Promise<Result<Duplex, TunnelRefusal>>

/** What the network tells its host. */
export interface NetworkEvents {
  /** A sealed envelope, not yet opened. `topic` is null when it was sent to this node alone. */
  onMessage(bytes: Uint8Array, deliveredBy: NodeId, topic: string | null): void
  /** A peer passed hello on its first connection, or its best path changed. */
  onConnected(peer: PeerConnected): void
  /** The last connection to a peer closed. */
  onDisconnected(peer: NodeId): void
  /** Why there is still no direct path to a peer that is connected over a relay. */
  onNotDirect(peer: NodeId, reason: NotDirect): void
  /** How this node is reached, or under which addresses, changed. */
  onReachChanged(): void
  /** A measured round-trip time. */
  onRoundTrip(peer: NodeId, ms: number): void
  /** What a person may want to know: refused strangers, failed dials, limits reached. */
  onNotice(code: string, detail: string): void
}

/** Who is believed: membership as the network needs to know it. Bootstrap implements it. */
export interface Gate {
  /** What this node says first on every connection. */
  ownHello(): Uint8Array
  /**
   * What the peer has to be told before it can judge, in pieces of at most PIECE_BYTES_MAX; null when neither side has
   * anything to tell, which both see from the two hellos.
   */
  piecesFor(ownHello: Uint8Array, theirs: Uint8Array): readonly Uint8Array[] | null
  /** Takes in such a piece; an error ends the hello. */
  takePiece(peer: NodeId, piece: Uint8Array): Promise<Result<null, { readonly code: string; readonly detail: string }>>
  /**
   * Checks what the peer said; the code is stable, e.g. `stranger`, `revoked`, `expired`, `other-federation`, `forged`.
   */
  checkHello(
    peer: NodeId,
    hello: Uint8Array,
  ): Promise<
    Result<{ readonly facts: SignerFacts; readonly name: string }, { readonly code: string; readonly detail: string }>
  >
  /** Answers a request to join; the answer says yes or why not. */
  serveJoin(peer: NodeId, request: Uint8Array): Promise<Uint8Array>
  /** Answers a member that asks for a new credential. */
  serveRenewal(peer: NodeId, request: Uint8Array): Promise<Uint8Array>
  /** A credential by its hash, to hand to peers that ask. */
  credentialByHash(hash: Uint8Array): Uint8Array | null
  /** Takes in a credential that a peer handed over; false when it is not valid. */
  learnCredential(credential: Uint8Array): Promise<boolean>
  /** Whether the peer was revoked since its hello. */
  isRevoked(peer: NodeId): boolean
}

export interface NetworkPort {
  readonly self: NodeId
  /** Multiaddrs, each with `/p2p/<id>`, under which others may reach this node. */
  addresses(): readonly string[]
  /** Whether members can dial this node, over whom it is reached where they cannot, and whether it carries others. */
  reach(): Reach
  /**
   * Sends a sealed envelope; dials when an address is known; drops (and counts) when there is no path or the queue is
   * full.
   */
  send(to: NodeId, bytes: Uint8Array): void
  /**
   * To all who follow the topic; who hears it hands it on, unless all of `hearers` hear it from this node itself, and
   * it knows of no others.
   */
  publish(topic: string, bytes: Uint8Array, hearers?: Hearers | null): void
  /** The topics to receive from now on; others are left. */
  follow(topics: readonly string[]): void
  /** The peers to stay connected to; others are left alone until they idle out. */
  want(peers: readonly WantedPeer[]): void
  connectedPeers(): readonly NodeId[]
  /** Closes every connection to a peer, e.g. after its revocation. */
  cut(peer: NodeId): Promise<void>
  /** Asks a connected peer for a credential; resolves to whether it was learned. */
  fetchCredential(hash: Uint8Array, from: NodeId, signal: AbortSignal): Promise<boolean>
  /** Asks a connected member for a new credential; rejects when there is no answer. */
  askRenewal(of: NodeId, request: Uint8Array, signal: AbortSignal): Promise<Uint8Array>
  /** Connects to a peer and makes what tunnels run on, so that the first is open sooner; rejects without a path. */
  prepare(to: NodeId, signal: AbortSignal): Promise<void>
  /**
   * Opens a tunnel; bytes both ways with back-pressure, half-close kept. What `caller` says meanwhile may go ahead
   * (early-bytes.ts): join the two when there is a tunnel, and where none came for `lost` bytes, give it up.
   */
  openTunnel(
    to: NodeId,
    header: TunnelHeader,
    signal: AbortSignal,
    caller?: Duplex | null,
  ): Promise<Result<Duplex, TunnelFailure>>
  /** Round-trip time in ms; rejects when there is no answer. */
  ping(to: NodeId, signal: AbortSignal): Promise<number>
  counters(): Readonly<Record<string, number>>
  stop(): Promise<void>
}
