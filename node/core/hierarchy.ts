// The node's seats in the tree: always one in its own cluster, and one more in each domain above for as long as it
// leads the one below. A domain's vote is kept by the domain, not by the node that happens to cast it: what a seat
// above persists is a proposal below.

import {
  type Announcement,
  type ChildFact,
  createElection,
  type ElectionEffect,
  type ElectionInput,
  type ElectionState,
  type ElectorMessage,
  type Fence,
  isElector,
  type LeaderBook,
  type OwnAnnouncement,
  seatKey,
  senderOf,
  step,
  wakeAt,
} from '../../election/index.ts'
import { invariant, unreachable } from '../../overlay/kernel/assert.ts'
import { emit } from '../../overlay/kernel/effect.ts'
import { type ChildId, type DomainPath, isDomain, type NodeId, parentOf } from '../../overlay/kernel/ids.ts'
import type { StepContext } from '../../overlay/kernel/machine.ts'
import { earliest, type Millis } from '../../overlay/kernel/time.ts'
import type { Opened } from '../../overlay/wire/envelope.ts'
import type { CoreEffect } from './effects.ts'
import type { Sink } from './news.ts'
import type { Hierarchy, HierarchyEvent, HierarchyOptions } from './seats.ts'

/** Announcements that a child domain may miss before it no longer counts as alive. */
const ANNOUNCEMENTS_MISSED_MAX = 3

interface Seat {
  readonly id: number
  readonly domain: DomainPath
  readonly self: ChildId
  /** The seat below whose register keeps this one's memory; null in the cluster, where the disk does. */
  readonly below: Seat | null
  state: ElectionState
  fence: Fence | null
  memory: Readonly<Record<string, Uint8Array>>
  /** This node's newest announcement of the domain: the proof by which it speaks for it above. */
  announced: Opened<Announcement> | null
  /** What waits for the seat's own register to be committed, by token. */
  readonly waiting: Map<string, { readonly of: Seat; readonly then: readonly ElectionEffect[] }>
}

