// The lines of a node: which peers have some, when another is made, and when they end. A tunnel that finds none goes
// over a libp2p stream, which is always there.

import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { TLSSocket } from 'node:tls'
import type { Connection } from '@libp2p/interface'
import type { NodeId } from '../kernel/ids.ts'
import { chooseLine, LINES_PER_PEER_MAX, wantsAnother } from '../line-choice.ts'
import { GROWTH_BYTES_MAX, type Purse } from '../line-window.ts'
import { openCarriage } from './carriage.ts'
import { type Connections, viaOf } from './connections.ts'
import type { Counters } from './counters.ts'
import type { Libp2pNode } from './create-libp2p.ts'
import { within } from './deadline.ts'
import { Line } from './line.ts'
import { arrangeMeetings, isTcp, type Meeting, reachOf } from './line-meeting.ts'
import { openLineDoor } from './line-tls.ts'
import type { PunchLine } from './punched-line.ts'

/**
 * How long the first tunnel to a peer waits for a line before it takes a libp2p stream; the line is made all the same.
 * A third of what a call allows for a tunnel (node/traffic.ts): what is left has to do for the stream. A guess.
 */
export const LINE_PATIENCE_MS = 1_000
/** How long making a line may take, on a busy device too: as long as its ticket is good for. */
const OPEN_TIMEOUT_MS = 5_000
/** How long it is remembered that there was no line to be had. A guess. */
const REFUSED_MS = 60_000
/** Both sides may each make as many as one makes; whoever makes more is refused. */
const ACCEPTED_PER_PEER_MAX = 2 * LINES_PER_PEER_MAX
/** A line without a tunnel is kept for so long. A guess. */
const IDLE_MS = 60_000
/** How long a line has to give a sign of life when a connection to its peer has closed: as long as libp2p's ping. */
const CHECK_MS = 5_000

export interface LinesSetup {
  readonly node: Libp2pNode
  readonly connections: Connections
  readonly counters: Counters
  readonly punchLine: PunchLine
  /** How long a tunnel waits for the first line to a peer. */
  readonly patienceMs: number
  /** The peer opened a tunnel. */
  onTunnel(peer: NodeId, duplex: Duplex): void
}

/** A tunnel on a line, of which the peer has not heard yet. */
export interface TunnelOnLine {
  readonly duplex: Duplex
  /** How long nothing has come over the line, in ms. */
  readonly silentMs: number
}

export interface Lines {
  /** A new tunnel on a line; null when there is none to be had. */
  openTunnel(peer: NodeId, signal: AbortSignal): Promise<TunnelOnLine | null>
  /** A connection that began like a line. */
  accept(socket: Socket): void
  /** A connection that began with a ticket for another one that this node is to join it to. */
  carry(socket: Socket): void
  /** A connection to the peer closed: its lines have to show that they still work, and refusals are forgotten. */
  doubt(peer: NodeId): void
  /** Cuts all lines to a peer at once. */
  cut(peer: NodeId): void
  close(): void
}

/** All tunnels are libp2p streams. */
export const NO_LINES: Lines = {
  openTunnel: async () => null,
  accept: (socket) => void socket.destroy(),
  carry: (socket) => void socket.destroy(),
  doubt: () => {},
  cut: () => {},
  close: () => {},
}

interface Held {
  readonly line: Line
  /** Over a relay: for new tunnels only as long as there is no direct connection. */
  readonly isCarried: boolean
  isDoubted: boolean
  idle: NodeJS.Timeout | null
}

interface Peer {
  readonly held: Set<Held>
  opening: Promise<void> | null
  refusedUntil: number
  /** Those who asked to be called, and wait for it. */
  readonly waiting: Set<() => void>
}

