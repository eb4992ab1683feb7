// Agreeing with a peer to dial each other at the same moment, each from the port that members saw, so that each NAT
// takes the other's packets for answers. What the connection is for, and whether it is the one that was agreed on, is
// known to who asked (punch.ts, punched-line.ts).

import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { setTimeout as delay } from 'node:timers/promises'
import type { Connection } from '@libp2p/interface'
import { isLoopback } from '@libp2p/utils'
import { type Multiaddr, multiaddr } from '@multiformats/multiaddr'
import { type NodeId, nodeId } from '../kernel/ids.ts'
import { NoDirectPath, type NotDirect, type NotDirectCode, whyNotDirect } from '../not-direct.ts'
import {
  chooseObservers,
  decodeOffer,
  encodeExcuse,
  encodeOffer,
  isIpv6,
  PUNCH_BYTES_MAX,
  type PunchOffer,
  whyInVain,
  whyNotAnswered,
  whyNotPunched,
} from '../punch.ts'
import type { Libp2pNode } from './create-libp2p.ts'
import { readFrame, writeFrame } from './frames.ts'
import { dialAndListen } from './half-way.ts'
import { type Observer, openMapping, type PortMapping } from './port-mapping.ts'
import { libp2pDuplex } from './stream-duplex.ts'

/** Agreeing: two connections to members, and a round trip over the relay. */
const AGREE_MS_MAX = 10_000
/** Dialling at once: the kernel sends a first packet that was lost again after 1 s and 3 s. */
const DIAL_MS_MAX = 5_000

export interface PunchMeans {
  readonly node: Libp2pNode
  /** Members that can say how they see this node, the likeliest first. */
  observers(): readonly Observer[]
  roundTripMs(connection: Connection, signal: AbortSignal): Promise<number>
}

/** Both dialled, so it has to be said who begins to speak: who asked for it. */
export type Role = 'initiator' | 'responder'

export interface Met {
  readonly peer: NodeId
  /** What was dialled. */
  readonly address: Multiaddr
  readonly role: Role
  /** Aborts when the time to come together is over. */
  readonly signal: AbortSignal
}

/**
 * Makes something of a connection that came about. Rejects where the other end is somebody else: the connection is
 * closed and the next one waited for. Null where that is not known yet and found out elsewhere.
 */
export type MakeOf<T> = (socket: Socket, met: Met) => Promise<T | null>

export interface Punching<T> {
  readonly protocol: string
  /** What an answer is worth; what a question is, says who asks. */
  readonly make: MakeOf<T>
  /** Why the punch that a peer asked for came to nothing. */
  onFailed(peer: NodeId, reason: NotDirect): void
}

/** Asks a peer, over a connection to it, for a punch. Rejects with the reason why nothing came of it. */
export type AskForPunch<T> = (over: Connection, make: MakeOf<T>, signal: AbortSignal) => Promise<T>

/** Answers a protocol by which punches are agreed on, and asks by it. */
export async function arrangePunches<T>(means: PunchMeans, punching: Punching<T>): Promise<AskForPunch<T>> {
  const { node } = means
  const self = nodeId(node.peerId.toString())
  const asking = new Set<NodeId>()
  const answering = new Set<NodeId>()
  await node.handle(
    punching.protocol,
    async (stream, connection) => {
      const peer = nodeId(connection.remotePeer.toString())
      const duplex = libp2pDuplex(stream)
      duplex.on('error', () => {})
      const busy = whyNotAnswered(self, peer, { asking, answering })
      if (busy !== null) return excuse(duplex, busy)
      answering.add(peer)
      try {
        await respond(means, peer, duplex, punching.make)
      } catch (problem) {
        punching.onFailed(peer, whyNotDirect(problem))
      } finally {
        answering.delete(peer)
      }
    },
    { runOnLimitedConnection: true },
  )
  return async (over, make, signal) => {
    const peer = nodeId(over.remotePeer.toString())
    if (asking.has(peer) || answering.has(peer)) throw new NoDirectPath('trying')
    asking.add(peer)
    try {
      return await initiate(means, punching.protocol, over, make, signal)
    } finally {
      asking.delete(peer)
    }
  }
}

