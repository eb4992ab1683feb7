// Finds out by itself how this node is reached: asks members to dial back, takes places on relays where they cannot,
// and carries others' connections where they can. What to do is decided in reachability.ts and relay-choice.ts.

import { isLinkLocalIp, isLoopback, isPrivate } from '@libp2p/utils'
import { type Multiaddr, multiaddr } from '@multiformats/multiaddr'
import { type NodeId, nodeId } from '../kernel/ids.ts'
import type { StepContext } from '../kernel/machine.ts'
import { seededRandom } from '../kernel/random.ts'
import { earlier } from '../kernel/time.ts'
import * as reachability from '../reachability.ts'
import * as choice from '../relay-choice.ts'
import type { Connections } from './connections.ts'
import type { Counters } from './counters.ts'
import type { Libp2pNode } from './create-libp2p.ts'
import { askForDialBack, type HostAndPort, hostAndPortOf } from './dial-back.ts'
import type { KnockDoor } from './knocks.ts'
import { keepForwarding } from './port-forwarding.ts'
import type { Observer } from './port-mapping.ts'
import { RELAY_HOP_PROTOCOL } from './protocols.ts'
import { wakes } from './wakes.ts'

/** How this node is reached from outside. */
export interface Reach {
  readonly standing: reachability.Standing
  /** Whether it carries connections for others. */
  readonly isRelay: boolean
  /** The relays over which it is reached. */
  readonly relays: readonly NodeId[]
}

export interface ReachSetup {
  readonly node: Libp2pNode
  readonly connections: Connections
  readonly counters: Counters
  readonly door: KnockDoor
  /** Always a relay, never, or (null) whenever it can be reached. */
  readonly relay: boolean | null
  /** Wants to be reached over relays whatever members say. */
  readonly isRelayed: boolean
  /** Asks the router to forward a port where members cannot dial this node. */
  readonly isForwarding: boolean
  readonly seed: number
  /** Something about the reach, or the addresses, changed. */
  onChanged(): void
  /** The device lost an address: connections from there are dead and do not know it. */
  onAddressLost(): void
  /** It has one that it had not: who could not be reached may be reached now. */
  onAddressGained(): void
  onNotice(code: string, detail: string): void
}

export interface ReachKeeper {
  now(): Reach
  /** Members that can be dialled and say how they see this node, the nearest first. */
  observers(): readonly Observer[]
  onRoundTrip(peer: NodeId, ms: number): void
  /** There is no direct connection to the peer any more. */
  onNotDirect(peer: NodeId): void
  /** Within a second. */
  close(): Promise<void>
}

/** How often the device's own addresses are looked at: libp2p does not tell when an interface comes or goes. */
const LOOK_INTERVAL_MS = 2_000
/** libp2p confirms addresses for a while only; those of our own interfaces need no confirming. */
const FOR_EVER_MS = 3.2e11