export function createHierarchy(options: HierarchyOptions): Hierarchy {
  const { book, self } = options
  const timing = options.isFounding ? { ...options.timing, formationMs: 0 } : options.timing
  /** Lowest first; the one in the cluster never goes once it is there. */
  const seats: Seat[] = []
  const firstHeardAt = new Map<DomainPath, Millis>()
  const feeds: { readonly seat: Seat; readonly input: ElectionInput }[] = []
  let isFeeding = false
  let seatsMade = 0
  let tokensMade = 0
  /** When a child domain may stop counting as alive. */
  let reviewAt: Millis | null = null

  type Turn = readonly [context: StepContext, out: CoreEffect[], events: Sink<HierarchyEvent>]

  /**
   * One step at a time, with all its effects: a seat that hears of another's effect before that step is through could
   * have its write overtaken by an older one.
   */
  const feed = (seat: Seat, input: ElectionInput, ...turn: Turn): void => {
    feeds.push({ seat, input })
    if (isFeeding) return
    isFeeding = true
    for (let next = feeds.shift(); next !== undefined; next = feeds.shift()) {
      // What one seat was told may have closed the seats above it before their turn came.
      if (!seats.includes(next.seat)) continue
      const { state, effects } = step(next.seat.state, next.input, turn[0])
      next.seat.state = state
      for (const effect of effects) carryOut(next.seat, effect, ...turn)
    }
    isFeeding = false
  }

  const carryOut = (seat: Seat, effect: ElectionEffect, ...turn: Turn): void => {
    const [, out, events] = turn
    switch (effect.kind) {
      case 'lead':
        seat.fence = effect.fence
        seat.memory = effect.memory
        events.push({ kind: 'lead', domain: seat.domain, fence: effect.fence })
        openSeatAbove(seat, ...turn)
        return
      case 'unlead':
        closeSeatsAbove(seat, events)
        if (seat.fence !== null) events.push({ kind: 'unlead', domain: seat.domain })
        seat.fence = null
        seat.waiting.clear()
        return
      case 'committed': {
        const waited = seat.waiting.get(effect.token)
        seat.waiting.delete(effect.token)
        if (waited !== undefined && seats.includes(waited.of)) out.push(...translated(waited.of, waited.then))
        return
      }
      case 'persist':
        if (seat.below !== null) proposeBelow(seat, seat.below, effect.value, effect.then, ...turn)
        else out.push({ ...effect, then: translated(seat, effect.then) })
        return
      default:
        out.push(...translated(seat, [effect]))
    }
  }

  /** Effects that need nothing but a change of names; those that wait for a write are always such. */
  const translated = (seat: Seat, effects: readonly ElectionEffect[]): CoreEffect[] =>
    effects.flatMap((effect): CoreEffect[] => {
      switch (effect.kind) {
        case 'send': {
          const to = effect.to === seat.self ? self : book.nodeOf(effect.to)
          return to === null ? [] : [{ kind: 'send', to, message: effect.message }]
        }
        case 'again':
          return [
            { kind: 'again', input: { kind: 'election', domain: seat.domain, seat: seat.id, input: effect.input } },
          ]
        case 'announce':
          return [announce(seat, effect.announcement)]
        case 'emit':
          return [{ kind: 'emit', event: { ...effect.event, domain: seat.domain } }]
        case 'persist':
        case 'lead':
        case 'unlead':
        case 'committed':
          invariant(false, `an election effect ${effect.kind} does not wait for a write`)
          return []
        default:
          return unreachable(effect)
      }
    })

  const announce = (seat: Seat, own: OwnAnnouncement): CoreEffect => {
    const message: Announcement = { kind: 'election/announcement', ...own, node: self, ...options.face() }
    const parent = parentOf(seat.domain)
    const domains = parent === null ? [seat.domain] : [seat.domain, parent]
    return { kind: 'author', message, topics: domains.map((domain) => ({ domain, topic: 'leader' })) }
  }

  const proposeBelow = (
    seat: Seat,
    below: Seat,
    value: Uint8Array | null,
    then: readonly ElectionEffect[],
    ...turn: Turn
  ): void => {
    if (value === null) return
    tokensMade += 1
    const token = `${seat.domain} ${tokensMade}`
    below.waiting.set(token, { of: seat, then })
    feed(below, { kind: 'propose', key: seatKey(seat.domain), value, token }, ...turn)
  }

  const addSeat = (
    domain: DomainPath,
    child: ChildId,
    below: Seat | null,
    saved: Uint8Array | null,
    ...turn: Turn
  ): void => {
    const [context, out] = turn
    seatsMade += 1
    const speaker = below?.announced ?? null
    const { electorsMax } = options
    const { fitness } = options.face()
    const { state, damaged } = createElection(
      { domain, self: child, timing, electorsMax, fitness, speaker, saved },
      context,
    )
    if (damaged !== null) out.push(emit('vote-memory-damaged', { domain, detail: damaged }, 'warn'))
    const seat: Seat = {
      id: seatsMade,
      domain,
      self: child,
      below,
      state,
      fence: null,
      memory: {},
      announced: null,
      waiting: new Map(),
    }
    seats.push(seat)
    feed(seat, { kind: 'start' }, ...turn)
    feed(seat, { kind: 'children', children: childrenOf(seat, context.now) }, ...turn)
    const known = book.leaderOf(domain)
    if (known !== null) feed(seat, { kind: 'announced', announcement: known.announcement }, ...turn)
  }

  /**
   * The seat in the cluster. A newcomer takes it once it met a member: before that it cannot know of a line that
   * exists, and would only begin another.
   */
  const takeSeat = (...turn: Turn): void => addSeat(options.cluster, self, null, options.saved, ...turn)

  /** A seat above needs both: that the domain committed it as its leader, and the proof of that to show. */
  const openSeatAbove = (seat: Seat, ...turn: Turn): void => {
    const parent = parentOf(seat.domain)
    const isOpen = seats.some((other) => other.below === seat)
    if (parent === null || seat.fence === null || seat.announced === null || isOpen) return
    addSeat(parent, seat.domain, seat, seat.memory[seatKey(parent)] ?? null, ...turn)
  }

  const closeSeatsAbove = (seat: Seat, events: Sink<HierarchyEvent>): void => {
    const index = seats.indexOf(seat)
    for (const above of seats.splice(index + 1)) {
      if (above.fence !== null) events.push({ kind: 'unlead', domain: above.domain })
    }
  }

  const childrenOf = (seat: Seat, now: Millis): readonly ChildFact[] => {
    if (!isDomain(seat.self)) return options.members()
    const facts: ChildFact[] = []
    for (const domain of book.domains()) {
      const known = book.leaderOf(domain)
      if (known === null || parentOf(domain) !== seat.domain) continue
      const isOwn = domain === seat.self
      const alive = isOwn || now - known.heardAt < ANNOUNCEMENTS_MISSED_MAX * timing.announceMs
      const steadySince = firstHeardAt.get(domain) ?? now
      const fitness = isOwn ? options.face().fitness : known.announcement.fitness
      facts.push({ child: domain, alive, steadySince, fitness, canLead: true })
    }
    return facts
  }

  const review = (...turn: Turn): void => {
    const [context] = turn
    reviewAt = seats.length > 1 ? context.now + timing.announceMs : null
    for (const seat of [...seats]) feed(seat, { kind: 'children', children: childrenOf(seat, context.now) }, ...turn)
  }

  const learn = (opened: Opened<Announcement>, ...turn: Turn): void => {
    const [context, out, events] = turn
    const announcement = opened.message
    const { domain } = announcement
    const speakerBefore = book.nodeOf(domain)
    const isProven = book.leaderAt(domain, announcement) !== null
    const patienceMs = domain === options.cluster ? timing.quorumLossMs.cluster : timing.quorumLossMs.above
    const learned = book.learn(opened, context.now, patienceMs)
    const isProof = !isProven && book.leaderAt(domain, announcement) !== null
    if (isProof) events.push({ kind: 'proof-news', domain })
    if (isProof || (learned.ok && learned.value.isNews)) options.proofs.keep(opened, out)
    const own = seats.find((seat) => seat.domain === domain)
    if (!learned.ok) {
      // Another line of this node's own domain: the book keeps to the one it knows, but the elector must know of its
      // rival.
      const isRival =
        ['unconnected', 'older'].includes(learned.error) && own?.state.register?.line !== announcement.line
      if (own !== undefined && isRival) feed(own, { kind: 'announced', announcement }, ...turn)
      // Whoever leads a lower line without knowing of the higher one would be refused for ever: it has to hear what it
      // must rise above.
      const known = book.leaderOf(domain)?.opened ?? null
      const isUnaware = learned.error === 'older' && known !== null && known.message.line !== announcement.line
      if (isUnaware && opened.from !== self)
        out.push({ kind: 'send', to: opened.from, message: { kind: 'election/proof', announcement: known } })
      const fields = { domain, claimant: opened.from, reason: learned.error }
      if (learned.error !== 'older') out.push(emit('leadership-claim-refused', fields, isRival ? 'debug' : 'warn'))
      return
    }
    if (!firstHeardAt.has(domain)) firstHeardAt.set(domain, context.now)
    if (learned.value.isNews) events.push({ kind: 'leader-news', domain })
    if (own !== undefined && opened.from === self) showProof(own, opened, ...turn)
    else if (own !== undefined) feed(own, { kind: 'announced', announcement }, ...turn)
    onSpeaker(domain, speakerBefore, ...turn)
  }

  const showProof = (seat: Seat, opened: Opened<Announcement>, ...turn: Turn): void => {
    seat.announced = opened
    const above = seats.find((other) => other.below === seat)
    if (above === undefined) openSeatAbove(seat, ...turn)
    else feed(above, { kind: 'speaker', speaker: opened }, ...turn)
  }

  /** Another node now speaks for a child domain: what its predecessor promised by being connected is over. */
  const onSpeaker = (domain: DomainPath, before: NodeId | null, ...turn: Turn): void => {
    const above = seats.find((seat) => seat.domain === parentOf(domain))
    if (above === undefined || domain === above.self || before === book.nodeOf(domain)) return
    feed(above, { kind: 'children', children: childrenOf(above, turn[0].now) }, ...turn)
    if (before === null) return
    feed(above, { kind: 'connection-closed', child: domain }, ...turn)
    feed(above, { kind: 'connection-open', child: domain }, ...turn)
  }

  return {
    start: (...turn) => {
      if (options.saved !== null || options.isFounding) takeSeat(...turn)
    },
    onMessage: (opened, ...turn) => {
      const { message } = opened
      if (message.kind === 'election/announcement') return learn(opened as Opened<Announcement>, ...turn)
      if (message.kind === 'election/proof') return learn(message.announcement, ...turn)
      if (message.kind === 'election/proof-wanted') {
        const proof = book.proofAt(message.domain, message)
        if (proof !== null)
          turn[1].push({ kind: 'send', to: opened.from, message: { kind: 'election/proof', announcement: proof } })
        return
      }
      if ('speaker' in message && message.speaker !== null) learn(message.speaker, ...turn)
      const seat = seats.find((one) => one.domain === message.domain)
      if (seat === undefined) return
      const sender = senderOf(message)
      const speaks = sender === seat.self ? self : book.nodeOf(sender)
      if (speaks !== opened.from) {
        turn[1].push(
          emit('election-message-refused', { domain: message.domain, claims: sender, from: opened.from }, 'debug'),
        )
        return
      }
      feed(seat, { kind: 'message', opened: opened as Opened<ElectorMessage> }, ...turn)
    },
    onAgain: (domain, id, input, ...turn) => {
      const seat = seats.find((one) => one.domain === domain && one.id === id)
      if (seat !== undefined) feed(seat, input, ...turn)
    },
    onConnection: (peer, isOpen, ...turn) => {
      if (isOpen && seats.length === 0) takeSeat(...turn)
      const kind = isOpen ? 'connection-open' : 'connection-closed'
      for (const seat of [...seats]) {
        if (!isDomain(seat.self)) feed(seat, { kind, child: peer }, ...turn)
        else for (const child of domainsSpokenFor(book, peer, seat.domain)) feed(seat, { kind, child }, ...turn)
      }
    },
    onMembers: (...turn) => {
      const { fitness } = options.face()
      for (const seat of [...seats])
        if (seat.state.fitness !== fitness) feed(seat, { kind: 'fitness', fitness }, ...turn)
      review(...turn)
    },
    handOver: (...turn) => {
      for (const seat of [...seats].reverse()) feed(seat, { kind: 'transfer' }, ...turn)
    },
    onWake: (...turn) => {
      const { now } = turn[0]
      for (const seat of [...seats]) {
        const due = wakeAt(seat.state)
        if (due !== null && due <= now) feed(seat, { kind: 'wake' }, ...turn)
      }
      if (reviewAt !== null && reviewAt <= now) review(...turn)
    },
    wakeAt: () => earliest(reviewAt, ...seats.map((seat) => wakeAt(seat.state))),
    seats: () => seats,
    seatIn: (domain) => seats.find((seat) => seat.domain === domain) ?? null,
  }
}

/**
 * Whether this node holds the records of a domain: the electors of each of its children do, and in a cluster everybody.
 */
export function holdsStoreOf(hierarchy: Hierarchy, domain: DomainPath, cluster: DomainPath): boolean {
  if (domain === cluster) return true
  return hierarchy.seats().some((seat) => parentOf(seat.domain) === domain && isElector(seat.state))
}

function domainsSpokenFor(book: LeaderBook, peer: NodeId, parent: DomainPath): readonly DomainPath[] {
  return [...book.domains()].filter((domain) => parentOf(domain) === parent && book.nodeOf(domain) === peer)
}
