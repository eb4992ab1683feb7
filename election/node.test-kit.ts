// One running node of a test: its seats in the tree, joined as a node's core joins them. What a seat above persists
// is a proposal below, and a seat above is there for as long as this node leads the domain below.

import assert from 'node:assert/strict'
import { emit } from '../overlay/kernel/effect.ts'
import { type ChildId, type DomainPath, isDomain, type NodeId, parentOf } from '../overlay/kernel/ids.ts'
import type { StepContext } from '../overlay/kernel/machine.ts'
import type { Millis } from '../overlay/kernel/time.ts'
import type { Opened } from '../overlay/wire/envelope.ts'
import type { ElectionTiming } from './constants.ts'
import { step, wakeAt } from './election.ts'
import { createLeaderBook, type LeaderBook } from './leaders.ts'
import {
  type Announcement,
  type ElectionMessage,
  type ElectorMessage,
  isWitnessMessage,
  senderOf,
  type WitnessMessage,
} from './messages.ts'
import { seatKey } from './saved.ts'
import { mayOpenAbove, waitsForBelow } from './speaking.ts'
import {
  type Autonomy,
  type ChildFact,
  childrenFrom,
  createElection,
  type ElectionEffect,
  type ElectionInput,
  type ElectionState,
  type Fence,
} from './state.ts'
import { clusterOf, sealerOf } from './wire.test-kit.ts'
import { addressed, heardAs, objectionTo } from './witness.ts'

export interface NodePorts {
  readonly timing: ElectionTiming
  readonly electorsMax: number
  readonly autonomy: Autonomy
  readonly context: () => StepContext
  readonly roster: () => readonly ChildFact[]
  readonly read: (key: string) => Uint8Array | null
  readonly write: (key: string, value: Uint8Array | null, done: () => void) => void
  readonly send: (to: NodeId, bytes: Uint8Array) => void
  readonly publish: (bytes: Uint8Array) => void
  readonly fitness: () => number
  readonly watch: Watch
}

/** What the checkers of a test are told. */
export interface Watch {
  onSealed(node: NodeId, message: ElectionMessage): void
  onStep(node: NodeId, state: ElectionState): void
  onEffect(node: NodeId, state: ElectionState, effect: ElectionEffect): void
}

export interface Seat {
  readonly domain: DomainPath
  readonly self: ChildId
  readonly below: Seat | null
  state: ElectionState
  fence: Fence | null
  proof: Opened<Announcement> | null
  /** What it said before its domain had established its leader, who speaks for it: said once it has. */
  held: (() => void)[]
  readonly waiting: Map<string, readonly ElectionEffect[]>
}

export interface TestNode {
  readonly book: LeaderBook
  readonly seats: readonly Seat[]
  receive(bytes: Uint8Array): void
  connection(peer: NodeId, isOpen: boolean): void
  /** Tells every seat who is there. */
  review(): void
  input(domain: DomainPath, input: ElectionInput): void
  wake(): void
  wakeAt(): Millis | null
}

