// Some nodes, one seed, and a clock that jumps from event to event. The network delays, loses, reorders and parts; a
// disk takes its time, and a crash forgets what was not yet on it. The rules of `checks.test-kit.ts` hold at every
// step.

import assert from 'node:assert/strict'
import { type DomainPath, type NodeId, parseDomainPath } from '../overlay/kernel/ids.ts'
import { randomInt, seededRandom } from '../overlay/kernel/random.ts'
import type { Millis } from '../overlay/kernel/time.ts'
import { createAgenda } from './agenda.test-kit.ts'
import { createChecks, type TestEvent } from './checks.test-kit.ts'
import { ELECTION_TIMINGS, type ElectionTiming } from './constants.ts'
import type { Announcement, ElectionMessage, Vote } from './messages.ts'
import { type Seat, startNode, type TestNode } from './node.test-kit.ts'
import { type RecoveryProblem, recoveryProblem } from './operator-order.ts'
import type { Autonomy, ChildFact } from './state.ts'
import { clusterOf, nodes, sealBy } from './wire.test-kit.ts'

export interface Weather {
  /** Share of messages that get lost, 0 to 1. */
  readonly loss: number
  /** A message takes between the two. */
  readonly latencyMs: { readonly min: Millis; readonly max: Millis }
}

/** A local network on a good day. */
export const CALM: Weather = { loss: 0, latencyMs: { min: 1, max: 5 } }

export interface WorldOptions {
  readonly seed: number
  /** How many nodes each cluster has, by its name. */
  readonly clusters: Readonly<Record<string, number>>
  readonly timing?: Partial<ElectionTiming>
  readonly electorsMax?: number
  readonly autonomy?: Autonomy
  /** 0 to 1. */
  readonly loss?: number
  readonly persistMsMax?: Millis
  /** Each node notices within so long, by itself, that a connection closed: a busy one late. */
  readonly noticeMsMax?: Millis
  /** Whether a node crashes in the very moment in which it gave a vote away, or promised to remember something. */
  readonly crash?: (node: NodeId, promise: 'vote' | 'commit', domain: DomainPath) => boolean
}

/** As `lan`, but a child is steady after a second, so that a test need not live through ten of them. */
export const QUICK: Partial<ElectionTiming> = { steadyMs: 1_000, announceMs: 2_000 }

const REVIEW_MS = 500
/** Of every node that was given no other. */
const FITNESS = 0.5

interface Machine {
  readonly id: NodeId
  readonly disk: Map<string, Uint8Array | null>
  readonly seenSince: Map<NodeId, Millis>
  process: TestNode | null
  boot: number
  bootedAt: Millis
  diskFreeAt: Millis
  pending: { readonly key: string; readonly value: Uint8Array | null }[]
}

export interface World {
  now(): Millis
  run(ms: Millis): void
  /** Runs until the condition holds and returns how long it took; fails after `limitMs`. */
  until(what: string, condition: () => boolean, limitMs: Millis): Millis
  start(id: NodeId): void
  /** The process ends: its connections close at once. */
  kill(id: NodeId): void
  /** The power goes: nobody is told. */
  cutPower(id: NodeId): void
  /** With `lostDisk` the node has to begin anew. */
  restart(id: NodeId, lostDisk?: boolean): void
  /** The power goes, and what the node knew as an elector is something else when it comes back. */
  damage(id: NodeId, change: (saved: Uint8Array) => Uint8Array): void
  /** Only nodes of the same group still hear each other; nobody is told. */
  part(...groups: readonly (readonly NodeId[])[]): void
  /** Only what this allows is still heard; nobody is told. What is gossiped finds its way through others. */
  link(hears: (from: NodeId, to: NodeId) => boolean): void
  heal(): void
  setWeather(weather: Partial<Weather>): void
  setFitness(id: NodeId, fitness: number): void
  seat(id: NodeId, domain?: DomainPath): Seat | null
  /** The nodes that give orders in a domain. */
  leaders(domain: DomainPath): readonly NodeId[]
  /** The one node that every living node of the domain's clusters takes for the leader, if they all agree. */
  agreed(domain: DomainPath): NodeId | null
  /** The leadership of a domain as a node knows it. */
  known(id: NodeId, domain: DomainPath): Announcement | null
  transfer(id: NodeId, domain: DomainPath): void
  /** An operator's order to go on without the majority; returns why it is refused. */
  recover(id: NodeId, domain: DomainPath): RecoveryProblem | null
  /** A node says something that its own machine never decided to say. */
  say(from: NodeId, to: NodeId, message: ElectionMessage): void
  /** Has the leader remember the next number; `committed` tells which of them it promised to remember. */
  propose(domain: DomainPath): void
  committed(domain: DomainPath): number
  readonly all: readonly NodeId[]
  readonly votes: readonly Vote[]
  readonly events: readonly TestEvent[]
}

export const domainOf = (text: string): DomainPath => {
  const path = parseDomainPath(text)
  assert.ok(path.ok)
  return path.value
}