export function keepReach(setup: ReachSetup): ReachKeeper {
  const { node, connections, relay, isRelayed } = setup
  const { relayClient } = node
  const { transportManager, addressManager } = node.services.inside
  const random = seededRandom(setup.seed)
  let reach = reachability.createReachability()
  let relays = choice.createRelayChoice()
  let timer: NodeJS.Timeout | undefined
  let told = ''
  let isClosed = false
  /** By host: addresses that are none of the device's own and are announced, as somebody got through there. */
  const confirmed = new Map<string, Multiaddr>()
  /** Where those that carry connections can be dialled. */
  const dialled = new Map<NodeId, readonly HostAndPort[]>()

  const forwarding = keepForwarding({
    random,
    counters: setup.counters,
    onChanged: (address) => {
      unconfirm(address)
      tellReach({ kind: 'forwarding-changed', address })
    },
    onNotice: setup.onNotice,
  })
  const context = (): StepContext => ({ now: performance.now(), wall: Date.now(), random })
  const tellReach = (input: reachability.ReachabilityInput): void => {
    if (isClosed) return
    const stepped = reachability.step(reach, input, context())
    reach = stepped.state
    for (const effect of stepped.effects) void ask(effect)
    const standing = reachability.standingOf(reach)
    confirmReached()
    void node.services.relay.switchTo(relay ?? standing === 'open')
    const isNeeded = isRelayed || standing === 'closed' || reachability.lacksIpv4(reach)
    tellChoice({ kind: 'needed', isNeeded })
    if (setup.isForwarding) forwarding.tell(standing === 'closed', ownPort('ip4'))
    settled()
  }
  const tellChoice = (input: choice.RelayChoiceInput): void => {
    if (isClosed) return
    const stepped = choice.step(relays, input, context())
    relays = stepped.state
    for (const effect of stepped.effects) {
      if (effect.kind === 'release') relayClient.release(effect.peer)
      else void reserve(effect.peer)
    }
    wakeLater()
  }
  const reserve = async (peer: NodeId): Promise<void> => {
    await relayClient.reserve(peer).catch(() => {})
    tellChoice({ kind: 'answered', peer, isHeld: relayClient.held().includes(peer) })
  }
  const ask = async ({ peer, question, address }: reachability.ReachabilityEffect): Promise<void> => {
    const connection = connections.best(peer)
    const port = portAt(address)
    const isReached =
      port === null ? false : connection?.direct ? await askForDialBack(connection, port, setup.door) : null
    tellReach({ kind: 'answered', peer, question, isReached })
  }
  const ownPort = (family: 'ip4' | 'ip6'): number | null => {
    const own = transportManager.getAddrs().map((address) => hostAndPortOf(address.toString()))
    return own.find((address) => address?.family === family)?.port ?? null
  }
  /** The port on which it can be dialled under an address: the router's where that one forwards it. */
  const portAt = (host: string): number | null => forwarding.portAt(host) ?? ownPort(host.includes(':') ? 'ip6' : 'ip4')
  /** Where somebody got through although the device has no such address: a port that a router forwards. */
  const confirmReached = (): void => {
    for (const host of reachability.reachedAt(reach)) {
      const port = portAt(host)
      if (port === null || reach.own.includes(host)) continue
      const address = multiaddr(`/${host.includes(':') ? 'ip6' : 'ip4'}/${host}/tcp/${port}`)
      confirmed.set(host, address)
      addressManager.addObservedAddr(address)
      addressManager.confirmObservedAddr(address, { type: 'observed', ttl: FOR_EVER_MS })
    }
  }
  /** What led to this node under an address no longer does. */
  const unconfirm = (host: string): void => {
    const address = confirmed.get(host)
    if (address !== undefined) addressManager.removeObservedAddr(address)
    confirmed.delete(host)
  }
  const wakeLater = (): void => {
    clearTimeout(timer)
    const due = earlier(reachability.wakeAt(reach), choice.wakeAt(relays))
    if (due === null || isClosed) return
    const wake = (): void => {
      tellReach({ kind: 'wake' })
      tellChoice({ kind: 'wake' })
    }
    timer = setTimeout(wake, Math.max(0, due - performance.now()))
    timer.unref()
  }
  const now = (): Reach => ({
    standing: reachability.standingOf(reach),
    isRelay: node.services.relay.isOn(),
    relays: relayClient.held(),
  })
  const settled = (): void => {
    const { standing, isRelay, relays: held } = now()
    const seen = `${standing} ${isRelay} ${held.join()} ${node.getMultiaddrs().join()}`
    if (seen === told) return
    told = seen
    setup.onChanged()
  }
  const look = (): void => {
    const own = transportManager.getAddrs().filter((address) => hostAndPortOf(address.toString()) !== null)
    // Members are told of the device's own addresses as they are: a wrong one costs a dial that fails.
    for (const address of own) addressManager.confirmObservedAddr(address, { type: 'transport', ttl: FOR_EVER_MS })
    const hosts = [...new Set(own.flatMap((address) => hostAndPortOf(address.toString())?.host ?? []))].filter(
      (host) => !isLinkLocalIp(host),
    )
    if (hosts.join() !== reach.own.join()) {
      const isLost = reach.own.some((host) => !hosts.includes(host))
      const isGained = hosts.some((host) => !reach.own.includes(host))
      for (const host of confirmed.keys()) unconfirm(host)
      forwarding.onMoved()
      tellReach({ kind: 'own-addresses', addresses: hosts })
      if (isLost) setup.onAddressLost()
      if (isGained) setup.onAddressGained()
    }
    settled()
  }
  node.addEventListener('peer:identify', ({ detail: { peerId, protocols, listenAddrs, observedAddr, connection } }) => {
    if (!connection.direct) return
    const peer = nodeId(peerId.toString())
    const seen = observedAddr === undefined ? null : hostAndPortOf(observedAddr.toString())
    if (seen !== null && observedAddr !== undefined && !isLoopback(observedAddr)) {
      tellReach({ kind: 'seen', peer, address: seen.host })
    }
    const theirs = hostAndPortOf(connection.remoteAddr.toString())
    if (theirs !== null) dialled.set(peer, knockable(listenAddrs, theirs.host))
    // Also who may not carry could say that it does; its operator's word counts.
    const mayCarry = connections.member(peer)?.facts.capabilities.includes('relay') === true
    tellChoice({ kind: 'offer', peer, isOffered: mayCarry && protocols.includes(RELAY_HOP_PROTOCOL) })
  })
  relayClient.onChanged(() => {
    tellChoice({ kind: 'held', peers: relayClient.held() })
    // The address is listened on a moment after its place was won.
    setImmediate(settled)
  })
  const stopLooking = wakes.every(LOOK_INTERVAL_MS, look)
  look()
  tellReach({ kind: 'wake' })
  return {
    now,
    observers: () =>
      choice.byDistance(relays).flatMap((peer) => {
        const connection = connections.best(peer)
        return connection?.direct
          ? inFamiliesOf(reach.own, dialled.get(peer) ?? []).map((at) => ({ peer, connection, ...at }))
          : []
      }),
    onRoundTrip: (peer, ms) => tellChoice({ kind: 'round-trip', peer, ms }),
    onNotDirect: (peer) => {
      dialled.delete(peer)
      tellReach({ kind: 'gone', peer })
      tellChoice({ kind: 'offer', peer, isOffered: false })
    },
    close: async () => {
      isClosed = true
      clearTimeout(timer)
      stopLooking()
      await forwarding.close()
    },
  }
}

