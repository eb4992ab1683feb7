// Places on relays, one reservation at a time: which member is asked is decided elsewhere (relay-choice.ts). libp2p's
// transport would take whichever it hears of first, walk the DHT for others, and never ask one again that failed once.

import { circuitRelayTransport } from '@libp2p/circuit-relay-v2'
import { peerIdFromString } from '@libp2p/peer-id'
import { multiaddr } from '@multiformats/multiaddr'
import { invariant } from '../kernel/assert.ts'
import { type NodeId, nodeId } from '../kernel/ids.ts'
import { RELAYS_HELD } from '../relay-choice.ts'
import { directOnly } from './direct-only.ts'

export interface RelayClient {
  /** The relays that carry connections to this node now. */
  held(): readonly NodeId[]
  /** Asks a member that is connected. Rejects when it refuses or does not answer within 5 s. */
  reserve(peer: NodeId): Promise<void>
  /** Gives a place up; connections that came over it stay. */
  release(peer: NodeId): void
  /** Called whenever a place was won or lost. */
  onChanged(listener: () => void): void
}

/**
 * libp2p asks one relay at a time by default, and where all places are taken it forgets who still waits for a turn,
 * without an answer: of two places that are renewed at once the second ran out. So none waits.
 */
const ASKED_AT_ONCE_MAX = 64

/** Of libp2p's reservation store (@libp2p/circuit-relay-v2 4), what is used. */
interface ReservationStore {
  readonly reservations: Iterable<readonly [{ toString(): string }, Reservation]> & {
    get(peer: unknown): Reservation | undefined
    delete(peer: unknown): boolean
  }
  readonly pendingReservations: string[]
  hasReservation(peer: unknown): boolean
  relayFilter: { has(id: Uint8Array): boolean; add(id: Uint8Array): boolean }
  addRelay(peer: unknown, type: 'discovered'): Promise<unknown>
  addEventListener(name: string, listener: () => void): void
  safeDispatchEvent(name: string, init: { readonly detail: unknown }): boolean
}
interface Reservation {
  readonly id?: string
  readonly timeout: NodeJS.Timeout
}
interface Discovery {
  start(): Promise<void>
  startDiscovery(): void
}
type Listen = (addresses: ReturnType<typeof multiaddr>[]) => Promise<void>

export interface RelayTransport {
  /** For the list of transports. */
  readonly transport: ReturnType<typeof circuitRelayTransport>
  /** Once the node is made. `listen` is the transport manager's. */
  client(listen: Listen): RelayClient
}

export function createRelayTransport(
  options: NonNullable<Parameters<typeof circuitRelayTransport>[0]>,
): RelayTransport {
  let store: ReservationStore | null = null
  const make = circuitRelayTransport({ ...options, reservationConcurrency: ASKED_AT_ONCE_MAX })
  return {
    transport: (components) => {
      const transport = make(directOnly(components))
      const inner = transport as unknown as {
        readonly reservationStore: ReservationStore
        readonly discovery: Discovery
      }
      invariant(typeof inner.reservationStore?.addRelay === 'function', 'reservations are kept where we look for them')
      invariant(typeof inner.discovery?.startDiscovery === 'function', 'relays are searched where we look for it')
      inner.discovery.start = async () => {}
      inner.discovery.startDiscovery = () => {}
      inner.reservationStore.relayFilter = { has: () => false, add: () => true }
      // Whoever carries a connection to us without a place would be asked for one, where it may not listen.
      inner.reservationStore.hasReservation = () => true
      store = inner.reservationStore
      return transport
    },
    client: (listen) => {
      invariant(store !== null, 'the relay transport was made')
      return clientOf(store, listen)
    },
  }
}

function clientOf(store: ReservationStore, listen: Listen): RelayClient {
  /** Each listener has room for one reservation; they are made when the first is wanted. */
  let listening: Promise<void> | null = null
  const openPlaces = async (): Promise<void> => {
    for (let place = 0; place < RELAYS_HELD; place++) await listen([multiaddr('/p2p-circuit')])
  }
  return {
    held: () => [...store.reservations].map(([peer]) => nodeId(peer.toString())),
    reserve: async (peer) => {
      listening ??= openPlaces()
      await listening
      await store.addRelay(peerIdFromString(peer), 'discovered')
    },
    release: (peer) => {
      const id = peerIdFromString(peer)
      const details = store.reservations.get(id)
      if (details === undefined) return
      clearTimeout(details.timeout)
      store.reservations.delete(id)
      if (details.id !== undefined) store.pendingReservations.push(details.id)
      store.safeDispatchEvent('relay:removed', { detail: { relay: id, details } })
    },
    onChanged: (listener) => {
      for (const event of ['relay:created-reservation', 'relay:removed']) store.addEventListener(event, listener)
    },
  }
}
