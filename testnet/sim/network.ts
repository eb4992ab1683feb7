// A simulated network below the real dial plan. It carries bytes over connections, loses, doubles and delays them as it
// is told to; gossip reaches whoever follows the topic and is linked to the publisher through others who do.

import type { HostPorts } from '../../node/host.ts'
import {
  createDialPlan,
  type DialPlanEffect,
  type DialPlanInput,
  type DialPlanState,
  wakeAt as dialPlanWakeAt,
  step as stepDialPlan,
} from '../../overlay/dial-plan.ts'
import type { Hearers } from '../../overlay/hearers.ts'
import { invariant } from '../../overlay/kernel/assert.ts'
import type { NodeId } from '../../overlay/kernel/ids.ts'
import type { StepContext } from '../../overlay/kernel/machine.ts'
import type { Random } from '../../overlay/kernel/random.ts'
import type { Millis } from '../../overlay/kernel/time.ts'
import type { Agenda } from './agenda.ts'
import { createFollowers } from './followers.ts'
import { createLinks, type Endpoint } from './links.ts'
import { between, chance } from './streams.ts'

/** One hop on a local network, in ms; a guess. */
const LATENCY_MS = { min: 0.3, max: 5 }
/** Noise and hello: some round trips. A guess. */
const DIAL_ROUND_TRIPS = 4
/** How long a message that is overtaken waits, and one that meets a spike, in ms. Guesses. */
const OVERTAKEN_MS = { min: 5, max: 150 }
const SPIKE_MS = { min: 200, max: 2_500 }
/** A dial into silence is given up after this. A guess, shorter than the real one so that a short run sees several. */
const DIAL_TIMEOUT_MS = 3_000
/** After this long without an answer a connection is given up for dead; a guess around Yamux's keep-alive. */
const SILENCE_MS = { min: 5_000, max: 15_000 }
/** How long a message waits for a connection (overlay/outbox.ts). */
const WAITING_MS_MAX = 2_000
const WAITING_MAX = 64

export interface Weather {
  /** Share of messages that are lost, 0 to 1. */
  loss: number
  duplication: number
  /** Messages take so many times longer. */
  slowness: number
  /** Share of messages that are held up for long enough to be overtaken by later ones. */
  reordering: number
  /** Share of messages that are held up for as long as a full queue on the way holds them. */
  spikes: number
}

export interface NetworkCounts {
  sent: number
  delivered: number
  lost: number
  bytes: number
}

export interface SimNetwork {
  readonly weather: Weather
  readonly counts: NetworkCounts
  /** The port of a process that starts now. */
  attach(endpoint: Endpoint, random: Random): HostPorts['network']
  /** The process is gone; its kernel says so to its peers unless the power is gone too. */
  detach(endpoint: Endpoint, isSilent: boolean): void
  part(pairs: readonly (readonly [from: number, to: number])[]): void
  join(pairs: readonly (readonly [from: number, to: number])[]): void
  heal(): void
  isConnected(a: number, b: number): boolean
}

/** What belongs to one process. */
interface Attached {
  readonly endpoint: Endpoint
  readonly boot: number
  readonly random: Random
  plan: DialPlanState
  planWakesAt: Millis | null
  readonly addressed: Set<number>
  readonly waiting: Map<number, { readonly bytes: Uint8Array; readonly since: Millis }[]>
}