/** Where a member can be knocked at: at the address that was dialled, and at public ones of the other family. */
export function knockable(listening: readonly Multiaddr[], dialledHost: string): readonly HostAndPort[] {
  const places = listening.flatMap((address) => {
    const at = hostAndPortOf(address.toString())
    return at === null ? [] : [{ at, isPublic: !isPrivate(address) && !isLoopback(address) }]
  })
  const dialled = places.find(({ at }) => at.host === dialledHost)?.at
  if (dialled === undefined) return []
  const others = places.filter(({ at, isPublic }) => isPublic && at.family !== dialled.family)
  return [dialled, ...others.map(({ at }) => at)]
}

/** Without those that a device with these addresses has no way to. */
export const inFamiliesOf = (own: readonly string[], places: readonly HostAndPort[]): readonly HostAndPort[] => {
  const beyond = own.filter((host) => host !== '::1' && !host.startsWith('127.'))
  return places.filter(({ family }) => beyond.some((host) => (family === 'ip6') === host.includes(':')))
}

/** What members are told of: nothing that means something on one cable or one device only, as far as there is more. */
export const announced = (addresses: Multiaddr[]): Multiaddr[] => {
  const hostOf = (address: Multiaddr): string => hostAndPortOf(address.toString())?.host ?? ''
  const beyond = addresses.filter((address) => !isLinkLocalIp(hostOf(address)) && hostOf(address) !== '::1')
  // Whoever dials an address of loopback reaches itself: nodes mostly listen on one and the same port.
  const elsewhere = beyond.filter((address) => !isLoopback(address))
  const useful = elsewhere.length > 0 ? elsewhere : beyond
  const isVain = (address: Multiaddr): boolean => address.toString().includes('/p2p-circuit') && isLoopback(address)
  const reached = useful.filter((address) => !isVain(address))
  return reached.some((address) => address.toString().includes('/p2p-circuit')) ? reached : useful
}