export async function openLines(setup: LinesSetup): Promise<Lines> {
  const { node, connections, counters } = setup
  const peers = new Map<NodeId, Peer>()
  const purse: Purse = { bytes: GROWTH_BYTES_MAX }
  const stop = new AbortController()

  const peerAt = (id: NodeId): Peer => {
    const known = peers.get(id)
    if (known !== undefined) return known
    const peer: Peer = { held: new Set(), opening: null, refusedUntil: Number.NEGATIVE_INFINITY, waiting: new Set() }
    peers.set(id, peer)
    return peer
  }
  const isDirect = (id: NodeId): boolean => connections.usable(id).some(isTcp)
  const usable = (id: NodeId, { held }: Peer): readonly Held[] =>
    isDirect(id) ? [...held].filter(({ isCarried }) => !isCarried) : [...held]
  const loads = (held: readonly Held[]) =>
    held.map(({ line, isDoubted }) => ({ tunnels: line.tunnels, isBulky: line.isBulky, isDoubted }))
  const choose = (id: NodeId, peer: Peer): Held | null => {
    const held = usable(id, peer)
    const index = chooseLine(loads(held))
    return index === null ? null : (held[index] ?? null)
  }

  const isRefused = ({ refusedUntil }: Peer): boolean => refusedUntil > performance.now()

  const attach = (id: NodeId, socket: TLSSocket, isDialler: boolean): void => {
    const line = new Line({
      socket,
      isDialler,
      purse,
      onTunnel: (duplex) => setup.onTunnel(id, duplex),
      onChange: () => onChange(id, held),
      onClose: (isBroken) => {
        if (isBroken) counters.add('lines-broken')
        release(id, held)
      },
    })
    const held: Held = { line, isCarried: !isDirect(id), isDoubted: false, idle: null }
    hold(id, held)
  }

  const hold = (id: NodeId, held: Held): void => {
    const peer = peerAt(id)
    peer.held.add(held)
    counters.add('lines')
    onChange(id, held)
    for (const wake of [...peer.waiting]) wake()
  }
  const release = (id: NodeId, held: Held): void => {
    if (held.idle !== null) clearTimeout(held.idle)
    const peer = peers.get(id)
    peer?.held.delete(held)
    if (peer?.held.size === 0 && peer.opening === null && !isRefused(peer)) peers.delete(id)
  }
  const onChange = (id: NodeId, held: Held): void => {
    if (held.idle !== null) clearTimeout(held.idle)
    held.idle = null
    const peer = peerAt(id)
    if (held.line.tunnels > 0) {
      if (wantsAnother(loads(usable(id, peer))) && !isRefused(peer)) more(id, peer).catch(() => {})
      return
    }
    held.idle = setTimeout(() => held.line.destroy(), IDLE_MS)
    held.idle.unref()
  }

  /** Makes one more line, or joins those who wait for one. Rejects when there is none to be had. */
  const more = (id: NodeId, peer: Peer): Promise<void> => {
    const signal = AbortSignal.any([stop.signal, AbortSignal.timeout(OPEN_TIMEOUT_MS)])
    peer.opening ??= open(id, peer, signal)
      .catch((problem: unknown) => {
        peer.refusedUntil = performance.now() + REFUSED_MS
        counters.add('lines-failed')
        throw problem
      })
      .finally(() => {
        peer.opening = null
      })
    return peer.opening
  }
  /** Over the best connection that there is; where another becomes that meanwhile, over that one. */
  const open = async (id: NodeId, peer: Peer, signal: AbortSignal): Promise<void> => {
    for (;;) {
      const over = carrierFor(id)
      if (over === null) throw new Error('there is no connection')
      const left = connections.leaving(over, signal)
      try {
        return await openOver(over, id, peer, left.signal)
      } catch (problem) {
        if (signal.aborted || !left.signal.aborted) throw problem
      } finally {
        left.end()
      }
    }
  }
  /** One that says where to connect to, one on which the peer is asked to connect, one through a hole, one relayed. */
  const carrierFor = (id: NodeId): Connection | null => {
    const all = connections.usable(id)
    const dialled = all.filter((connection) => isTcp(connection) && !node.punched.has(connection))
    const outbound = dialled.find((connection) => reachOf(connection) !== null)
    return outbound ?? dialled[0] ?? all.find(isTcp) ?? all.find(({ direct }) => !direct) ?? null
  }
  const openOver = async (over: Connection, id: NodeId, peer: Peer, signal: AbortSignal): Promise<void> => {
    if (!over.direct) return attach(id, await dialCarried(over, id, signal), true)
    if (node.punched.has(over)) return attach(id, await dialPunched(over, signal), true)
    const reach = reachOf(over)
    if (reach !== null) return attach(id, await meeting.dial(over, reach, signal), true)
    await Promise.all([awaited(peer.waiting, signal), meeting.askToCall(over, signal)])
  }
  /** Through a hole of its own in the NATs on both sides. */
  const dialPunched = (over: Connection, signal: AbortSignal): Promise<TLSSocket> =>
    meeting.dial(over, (begin) => setup.punchLine(over, begin, signal), signal)
  /** Over the relay by which the peer is connected, where we can connect to that. */
  const dialCarried = async (relayed: Connection, id: NodeId, signal: AbortSignal): Promise<TLSSocket> => {
    const via = viaOf(relayed)
    if (via === null) throw new Error('the connection names no relay')
    for (const relay of connections.all(via)) {
      const reach = reachOf(relay)
      if (reach !== null)
        return await meeting.dial(
          relayed,
          async (begin) => begin(await carriage.dial(relay, reach, id, signal)),
          signal,
        )
    }
    throw new Error('the relay cannot be connected to')
  }
  const meeting: Meeting = await arrangeMeetings(node, (id) => {
    const peer = peerAt(id)
    if (peer.held.size < LINES_PER_PEER_MAX) more(id, peer).catch(() => {})
  })

  const refuse = (): void => counters.add('lines-refused')
  const door = openLineDoor(meeting.redeem, {
    onLine: (socket, { peer: id }) => {
      const isFull = (peers.get(id)?.held.size ?? 0) >= ACCEPTED_PER_PEER_MAX
      if (connections.member(id) !== null && !isFull) return attach(id, socket, false)
      refuse()
      socket.destroy()
    },
    onRefused: refuse,
  })

  const carriage = await openCarriage({ node, connections, counters, onLine: (socket) => door.enter(socket) })

  const doubt = async (held: Held): Promise<void> => {
    held.isDoubted = true
    held.isDoubted = !(await held.line.check(CHECK_MS))
    if (held.isDoubted) held.line.destroy(new Error('the line gives no sign of life'))
  }

  return {
    openTunnel: async (id, signal) => {
      if (!connections.all(id).some((connection) => isTcp(connection) || !connection.direct)) return null
      const peer = peerAt(id)
      const ready = choose(id, peer)
      if (ready !== null) return tunnelOn(ready.line)
      if (isRefused(peer)) return null
      const patience = within(setup.patienceMs, signal)
      await Promise.race([more(id, peer).catch(() => {}), aborted(patience.signal)])
      patience.end()
      const made = choose(id, peer)
      return made === null ? null : tunnelOn(made.line)
    },
    accept: door.enter,
    carry: carriage.accept,
    doubt: (id) => {
      const peer = peers.get(id)
      if (peer === undefined) return
      // Another connection may lead where the last one did not.
      peer.refusedUntil = Number.NEGATIVE_INFINITY
      for (const held of peer.held) if (!held.isDoubted) void doubt(held)
    },
    cut: (id) => {
      carriage.cut(id)
      for (const held of [...(peers.get(id)?.held ?? [])]) held.line.destroy(new Error('the peer was cut off'))
    },
    close: () => {
      stop.abort(new Error('the network was stopped'))
      door.close()
      carriage.close()
      for (const { held } of peers.values()) for (const one of [...held]) one.line.destroy()
    },
  }
}

const tunnelOn = (line: Line): TunnelOnLine => ({ silentMs: line.silentMs, duplex: line.open() })

/** Resolves when the next one wakes those who wait; rejects when the signal aborts first. */
function awaited(waiting: Set<() => void>, signal: AbortSignal): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  const onAbort = (): void => reject(signal.reason)
  waiting.add(resolve)
  signal.addEventListener('abort', onAbort, { once: true })
  return promise.finally(() => {
    waiting.delete(resolve)
    signal.removeEventListener('abort', onAbort)
  })
}

/** Resolves when the signal aborts. */
function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve()
  return new Promise((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }))
}
