// Carrying connections between members that cannot reach each other: libp2p's circuit relay, switched on and off as
// this node can be reached or not, with limits of our own instead of the library's test-sized ones (15 places, 128 KiB,
// 2 minutes).

import { circuitRelayServer } from '@libp2p/circuit-relay-v2'
import { type Connection, type ConnectionGater, type PeerId, start, stop } from '@libp2p/interface'
import { directOnly } from './direct-only.ts'
import { RELAY_HOP_PROTOCOL } from './protocols.ts'

/** Members that one relay keeps a place for: a fleet behind one reachable device. A guess. */
export const RELAY_RESERVATIONS_MAX = 5_000
/** Connections that one relay carries at once; each costs it two streams of a few KiB. A guess. */
export const RELAY_STREAMS_MAX = 4_000
/** Of them, those that one member may have opened: nobody takes the relay for itself. A guess. */
export const RELAYED_PER_MEMBER_MAX = 256

export interface RelayService {
  /** Whether it takes connections to carry now. */
  isOn(): boolean
  /** Those carried already go on when it is switched off. */
  switchTo(isOn: boolean): Promise<void>
  stop(): Promise<void>
}

type RelayComponents = Parameters<ReturnType<typeof circuitRelayServer>>[0]

export const relayService = (components: RelayComponents): RelayService => {
  const make = circuitRelayServer({
    reservations: { maxReservations: RELAY_RESERVATIONS_MAX, applyDefaultLimit: false },
    maxInboundHopStreams: RELAY_STREAMS_MAX,
    maxOutboundStopStreams: RELAY_STREAMS_MAX,
  })
  /** All that ever served: stopping one ends what it carries. */
  const servers: ReturnType<typeof make>[] = []
  let isOn = false
  return {
    isOn: () => isOn,
    switchTo: async (wanted) => {
      if (wanted === isOn) return
      isOn = wanted
      if (!wanted) return components.registrar.unhandle(RELAY_HOP_PROTOCOL)
      const server = make(directOnly(components))
      servers.push(server)
      await start(server)
    },
    stop: async () => {
      isOn = false
      for (const server of servers.splice(0)) await stop(server)
    },
  }
}

/** Of connections without hello, each carries one request to join (newcomers.ts). */
const RELAYED_PER_NEWCOMER_MAX = 1

/** What a relay refuses. Whoever asks is a member, or a newcomer: the protocol is guarded by the hello. */
export const relayGater = (
  connectionsOf: (peer: PeerId) => readonly Connection[],
  isNewcomers: (connection: Connection) => boolean,
): Pick<ConnectionGater, 'denyOutboundRelayedConnection' | 'denyInboundRelayReservation'> => ({
  denyOutboundRelayedConnection: (source) => {
    const connections = connectionsOf(source)
    const limit = connections.every(isNewcomers) ? RELAYED_PER_NEWCOMER_MAX : RELAYED_PER_MEMBER_MAX
    const streams = connections.flatMap((connection) => connection.streams)
    return streams.filter(({ protocol }) => protocol === RELAY_HOP_PROTOCOL).length > limit
  },
  denyInboundRelayReservation: (source) => connectionsOf(source).every(isNewcomers),
})