export function createWorld(options: WorldOptions): World {
  const random = seededRandom(options.seed)
  const timing: ElectionTiming = { ...ELECTION_TIMINGS.lan, ...options.timing }
  const all = Object.entries(options.clusters).flatMap(([cluster, count]) => nodes(cluster, count))
  const machines = new Map(all.map((id): [NodeId, Machine] => [id, newMachine(id)]))
  const agenda = createAgenda()
  const checks = createChecks({
    now: () => now,
    diskOf: (node) => machineOf(node).disk,
    onPromise: (node, promise, domain) => {
      if (options.crash?.(node, promise, domain)) at(now, () => world.restart(node))
    },
  })
  const proposed = new Map<DomainPath, number>()
  const fitness = new Map<NodeId, number>()
  let weather: Weather = { ...CALM, loss: options.loss ?? 0 }
  let hears: (from: NodeId, to: NodeId) => boolean = () => true
  let now: Millis = 0

  const machineOf = (id: NodeId): Machine => {
    const machine = machines.get(id)
    assert.ok(machine !== undefined)
    return machine
  }
  const isUp = (id: NodeId): boolean => machineOf(id).process !== null
  const fitnessOf = (id: NodeId): number => fitness.get(id) ?? FITNESS
  const latency = (): Millis => {
    const { min, max } = weather.latencyMs
    return min + random.next() * (max - min)
  }
  /** Those that word of a node gets to, hop by hop, with the number of hops. */
  const hopsFrom = (from: NodeId): ReadonlyMap<NodeId, number> => {
    const hops = new Map([[from, 0]])
    for (const [at, count] of hops) {
      for (const to of all) if (!hops.has(to) && isUp(to) && hears(at, to)) hops.set(to, count + 1)
    }
    return hops
  }
  const at = (when: Millis, run: () => void): void => agenda.add(when, run)

  const deliver = (from: NodeId, to: NodeId, bytes: Uint8Array): void => {
    if (random.next() < weather.loss) return
    at(now + latency(), () => {
      if (hears(from, to)) turn(to, (process) => process.receive(bytes))
    })
  }

  const publish = (from: NodeId, bytes: Uint8Array): void => {
    for (const [to, hops] of hopsFrom(from)) {
      if (hops === 0 || random.next() < weather.loss) continue
      at(now + hops * latency(), () => turn(to, (process) => process.receive(bytes)))
    }
  }

  /** Lets a node do something, and sees to it that it is woken in time. */
  const turn = (id: NodeId, act: (process: TestNode) => void): void => {
    const machine = machineOf(id)
    const { process, boot } = machine
    if (process === null) return
    act(process)
    const due = process.wakeAt()
    if (due === null) return
    at(due - offsetOf(machine), () => {
      const isDue = machine.boot === boot && (process.wakeAt() ?? Number.POSITIVE_INFINITY) <= now + offsetOf(machine)
      if (isDue) turn(id, () => process.wake())
    })
  }

  const rosterOf = (machine: Machine): readonly ChildFact[] => {
    const reached = hopsFrom(machine.id)
    return all
      .filter((peer) => clusterOf(peer) === clusterOf(machine.id))
      .map((child) => {
        const alive = reached.has(child)
        if (!alive) machine.seenSince.delete(child)
        const seenSince = machine.seenSince.get(child) ?? now
        if (alive) machine.seenSince.set(child, seenSince)
        const steadySince = Math.max(seenSince, machineOf(child).bootedAt) + offsetOf(machine)
        return { child, alive, steadySince, fitness: fitnessOf(child), canLead: true }
      })
  }

  const write = (machine: Machine, key: string, value: Uint8Array | null, done: () => void): void => {
    const { boot } = machine
    const entry = { key, value }
    machine.pending.push(entry)
    machine.diskFreeAt = Math.max(machine.diskFreeAt, now) + 1 + random.next() * (options.persistMsMax ?? 5)
    at(machine.diskFreeAt, () => {
      if (machine.boot !== boot) return
      machine.pending.shift()
      machine.disk.set(key, value)
      turn(machine.id, done)
    })
  }

  const start = (id: NodeId): void => {
    const machine = machineOf(id)
    machine.boot += 1
    machine.bootedAt = now
    const { boot } = machine
    machine.process = startNode(id, {
      timing,
      electorsMax: options.electorsMax ?? 5,
      autonomy: options.autonomy ?? 'automatic',
      context: () => ({ now: now + offsetOf(machine), wall: now as number, random }),
      roster: () => rosterOf(machine),
      read: (key) => machine.disk.get(key) ?? null,
      write: (key, value, done) => write(machine, key, value, done),
      send: (to, bytes) => deliver(id, to, bytes),
      publish: (bytes) => publish(id, bytes),
      fitness: () => fitnessOf(id),
      watch: checks.watch,
    })
    turn(id, () => undefined)
    for (const peer of all) {
      if (peer !== id && hears(id, peer))
        at(now + latency(), () => turn(peer, (process) => process.connection(id, true)))
    }
    const review = (): void => {
      if (machine.boot !== boot || machine.process === null) return
      turn(id, (process) => process.review())
      at(now + REVIEW_MS, review)
    }
    at(now + random.next() * REVIEW_MS, review)
  }

  const cutPower = (id: NodeId): void => {
    const machine = machineOf(id)
    machine.process = null
    machine.boot += 1
    // Of the writes on their way some first ones may be on the disk all the same; nobody was told.
    for (const { key, value } of machine.pending.slice(0, randomInt(random, 0, machine.pending.length + 1))) {
      machine.disk.set(key, value)
    }
    machine.pending = []
    machine.diskFreeAt = now
  }

  const world: World = {
    all,
    votes: checks.votes,
    events: checks.events,
    now: () => now,
    run: (ms) => {
      const end = now + ms
      for (let next = agenda.take(end); next !== null; next = agenda.take(end)) {
        now = Math.max(now, next.at)
        next.run()
      }
      now = end
    },
    until: (what, condition, limitMs) => {
      const began = now
      while (!condition()) {
        assert.ok(now - began < limitMs, `${what} takes more than ${limitMs} ms (seed ${options.seed})`)
        const next = agenda.take(began + limitMs)
        now = next === null ? began + limitMs : Math.max(now, next.at)
        next?.run()
      }
      return now - began
    },
    start,
    cutPower,
    kill: (id) => {
      cutPower(id)
      for (const peer of all) {
        if (peer === id || !hears(id, peer)) continue
        // A connection closes after all that was said over it.
        const noticeMs = options.noticeMsMax === undefined ? 0 : random.next() * options.noticeMsMax
        at(now + weather.latencyMs.max + noticeMs, () => {
          if (machineOf(id).process === null) turn(peer, (process) => process.connection(id, false))
        })
      }
    },
    restart: (id, lostDisk = false) => {
      if (machineOf(id).process !== null) cutPower(id)
      if (lostDisk) checks.onDiskLost()
      if (lostDisk) machineOf(id).disk.clear()
      start(id)
    },
    damage: (id, change) => {
      const { disk } = machineOf(id)
      const key = `election/${clusterOf(id)}`
      cutPower(id)
      checks.onDiskLost()
      const saved = disk.get(key)
      assert.ok(saved)
      disk.set(key, change(saved))
    },
    part: (...groups) => world.link((a, b) => groups.some((group) => group.includes(a) && group.includes(b))),
    link: (allows) => {
      hears = allows
    },
    heal: () => world.link(() => true),
    setWeather: (change) => {
      weather = { ...weather, ...change }
    },
    setFitness: (id, value) => void fitness.set(id, value),
    seat: (id, domain = clusterOf(id)) => machineOf(id).process?.seats.find((one) => one.domain === domain) ?? null,
    leaders: (domain) => all.filter((id) => (world.seat(id, domain)?.fence ?? null) !== null),
    agreed: (domain) => {
      const living = all.filter((id) => machineOf(id).process !== null && clusterOf(id).startsWith(domain))
      const known = new Set(living.map((id) => world.known(id, domain)?.node))
      const [one] = known
      const isLeading = one !== undefined && known.size === 1 && world.leaders(domain).join() === one
      return isLeading ? one : null
    },
    known: (id, domain) => machineOf(id).process?.book.leaderOf(domain)?.announcement ?? null,
    transfer: (id, domain) => turn(id, (process) => process.input(domain, { kind: 'transfer' })),
    recover: (id, domain) => {
      const seat = world.seat(id, domain)
      assert.ok(seat !== null)
      const problem = recoveryProblem(seat.state, now + offsetOf(machineOf(id)))
      turn(id, (process) => process.input(domain, { kind: 'recover' }))
      return problem
    },
    say: (from, to, message) => deliver(from, to, sealBy(from, message).bytes),
    propose: (domain) => {
      const [leader] = world.leaders(domain)
      if (leader === undefined) return
      const value = (proposed.get(domain) ?? 0) + 1
      proposed.set(domain, value)
      const bytes = Uint8Array.from([value >> 8, value & 255])
      turn(leader, (process) =>
        process.input(domain, { kind: 'propose', key: 'count', value: bytes, token: `count ${value}` }),
      )
    },
    committed: (domain) => Math.max(0, ...checks.committed(domain)),
  }
  for (const id of all) start(id)
  return world
}

const newMachine = (id: NodeId): Machine => ({
  id,
  disk: new Map(),
  seenSince: new Map(),
  process: null,
  boot: 0,
  bootedAt: 0,
  diskFreeAt: 0,
  pending: [],
})

/** Every boot has a monotonic clock of its own, so nothing may compare two of them. */
const offsetOf = (machine: Machine): Millis => (machine.id.charCodeAt(machine.id.length - 1) * 7 + machine.boot) * 1_000