export function startNode(self: NodeId, ports: NodePorts): TestNode {
  const { timing, context, watch } = ports
  const sealer = sealerOf(self)
  const book = createLeaderBook()
  const seats: Seat[] = []
  const heardFirst = new Map<DomainPath, Millis>()
  const jobs: (() => void)[] = []
  let isBusy = false
  let tokens = 0

  /** One thing at a time, in order: what a step wants done is done before the next step. */
  const enqueue = (job: () => void): void => {
    jobs.push(job)
    if (isBusy) return
    isBusy = true
    for (let next = jobs.shift(); next !== undefined; next = jobs.shift()) next()
    isBusy = false
  }

  const feed = (seat: Seat, input: ElectionInput): void =>
    enqueue(() => {
      if (!seats.includes(seat)) return
      const { state, effects } = step(seat.state, input, context())
      seat.state = state
      watch.onStep(self, state)
      for (const effect of effects) carryOut(seat, effect)
    })

  const carryOut = (seat: Seat, effect: ElectionEffect): void => {
    watch.onEffect(self, seat.state, effect)
    switch (effect.kind) {
      case 'send': {
        const say = (): void => {
          const to = effect.to === seat.self ? self : book.nodeOf(effect.to)
          if (to !== null) send(to, effect.message)
        }
        if (waitsForBelow(seat, effect.message)) seat.held.push(say)
        else say()
        return
      }
      case 'persist':
        persist(seat, effect)
        return
      case 'again':
        feed(seat, effect.input)
        return
      case 'announce': {
        const face = { node: self, name: self, addresses: [], fitness: ports.fitness() }
        const proof = seal({ kind: 'election/announcement', ...effect.announcement, ...face })
        enqueue(() => learn(proof as Opened<Announcement>))
        ports.publish(proof.bytes)
        return
      }
      case 'lead':
        seat.fence = effect.fence
        for (const say of seats.find((other) => other.below === seat)?.held.splice(0) ?? []) say()
        enqueue(() => openAbove(seat))
        return
      case 'unlead':
        seat.fence = null
        seat.waiting.clear()
        seats.splice(seats.indexOf(seat) + 1)
        return
      case 'committed': {
        const effects = seat.waiting.get(effect.token) ?? []
        const above = seats.find((other) => other.below === seat)
        if (above !== undefined) for (const waited of effects) carryOut(above, waited)
        return
      }
      case 'ask-parent':
      case 'roll-call': {
        const known = addressed(effect, book)
        if (known !== null) send(known.to, known.message)
        return
      }
      case 'emit':
        return
    }
  }

  const persist = (seat: Seat, effect: Extract<ElectionEffect, { kind: 'persist' }>): void => {
    const { below } = seat
    const { value } = effect
    const goOn = (): void => {
      if (seats.includes(seat)) for (const waited of effect.then) carryOut(seat, waited)
    }
    if (below === null) ports.write(effect.key, value, () => enqueue(goOn))
    if (below === null || value === null) return
    tokens += 1
    const token = `${seat.domain} ${tokens}`
    below.waiting.set(token, effect.then)
    feed(below, { kind: 'propose', key: seatKey(seat.domain), value, token })
  }

  const seal = (message: ElectionMessage): Opened<ElectionMessage> => {
    watch.onSealed(self, message)
    return sealer.seal(message)
  }

  const send = (to: NodeId, message: ElectionMessage): void => {
    const { bytes } = seal(message)
    if (to === self) enqueue(() => receive(bytes))
    else ports.send(to, bytes)
  }

  const addSeat = (domain: DomainPath, child: ChildId, below: Seat | null, saved: Uint8Array | null): void => {
    const speaker = below?.proof ?? null
    const { electorsMax, autonomy } = ports
    const options = { domain, self: child, timing, electorsMax, autonomy, fitness: ports.fitness(), speaker, saved }
    const { state, damaged } = createElection(options, context())
    const seat: Seat = { domain, self: child, below, state, fence: null, proof: null, held: [], waiting: new Map() }
    if (damaged !== null) watch.onEffect(self, state, emit('vote-memory-damaged', { detail: damaged }))
    seats.push(seat)
    feed(seat, { kind: 'start' })
    feed(seat, { kind: 'children', children: childrenOf(seat) })
    const known = book.leaderOf(domain)
    if (known !== null) hearOf(seat, known.announcement)
  }

  const hearOf = (seat: Seat, announcement: Announcement): void =>
    feed(seat, { kind: 'announced', announcement, granted: book.grantedLineOf(seat.domain) })

  const openAbove = (seat: Seat): void => {
    const parent = parentOf(seat.domain)
    const isOpen = seats.some((other) => other.below === seat)
    if (parent === null || !mayOpenAbove(seat.state, seat.proof) || isOpen || !seats.includes(seat)) return
    addSeat(parent, seat.domain, seat, seat.state.register?.memory[seatKey(parent)] ?? null)
  }

  const childrenOf = (seat: Seat): ReadonlyMap<ChildId, ChildFact> => {
    if (!isDomain(seat.self)) return childrenFrom(ports.roster())
    const { now } = context()
    const facts = [...book.domains()].flatMap((domain): ChildFact[] => {
      const known = book.leaderOf(domain)
      if (known === null || parentOf(domain) !== seat.domain) return []
      const alive = domain === seat.self || now - known.heardAt < 3 * timing.announceMs
      const { fitness } = known.announcement
      return [{ child: domain, alive, steadySince: heardFirst.get(domain) ?? now, fitness, canLead: true }]
    })
    return childrenFrom(facts)
  }

  const learn = (opened: Opened<Announcement>): void => {
    const { now } = context()
    const announcement = opened.message
    const { domain } = announcement
    const before = book.nodeOf(domain)
    const learned = book.learn(opened, now, opened.from === self ? 0 : timing.quorumLossMs.cluster)
    const own = seats.find((seat) => seat.domain === domain)
    const isOtherLine = own !== undefined && own.state.register?.line !== announcement.line
    const isRival = !learned.ok && ['unconnected', 'older'].includes(learned.error) && isOtherLine
    if (own !== undefined && opened.from !== self && (learned.ok || isRival)) hearOf(own, announcement)
    const objection = own === undefined || opened.from === self ? null : objectionTo(announcement, book)
    if (objection !== null) send(opened.from, { kind: 'election/proof', announcement: objection })
    const known = book.leaderOf(domain)?.opened ?? null
    const isUnaware = !learned.ok && learned.error === 'older' && known?.message.line !== announcement.line
    if (isUnaware && known !== null && opened.from !== self)
      send(opened.from, { kind: 'election/proof', announcement: known })
    if (!learned.ok) return
    if (!heardFirst.has(domain)) heardFirst.set(domain, now)
    if (own !== undefined && opened.from === self) showProof(own, opened)
    const above = seats.find((seat) => seat.domain === parentOf(domain))
    if (above === undefined || above.self === domain || before === book.nodeOf(domain)) return
    feed(above, { kind: 'children', children: childrenOf(above) })
    if (before === null) return
    if (above.state.role.kind !== 'leader') feed(above, { kind: 'connection-closed', child: domain })
    feed(above, { kind: 'connection-open', child: domain })
  }

  const domainsOf = (peer: NodeId, parent: DomainPath): readonly DomainPath[] =>
    [...book.domains()].filter((domain) => parentOf(domain) === parent && book.nodeOf(domain) === peer)

  const showProof = (seat: Seat, proof: Opened<Announcement>): void => {
    seat.proof = proof
    const above = seats.find((other) => other.below === seat)
    if (above === undefined) openAbove(seat)
    else feed(above, { kind: 'speaker', speaker: proof })
  }

  const receive = (bytes: Uint8Array): void => {
    const opened = sealer.open(bytes)
    assert.ok(opened.ok, 'a test sends only what can be read')
    const { message, from } = opened.value
    if (message.kind === 'election/announcement') {
      learn(opened.value as Opened<Announcement>)
      return
    }
    if (message.kind === 'election/proof') return learn(message.announcement)
    if (isWitnessMessage(message)) return onWitness(opened.value as Opened<WitnessMessage>)
    if (message.kind === 'election/proof-wanted') return
    if ('speaker' in message && message.speaker !== null) learn(message.speaker)
    const seat = seats.find((one) => one.domain === message.domain)
    const sender = senderOf(message)
    if (seat === undefined || (sender === seat.self ? self : book.nodeOf(sender)) !== from) return
    feed(seat, { kind: 'message', opened: opened.value as Opened<ElectorMessage> })
  }

  const onWitness = (opened: Opened<WitnessMessage>): void => {
    const heard = heardAs(opened, book)
    const seat = seats.find((one) => one.domain === heard?.domain)
    if (heard !== null && seat !== undefined) feed(seat, heard.input)
  }

  addSeat(clusterOf(self), self, null, ports.read(`election/${clusterOf(self)}`))

  return {
    book,
    seats,
    receive: (bytes) => enqueue(() => receive(bytes)),
    connection: (peer, isOpen) => {
      const kind = isOpen ? 'connection-open' : 'connection-closed'
      for (const seat of [...seats]) {
        if (!isDomain(seat.self)) feed(seat, { kind, child: peer })
        else for (const child of domainsOf(peer, seat.domain)) feed(seat, { kind, child })
      }
    },
    review: () => {
      const fitness = ports.fitness()
      for (const seat of [...seats]) if (seat.state.fitness !== fitness) feed(seat, { kind: 'fitness', fitness })
      for (const seat of [...seats]) feed(seat, { kind: 'children', children: childrenOf(seat) })
    },
    input: (domain, input) => {
      for (const seat of [...seats]) if (seat.domain === domain) feed(seat, input)
    },
    wake: () => {
      for (const seat of [...seats]) {
        if (!seats.includes(seat)) continue
        const due = wakeAt(seat.state)
        if (due === null || due > context().now) continue
        feed(seat, { kind: 'wake' })
        const next = wakeAt(seat.state)
        assert.ok(next === null || next > context().now, `after a wake ${seat.domain} is due later`)
      }
    },
    wakeAt: () => seats.reduce<Millis | null>((first, seat) => earlier(first, wakeAt(seat.state)), null),
  }
}

const earlier = (a: Millis | null, b: Millis | null): Millis | null =>
  a === null ? b : b === null ? a : Math.min(a, b)