async function respond<T>(means: PunchMeans, peer: NodeId, duplex: Duplex, make: MakeOf<T>): Promise<void> {
  const signal = AbortSignal.timeout(AGREE_MS_MAX)
  let mapping = mapPort(means, null, signal)
  try {
    const theirs = await readOffer(readFrame(duplex, PUNCH_BYTES_MAX, signal))
    if (isIpv6((await mapping).offer.host) !== isIpv6(theirs.host)) {
      closeMapping(mapping)
      mapping = mapPort(means, theirs, signal)
    }
    writeFrame(duplex, encodeOffer((await mapping).offer))
    await readFrame(duplex, 0, signal)
    duplex.end().resume()
    await meet(await mapping, theirs, { peer, role: 'responder' }, make)
  } catch (problem) {
    excuse(duplex, whyNotDirect(problem).code)
    throw problem
  } finally {
    closeMapping(mapping)
  }
}

async function initiate<T>(
  means: PunchMeans,
  protocol: string,
  over: Connection,
  make: MakeOf<T>,
  stop: AbortSignal,
): Promise<T> {
  const peer = nodeId(over.remotePeer.toString())
  const signal = AbortSignal.any([stop, AbortSignal.timeout(AGREE_MS_MAX)])
  const mapping = mapPort(means, null, signal)
  const duplex = libp2pDuplex(await over.newStream(protocol, { signal, runOnLimitedConnection: true }))
  duplex.on('error', () => {})
  try {
    const rttMs = means.roundTripMs(over, signal)
    rttMs.catch(() => {})
    writeFrame(duplex, encodeOffer((await mapping).offer))
    const theirs = await readOffer(readFrame(duplex, PUNCH_BYTES_MAX, signal))
    // The other side begins when it reads this, half a round trip from now.
    const untilReadMs = (await rttMs) / 2
    writeFrame(duplex, new Uint8Array(0))
    duplex.end()
    await delay(untilReadMs, undefined, { signal })
    return await meet(await mapping, theirs, { peer, role: 'initiator' }, make)
  } finally {
    duplex.destroy()
    closeMapping(mapping)
  }
}

/** The mapping is waited for later; until then its failure is nobody's. */
function mapPort({ observers }: PunchMeans, theirs: PunchOffer | null, signal: AbortSignal): Promise<PortMapping> {
  const mapping = openMapping(chooseObservers(observers(), theirs), signal)
  mapping.catch(() => {})
  return mapping
}

const closeMapping = (mapping: Promise<PortMapping>): void =>
  void mapping.then((opened) => opened.close()).catch(() => {})

/** Says why there will be no offer, where anybody still listens. */
function excuse(duplex: Duplex, code: NotDirectCode): void {
  if (duplex.writableEnded || duplex.destroyed) return
  writeFrame(duplex, encodeExcuse(code))
  duplex.end().resume()
}

async function readOffer(frame: Promise<Uint8Array>): Promise<PunchOffer> {
  const offer = decodeOffer(await frame)
  if (!offer.ok) throw new NoDirectPath(offer.error, { side: 'other' })
  return offer.value
}

/** The first connection of which something could be made. Rejects with the reason when nothing comes. */
async function meet<T>(
  mapping: PortMapping,
  theirs: PunchOffer,
  { peer, role }: Pick<Met, 'peer' | 'role'>,
  make: MakeOf<T>,
): Promise<T> {
  const own = mapping.offer
  const inVain = whyInVain(own, theirs)
  if (inVain !== null) throw inVain
  const family = isIpv6(theirs.host) ? 'ip6' : 'ip4'
  const address = multiaddr(`/${family}/${theirs.host}/tcp/${theirs.port}/p2p/${peer}`)
  // What listens on this device's loopback is nobody's to reach from outside.
  if (isLoopback(address)) throw new NoDirectPath('unreadable')
  const signal = AbortSignal.timeout(DIAL_MS_MAX)
  const done = new AbortController()
  const { promise, resolve, reject } = Promise.withResolvers<T>()
  const use = async (socket: Socket): Promise<void> => {
    if (done.signal.aborted) return void socket.destroy()
    try {
      const made = await make(socket, { peer, address, role, signal })
      if (made !== null) resolve(made)
    } catch {
      // A stranger, or the same peer over the other socket: the next one, or the end of the time, decides.
      socket.destroy()
    }
  }
  const giveUp = (): void => reject(whyNotPunched(own, theirs))
  signal.addEventListener('abort', giveUp)
  void dialAndListen(mapping.localPort, theirs, AbortSignal.any([signal, done.signal]), use)
  try {
    return await promise
  } finally {
    done.abort()
    signal.removeEventListener('abort', giveUp)
  }
}
