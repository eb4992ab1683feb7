// Members on the local networks, found by multicast. Each network that this device is in is asked on its own, so none
// needs a route to anywhere: a cable between two devices will do. Answers go to whoever asked, and not to all.

import { randomBytes } from 'node:crypto'
import { createSocket, type RemoteInfo, type Socket } from 'node:dgram'
import { networkInterfaces } from 'node:os'
import type { PeerId, Startable } from '@libp2p/interface'
import type { AddressManager } from '@libp2p/interface-internal'
import { peerIdFromString } from '@libp2p/peer-id'
import { type Multiaddr, multiaddr } from '@multiformats/multiaddr'
import { lanAnswer, lanQuestion, readLanMessage } from './lan-message.ts'

/** Of mDNS (RFC 6762, section 3). */
const GROUP = '224.0.0.251'
const PORT = 5_353
/** RFC 6762, section 11: so that what comes from further away can be told. */
const TTL = 255
/**
 * How often is asked, and looked which networks there are: often at first (RFC 6762, section 5.2, has a second that
 * doubles), then at libp2p's own pace. A new network is asked at once.
 */
const LOOK_MS_MIN = 1_000
const LOOK_MS_MAX = 10_000
const NAME_BYTES = 16

interface Components {
  readonly addressManager: AddressManager
}

/** Told of each answer, also of whom libp2p knows already: it may have other addresses now. */
export type OnNeighbour = (peer: PeerId, addresses: readonly Multiaddr[]) => void

/** A service of libp2p, started and stopped with it. `tag` is the name that is asked for: who has it answers. */
export const lanDiscovery =
  (tag: string, onNeighbour: OnNeighbour) =>
  (components: Components): Startable =>
    new LanDiscovery(tag, onNeighbour, components)

class LanDiscovery implements Startable {
  readonly #tag: string
  readonly #onNeighbour: OnNeighbour
  readonly #components: Components
  readonly #name = randomBytes(NAME_BYTES).toString('hex')
  /** One for each network, by this device's address in it; asks there, and hears what is answered. */
  readonly #voices = new Map<string, Socket>()
  /** Hears the questions of all networks; null where the port is not to be had. */
  #ear: Socket | null = null
  #isHearing = false
  #timer: NodeJS.Timeout | null = null

  constructor(tag: string, onNeighbour: OnNeighbour, components: Components) {
    this.#tag = tag
    this.#onNeighbour = onNeighbour
    this.#components = components
  }

  start(): void {
    if (this.#timer === null) this.#lookAgain(LOOK_MS_MIN)
  }

  #lookAgain(waitMs: number): void {
    this.#timer = setTimeout(() => this.#lookAgain(Math.min(2 * waitMs, LOOK_MS_MAX)), waitMs)
    this.#look()
  }

  stop(): void {
    if (this.#timer !== null) clearTimeout(this.#timer)
    this.#timer = null
    if (this.#ear !== null) this.#leaveEar(this.#ear)
    for (const address of [...this.#voices.keys()]) this.#leave(address)
  }

  /** Tried again with each look: who holds the port alone may have gone. */
  #listen(): void {
    if (this.#ear !== null) return
    const ear = createSocket({ type: 'udp4', reuseAddr: true })
    ear.on('error', () => this.#leaveEar(ear))
    ear.on('message', (bytes, from) => this.#hear(bytes, from))
    // A network that is joined before the socket is bound binds it to another port.
    ear.bind(PORT, () => {
      this.#isHearing = true
      this.#look()
    })
    this.#ear = ear
  }

  /** Follows the device into new networks and out of old ones, and asks in all of them. */
  #look(): void {
    if (this.#timer === null) return
    this.#listen()
    const addresses = ownAddresses()
    for (const address of [...this.#voices.keys()]) if (!addresses.includes(address)) this.#leave(address)
    for (const address of addresses) {
      this.#join(address)
      const voice = this.#voices.get(address)
      if (voice === undefined) this.#open(address)
      else this.#ask(voice)
    }
  }

  #open(address: string): void {
    const voice = createSocket({ type: 'udp4' })
    this.#voices.set(address, voice)
    voice.on('error', () => this.#leave(address))
    voice.on('message', (bytes, from) => this.#hear(bytes, from))
    voice.bind(0, address, () => {
      try {
        voice.setMulticastInterface(address)
        voice.setMulticastTTL(TTL)
        this.#ask(voice)
      } catch {
        // The network went while this was on its way; it is looked for again.
        this.#leave(address)
      }
    })
  }

  /** A network that was left and joined again has to be told anew; one that is joined already says so. */
  #join(address: string): void {
    if (!this.#isHearing) return
    try {
      this.#ear?.addMembership(GROUP, address)
    } catch {
      // It is a member already, or the network has no multicast.
    }
  }

  #ask(voice: Socket): void {
    voice.send(lanQuestion(this.#tag), PORT, GROUP, () => undefined)
  }

  #hear(bytes: Uint8Array, from: RemoteInfo): void {
    const heard = readLanMessage(bytes, this.#tag)
    if (heard?.kind === 'question') this.#answer(from)
    if (heard?.kind === 'answer') this.#tell(heard.peer, heard.addresses)
  }

  #answer(to: RemoteInfo): void {
    const addresses = this.#components.addressManager.getAddresses().map(String)
    const direct = addresses.filter((address) => !address.includes('/p2p-circuit'))
    if (direct.length === 0) return
    const answer = lanAnswer(this.#tag, this.#name, direct)
    if (to.port !== PORT) return void this.#ear?.send(answer, to.port, to.address, () => undefined)
    for (const voice of this.#voices.values()) voice.send(answer, PORT, GROUP, () => undefined)
  }

  #tell(peer: string, addresses: readonly string[]): void {
    const heard = peerAt(peer, addresses)
    if (heard !== null) this.#onNeighbour(heard.id, heard.multiaddrs)
  }

  #leave(address: string): void {
    this.#voices.get(address)?.close()
    this.#voices.delete(address)
  }

  #leaveEar(ear: Socket): void {
    if (this.#ear !== ear) return
    this.#ear = null
    this.#isHearing = false
    ear.close()
  }
}

/** Null where it is no id, or no address. */
function peerAt(peer: string, addresses: readonly string[]): { id: PeerId; multiaddrs: Multiaddr[] } | null {
  try {
    return { id: peerIdFromString(peer), multiaddrs: addresses.map((one) => multiaddr(one)) }
  } catch {
    return null
  }
}

/** Of this device in each network; of a device without any, the one that only it can reach. */
function ownAddresses(): readonly string[] {
  const all = Object.values(networkInterfaces()).flatMap((one) => one ?? [])
  const outside = all.filter(({ family, internal }) => family === 'IPv4' && !internal).map(({ address }) => address)
  return outside.length > 0 ? outside : ['127.0.0.1']
}
