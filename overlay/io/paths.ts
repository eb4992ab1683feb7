// All that keeps the paths to peers good, put together: round trips and who no longer answers, how this node is reached
// itself, and holes through NATs.

import { randomInt } from 'node:crypto'
import type { Socket } from 'node:net'
import type { Connection } from '@libp2p/interface'
import type { NodeId } from '../kernel/ids.ts'
import { LIVENESS } from '../liveness.ts'
import { type NotDirect, whyNotDirect } from '../not-direct.ts'
import { type Connections, peerOf } from './connections.ts'
import type { Counters } from './counters.ts'
import type { Libp2pNode } from './create-libp2p.ts'
import { serveDialBacks } from './dial-back.ts'
import type { HelloDesk } from './hello.ts'
import type { KnockDoor } from './knocks.ts'
import type { NetworkOptions } from './libp2p-transport.ts'
import { serveObservations } from './observe.ts'
import { installPunching } from './punch.ts'
import type { PunchMeans } from './punch-agreement.ts'
import { installLinePunching, type PunchLine } from './punched-line.ts'
import { keepReach, type ReachKeeper } from './reach.ts'
import { heedPings, measureRoundTrips, type RoundTrips } from './round-trips.ts'

/** Among the addresses to listen on: a place on a relay is wanted whatever members see. */
export const RELAYED = '/p2p-circuit'

export interface PathsSetup {
  readonly node: Libp2pNode
  readonly desk: HelloDesk
  readonly connections: Connections
  readonly counters: Counters
  readonly options: NetworkOptions
  /** The peers whose round trips are told of. */
  readonly wanted: ReadonlySet<NodeId>
  /** Where members knock. */
  readonly door: KnockDoor
  /** A line begins on this connection, which both ends made through their NATs because the peer asked for it. */
  onLine(socket: Socket): void
  /** The device has an address that it had not. */
  onAddressGained(): void
}

export interface Paths {
  readonly roundTrips: RoundTrips
  /** A direct connection besides a relayed one, by both ends dialling at once. Rejects with the reason why not. */
  punch(peer: NodeId, signal: AbortSignal): Promise<Connection>
  readonly punchLine: PunchLine
  /** There is no direct connection to the peer any more. */
  onNotDirect(peer: NodeId): void
  /** Once the node listens. */
  start(): ReachKeeper
  close(): void
}

export async function installPaths(setup: PathsSetup): Promise<Paths> {
  const { node, desk, connections, counters, options, wanted, door } = setup
  const { events } = options
  let reach: ReachKeeper | null = null
  const roundTrips = measureRoundTrips({
    connections: () => node.getConnections(),
    liveness: options.liveness ?? LIVENESS,
    onRoundTrip: (connection, ms) => {
      const peer = peerOf(connection)
      if (connections.best(peer) !== connection) return
      if (connection.direct) reach?.onRoundTrip(peer, ms)
      if (wanted.has(peer)) events.onRoundTrip(peer, ms)
    },
    onDoubt: connections.doubt,
  })
  heedPings(node, roundTrips.heard)
  /** While the other side tries there is nothing to tell yet. */
  const tellWhy = (peer: NodeId, reason: NotDirect): void => {
    if (reason.code !== 'trying') events.onNotDirect(peer, reason)
  }
  const means: PunchMeans = { node, observers: () => reach?.observers() ?? [], roundTripMs: roundTrips.measure }
  const puncher = await installPunching({ ...means, desk, connections, onFailed: tellWhy })
  const punchLine = await installLinePunching(means, setup.onLine)
  await serveDialBacks(node)
  await serveObservations(node, door)
  return {
    roundTrips,
    punchLine,
    punch: async (peer, signal) => {
      try {
        return await puncher.punch(peer, signal)
      } catch (problem) {
        tellWhy(peer, whyNotDirect(problem))
        throw problem
      }
    },
    onNotDirect: (peer) => reach?.onNotDirect(peer),
    start: () => {
      reach = keepReach({
        node,
        connections,
        counters,
        door,
        relay: options.relay ?? null,
        isRelayed: options.listen.includes(RELAYED),
        isForwarding: options.portForwarding ?? true,
        seed: randomInt(2 ** 32),
        onChanged: events.onReachChanged,
        onNotice: events.onNotice,
        onAddressLost: () => {
          for (const connection of node.getConnections()) roundTrips.doubt(connection, 'moved')
        },
        onAddressGained: setup.onAddressGained,
      })
      return reach
    },
    close: () => {
      roundTrips.close()
      door.close()
    },
  }
}