export function createNetwork(agenda: Agenda, random: Random, endpoints: readonly Endpoint[]): SimNetwork {
  const links = createLinks(endpoints.length)
  const followers = createFollowers()
  const indexOf = new Map(endpoints.map(({ node, index }) => [node, index]))
  const attached: (Attached | null)[] = endpoints.map(() => null)
  const weather: Weather = { loss: 0, duplication: 0, slowness: 1, reordering: 0, spikes: 0 }
  const counts: NetworkCounts = { sent: 0, delivered: 0, lost: 0, bytes: 0 }

  const latency = (): Millis => between(random, LATENCY_MS.min, LATENCY_MS.max) * weather.slowness
  /** Drawn only in such weather. */
  const heldUp = (share: number, ms: { readonly min: number; readonly max: number }): Millis =>
    share > 0 && chance(random, share) ? between(random, ms.min, ms.max) : 0
  const canHear = (from: number, to: number): boolean => !links.isBlocked(from, to)
  const canTalk = (a: number, b: number): boolean => canHear(a, b) && canHear(b, a)
  const live = (index: number, boot: number): Attached | null => {
    const one = attached[index] ?? null
    return one?.boot === boot ? one : null
  }

  // --- messages ---

  const carry = (sender: number, to: number, bytes: Uint8Array, delayMs: Millis, topic: string | null): void => {
    counts.sent += 1
    counts.bytes += bytes.length
    const copies = chance(random, weather.duplication) ? 2 : 1
    for (let copy = 0; copy < copies; copy++) {
      if (chance(random, weather.loss)) {
        counts.lost += 1
        continue
      }
      const connection = links.believed(to, sender)
      const heldUpMs = heldUp(weather.reordering, OVERTAKEN_MS) + heldUp(weather.spikes, SPIKE_MS)
      agenda.at(agenda.now() + delayMs * (1 + copy) + heldUpMs, () => {
        const receiver = attached[to] ?? null
        const isThere = receiver !== null && connection !== 0 && links.believed(to, sender) === connection
        if (!isThere || !canHear(sender, to) || (topic !== null && !followers.of(topic).has(to))) {
          counts.lost += 1
          return
        }
        counts.delivered += 1
        receiver.endpoint.receive(bytes, (endpoints[sender] as Endpoint).node, topic)
      })
    }
  }

  const send = (from: Attached, peer: NodeId, bytes: Uint8Array): void => {
    const to = indexOf.get(peer)
    const { index } = from.endpoint
    if (to === undefined) return
    if (links.believed(index, to) !== 0) return carry(index, to, bytes, latency(), null)
    const queue = from.waiting.get(to) ?? []
    queue.push({ bytes, since: agenda.now() })
    if (queue.length > WAITING_MAX) queue.shift()
    from.waiting.set(to, queue)
    if (isFindable(from, to)) dial(from, to, () => undefined)
  }

  const flushWaiting = (from: Attached, to: number): void => {
    const queue = from.waiting.get(to) ?? []
    from.waiting.delete(to)
    for (const { bytes, since } of queue) {
      if (agenda.now() - since <= WAITING_MS_MAX) carry(from.endpoint.index, to, bytes, latency(), null)
    }
  }

  /**
   * Hop by hop over open connections between followers; each hop takes its time and may lose the message for its
   * receiver. Where all `hearers` are one hop away there is no other.
   */
  const publish = (from: Attached, topic: string, bytes: Uint8Array, hearers: Hearers | null): void => {
    const following = followers.of(topic)
    const reached = new Set([from.endpoint.index])
    const near = new Set<NodeId>([from.endpoint.node])
    for (const peer of links.peersOf(from.endpoint.index)) {
      if (following.has(peer)) near.add((endpoints[peer] as Endpoint).node)
    }
    const isHeardByAll = hearers?.areAll === true && hearers.nodes.every((hearer) => near.has(hearer))
    let frontier: { readonly at: number; readonly delayMs: Millis }[] = [{ at: from.endpoint.index, delayMs: 0 }]
    while (frontier.length > 0) {
      const next: typeof frontier = []
      for (const { at, delayMs } of frontier) {
        for (const to of links.peersOf(at)) {
          if (reached.has(to) || !following.has(to) || !canHear(at, to)) continue
          reached.add(to)
          const total = delayMs + latency()
          carry(at, to, bytes, total, topic)
          next.push({ at: to, delayMs: total })
        }
      }
      frontier = isHeardByAll ? [] : next
    }
  }

  // --- connections ---

  /**
   * An address was told or is remembered, or somebody is there who can be asked: the private DHT knows where everyone
   * is.
   */
  const isFindable = (from: Attached, to: number): boolean =>
    from.addressed.has(to) || links.hasPeers(from.endpoint.index)

  const dial = (from: Attached, to: number, done: (isOpen: boolean) => void): void => {
    const { index } = from.endpoint
    const other = endpoints[to] as Endpoint
    if (links.believed(index, to) !== 0) return agenda.at(agenda.now(), () => done(true))
    const reachable = canTalk(index, to) && other.isPowered()
    const tookMs = reachable ? latency() * DIAL_ROUND_TRIPS : DIAL_TIMEOUT_MS
    agenda.at(agenda.now() + tookMs, () => {
      if (live(index, from.boot) === null) return
      if (links.believed(index, to) === 0 && reachable && canTalk(index, to) && other.isUp()) connect(index, to)
      done(links.believed(index, to) !== 0)
    })
  }

  const connect = (a: number, b: number): void => {
    const connection = links.open()
    const ends = [
      [a, b],
      [b, a],
    ] as const
    const isNew = ends.map(([near, far]) => links.believed(near, far) === 0)
    // Both ends first: what the one says as soon as it is told would not reach the other otherwise.
    for (const [near, far] of ends) links.believe(near, far, connection)
    for (const [end, [near, far]] of ends.entries()) {
      const one = attached[near] ?? null
      if (one === null) continue
      one.addressed.add(far)
      // Who still believes in an older connection notices nothing: one more came, and soon the dead one goes.
      if (isNew[end] !== true) continue
      tellPlan(one, { kind: 'connected', peer: (endpoints[far] as Endpoint).node, path: 'direct' })
      one.endpoint.onConnected(far)
      flushWaiting(one, far)
    }
  }

  const close = (near: number, far: number, connection: number): void => {
    if (links.believed(near, far) !== connection) return
    links.believe(near, far, 0)
    const one = attached[near] ?? null
    if (one === null) return
    tellPlan(one, { kind: 'disconnected', peer: (endpoints[far] as Endpoint).node })
    one.endpoint.onDisconnected(far)
  }

  const tellPlan = (one: Attached, input: DialPlanInput): void => {
    const now = agenda.now()
    const context: StepContext = { now, wall: now as number, random: one.random }
    const { state, effects } = stepDialPlan(one.plan, input, context)
    one.plan = state
    for (const effect of effects) followPlan(one, effect)
    const due = dialPlanWakeAt(one.plan)
    if (due === null || (one.planWakesAt !== null && one.planWakesAt <= due)) return
    // Woken just now, it has done what was due; one that is never through would keep time from passing.
    invariant(input.kind !== 'wake' || due > now, 'a dial plan wakes itself again and again')
    one.planWakesAt = due
    agenda.at(due, () => {
      if (live(one.endpoint.index, one.boot) === null) return
      one.planWakesAt = null
      tellPlan(one, { kind: 'wake' })
    })
  }

  const followPlan = (one: Attached, effect: DialPlanEffect): void => {
    const { peer, attempt, addresses, besides } = effect
    const to = indexOf.get(peer)
    const answer = (isOpen: boolean): void => {
      if (!besides) tellPlan(one, { kind: 'dialled', peer, attempt, outcome: isOpen ? 'connected' : 'failed' })
    }
    if (to === undefined || (addresses.length === 0 && !isFindable(one, to))) {
      agenda.at(agenda.now() + 1, () => {
        if (live(one.endpoint.index, one.boot) !== null) answer(false)
      })
      return
    }
    dial(one, to, answer)
  }

  /** A pair that cannot talk any more finds out after a while, each side for itself. */
  const noticeSilence = (a: number, b: number): void => {
    for (const [near, far] of [
      [a, b],
      [b, a],
    ] as const) {
      const connection = links.believed(near, far)
      if (connection === 0) continue
      agenda.at(agenda.now() + between(random, SILENCE_MS.min, SILENCE_MS.max), () => {
        const other = attached[far] ?? null
        const isDead = other === null || links.believed(far, near) !== connection
        if (isDead || !canTalk(near, far)) close(near, far, connection)
      })
    }
  }

  return {
    weather,
    counts,
    attach: (endpoint, ownRandom) => {
      const one: Attached = {
        endpoint,
        boot: endpoint.boot(),
        random: ownRandom,
        plan: createDialPlan(endpoint.node),
        planWakesAt: null,
        addressed: new Set(),
        waiting: new Map(),
      }
      attached[endpoint.index] = one
      return {
        send: (to, bytes) => send(one, to, bytes),
        publish: (topic, bytes, hearers) => publish(one, topic, bytes, hearers),
        follow: (topics) => followers.follow(endpoint.index, topics),
        want: (peers) => {
          for (const { peer, addresses } of peers) {
            const index = indexOf.get(peer)
            if (index !== undefined && addresses.length > 0) one.addressed.add(index)
          }
          tellPlan(one, { kind: 'want', peers })
        },
        fetchCredential: (_hash, _from, done) => agenda.at(agenda.now() + latency(), () => done(false)),
      }
    },
    detach: (endpoint, isSilent) => {
      attached[endpoint.index] = null
      followers.follow(endpoint.index, [])
      for (let peer = 0; peer < endpoints.length; peer++) {
        links.believe(endpoint.index, peer, 0)
        const connection = links.believed(peer, endpoint.index)
        if (connection === 0) continue
        if (isSilent || !canHear(endpoint.index, peer)) noticeSilence(peer, endpoint.index)
        else agenda.at(agenda.now() + latency(), () => close(peer, endpoint.index, connection))
      }
    },
    part: (pairs) => {
      for (const [from, to] of pairs) links.block(from, to)
      for (const [from, to] of pairs) noticeSilence(from, to)
    },
    join: (pairs) => {
      for (const [from, to] of pairs) links.unblock(from, to)
    },
    heal: () => links.clearBlocks(),
    isConnected: (a, b) => links.believed(a, b) !== 0 && links.believed(a, b) === links.believed(b, a),
  }
}
