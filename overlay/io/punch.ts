// Hole punching over TCP: two nodes behind NATs dial each other at the same moment, each from the port that members
// saw, so that each NAT takes the other's packets for answers. They agree on it over the relayed connection that they
// have. What comes of it is an ordinary TCP connection with Noise and hello on it.

import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { setTimeout as delay } from 'node:timers/promises'
import type { Connection } from '@libp2p/interface'
import { isLoopback } from '@libp2p/utils'
import { multiaddr } from '@multiformats/multiaddr'
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
import type { Connections } from './connections.ts'
import type { Libp2pNode } from './create-libp2p.ts'
import { readFrame, writeFrame } from './frames.ts'
import { dialAndListen } from './half-way.ts'
import type { HelloDesk } from './hello.ts'
import { type Observer, openMapping, type PortMapping } from './port-mapping.ts'
import { PUNCH_PROTOCOL } from './protocols.ts'
import { libp2pDuplex } from './stream-duplex.ts'

/** Agreeing: two connections to members, and a round trip over the relay. */
const AGREE_MS_MAX = 10_000
/** Dialling at once: the kernel sends a first packet that was lost again after 1 s and 3 s. */
const DIAL_MS_MAX = 5_000

export interface Puncher {
  /** Makes a direct connection to a peer that is connected over a relay. Rejects with the reason why not. */
  punch(peer: NodeId, signal: AbortSignal): Promise<Connection>
}

export interface PuncherSetup {
  readonly node: Libp2pNode
  readonly desk: HelloDesk
  readonly connections: Connections
  /** Members that can say how they see this node, the likeliest first. */
  observers(): readonly Observer[]
  roundTripMs(connection: Connection, signal: AbortSignal): Promise<number>
  /** Why the punch that a peer asked for came to nothing. */
  onFailed(peer: NodeId, reason: NotDirect): void
}

export async function installPunching(setup: PuncherSetup): Promise<Puncher> {
  const { node, connections, onFailed } = setup
  const self = nodeId(node.peerId.toString())
  const asking = new Set<NodeId>()
  const answering = new Set<NodeId>()
  await node.handle(
    PUNCH_PROTOCOL,
    async (stream, connection) => {
      const peer = nodeId(connection.remotePeer.toString())
      const duplex = libp2pDuplex(stream)
      duplex.on('error', () => {})
      const busy = whyNotAnswered(self, peer, { asking, answering })
      if (busy !== null) return excuse(duplex, busy)
      answering.add(peer)
      try {
        await respond(setup, peer, duplex)
      } catch (problem) {
        if (connections.best(peer)?.direct !== true) onFailed(peer, whyNotDirect(problem))
      } finally {
        answering.delete(peer)
      }
    },
    { runOnLimitedConnection: true },
  )
  return {
    punch: async (peer, signal) => {
      const relayed = connections.best(peer)
      if (relayed === null) throw new NoDirectPath('broken-off')
      if (relayed.direct) return relayed
      if (asking.has(peer) || answering.has(peer)) throw new NoDirectPath('trying')
      asking.add(peer)
      try {
        return await initiate(setup, peer, relayed, signal)
      } finally {
        asking.delete(peer)
      }
    },
  }
}

async function respond(setup: PuncherSetup, peer: NodeId, duplex: Duplex): Promise<void> {
  const signal = AbortSignal.timeout(AGREE_MS_MAX)
  let mapping = mapPort(setup, null, signal)
  try {
    const theirs = await readOffer(readFrame(duplex, PUNCH_BYTES_MAX, signal))
    if (isIpv6((await mapping).offer.host) !== isIpv6(theirs.host)) {
      closeMapping(mapping)
      mapping = mapPort(setup, theirs, signal)
    }
    writeFrame(duplex, encodeOffer((await mapping).offer))
    await readFrame(duplex, 0, signal)
    duplex.end().resume()
    await meet(setup, peer, await mapping, theirs, 'responder')
  } catch (problem) {
    excuse(duplex, whyNotDirect(problem).code)
    throw problem
  } finally {
    closeMapping(mapping)
  }
}

async function initiate(
  setup: PuncherSetup,
  peer: NodeId,
  relayed: Connection,
  stop: AbortSignal,
): Promise<Connection> {
  const signal = AbortSignal.any([stop, AbortSignal.timeout(AGREE_MS_MAX)])
  const mapping = mapPort(setup, null, signal)
  const duplex = libp2pDuplex(await relayed.newStream(PUNCH_PROTOCOL, { signal, runOnLimitedConnection: true }))
  duplex.on('error', () => {})
  try {
    const rttMs = setup.roundTripMs(relayed, signal)
    rttMs.catch(() => {})
    writeFrame(duplex, encodeOffer((await mapping).offer))
    const theirs = await readOffer(readFrame(duplex, PUNCH_BYTES_MAX, signal))
    // The other side begins when it reads this, half a round trip from now.
    const untilReadMs = (await rttMs) / 2
    writeFrame(duplex, new Uint8Array(0))
    duplex.end()
    await delay(untilReadMs, undefined, { signal })
    return await meet(setup, peer, await mapping, theirs, 'initiator')
  } finally {
    duplex.destroy()
    closeMapping(mapping)
  }
}

/** The mapping is waited for later; until then its failure is nobody's. */
function mapPort({ observers }: PuncherSetup, theirs: PunchOffer | null, signal: AbortSignal): Promise<PortMapping> {
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

/** The first connection that both sides make of what reaches them. Rejects with the reason when nothing does. */
async function meet(
  { node, desk }: PuncherSetup,
  peer: NodeId,
  mapping: PortMapping,
  theirs: PunchOffer,
  role: 'initiator' | 'responder',
): Promise<Connection> {
  const own = mapping.offer
  const inVain = whyInVain(own, theirs)
  if (inVain !== null) throw inVain
  const family = isIpv6(theirs.host) ? 'ip6' : 'ip4'
  const address = multiaddr(`/${family}/${theirs.host}/tcp/${theirs.port}/p2p/${peer}`)
  // What listens on this device's loopback is nobody's to reach from outside.
  if (isLoopback(address)) throw new NoDirectPath('unreadable')
  const signal = AbortSignal.timeout(DIAL_MS_MAX)
  const done = new AbortController()
  const { promise, resolve, reject } = Promise.withResolvers<Connection>()
  const use = async (socket: Socket): Promise<void> => {
    if (done.signal.aborted) return void socket.destroy()
    // Both dialled, so it has to be said who begins the handshakes.
    const options = { signal, socket, initiator: role === 'initiator' }
    try {
      const connection = await node.services.inside.transportManager.dial(address, options as object)
      await desk.admitted(connection)
      resolve(connection)
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
