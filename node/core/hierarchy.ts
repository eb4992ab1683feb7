// The node's seats in the tree: always one in its own cluster, and one more in each domain above for as long as it
// leads the one below. A domain's vote is kept by the domain, not by the node that happens to cast it: what a seat
// above persists is a proposal below.

import {
  type Announcement,
  type ChildFact,
  childrenFrom,
  createElection,
  type ElectionEffect,
  type ElectionInput,
  type ElectorMessage,
  hasAbleHeir,
  heardAs,
  isTied,
  isTwinOf,
  isWitnessMessage,
  mayOpenAbove,
  objectionTo,
  seatKey,
  senderOf,
  step,
  type WitnessMessage,
  wakeAt,
} from '../../election/index.ts'
import { invariant } from '../../overlay/kernel/assert.ts'
import { emit } from '../../overlay/kernel/effect.ts'
import { type ChildId, type DomainPath, isDomain, type NodeId, parentOf } from '../../overlay/kernel/ids.ts'
import type { StepContext } from '../../overlay/kernel/machine.ts'
import { earlier, type Millis } from '../../overlay/kernel/time.ts'
import type { Opened } from '../../overlay/wire/envelope.ts'
import { createAnnouncer } from './announcing.ts'
import { createArrival } from './arrival.ts'
import { createChildDomains } from './child-domains.ts'
import type { CoreEffect } from './effects.ts'
import { areSucceeded, createHandOver } from './hand-over.ts'
import type { Sink } from './news.ts'
import type { Hierarchy, HierarchyEvent, HierarchyOptions, Seat } from './seats.ts'
import { translated } from './speech.ts'

export function createHierarchy(options: HierarchyOptions): Hierarchy {
  const { book, self } = options
  const timing = options.isFounding ? { ...options.timing, formationMs: 0 } : options.timing
  /** Lowest first; the one in the cluster never goes once it is there. */
  const seats: Seat[] = []
  const childDomains = createChildDomains(book, timing, options.face)
  const feeds: { readonly seat: Seat; readonly input: ElectionInput }[] = []
  const handOver = createHandOver(timing)
  const arrival = createArrival(book, options.cluster, timing.quorumLossMs.cluster)
  /**
   * Seats that were handed over and are still led under their old fence, until the heir leads: it stands above this one
   * in every fence, so what both say at once is in order. No longer than a lease, which is what was promised for it.
   */
  const lingering = new Map<Seat, Millis>()
  let isFeeding = false
  /** Until when the seat that is fed could count on its electors, as a leader. */
  let leaseUntil: Millis = Number.NEGATIVE_INFINITY
  let seatsMade = 0
  let tokensMade = 0
  /** When a child domain may stop counting as alive. */
  let reviewAt: Millis | null = null

  const announcer = createAnnouncer(self, book, timing)
  const speech = { self, book, face: options.face, topicsFor: announcer.topicsFor }
  const seatIn = (domain: DomainPath): Seat | undefined => seats.find((one) => one.domain === domain)
  const aboveOf = (seat: Seat): Seat | undefined => seats.find((other) => other.below === seat)

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
      const { role } = next.seat.state
      leaseUntil = role.kind === 'leader' ? role.leaseUntil : Number.NEGATIVE_INFINITY
      const { state, effects } = step(next.seat.state, next.input, turn[0])
      next.seat.state = state
      for (const effect of effects) carryOut(next.seat, effect, ...turn)
    }
    isFeeding = false
  }

  const endLingering = (seat: Seat, events: Sink<HierarchyEvent>): void => {
    lingering.delete(seat)
    closeSeatsAbove(seat, events)
    if (seat.fence !== null) events.push({ kind: 'unlead', domain: seat.domain })
    seat.fence = null
    seat.waiting.clear()
  }

  /** Until somebody else leads each of the domains that a seat was about, its own and those above, or too late. */
  const lingerOn = (...[{ now }, , events]: Turn): void => {
    for (const [seat, until] of [...lingering]) {
      // The end of one below it was its own.
      if (!seats.includes(seat)) continue
      if (now >= until || areSucceeded(seats.slice(seats.indexOf(seat)), book, self)) endLingering(seat, events)
    }
  }

  const carryOut = (seat: Seat, effect: ElectionEffect, ...turn: Turn): void => {
    const [, out, events] = turn
    switch (effect.kind) {
      case 'lead':
        if (lingering.has(seat)) endLingering(seat, events)
        seat.fence = effect.fence
        events.push({ kind: 'lead', domain: seat.domain, fence: effect.fence })
        out.push(...(aboveOf(seat)?.held.splice(0) ?? []))
        openSeatAbove(seat, ...turn)
        return
      case 'unlead':
        handOver.onUnlead(turn[0].now)
        if (handOver.isOngoing && leaseUntil > turn[0].now)
          lingering.set(seat, Math.min(leaseUntil, turn[0].now + timing.leaseMs))
        else endLingering(seat, events)
        return
      case 'committed': {
        const waited = seat.waiting.get(effect.token)
        seat.waiting.delete(effect.token)
        if (waited !== undefined && seats.includes(waited.of)) out.push(...sayAll(waited.of, waited.then))
        return
      }
      case 'persist':
        if (seat.below !== null) proposeBelow(seat, seat.below, effect.value, effect.then, ...turn)
        else out.push({ ...effect, then: sayAll(seat, effect.then) })
        return
      default:
        out.push(...sayAll(seat, [effect]))
    }
  }

  const sayAll = (seat: Seat, effects: readonly ElectionEffect[]): CoreEffect[] =>
    effects.flatMap((effect) => translated(seat, effect, speech))

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
    const { electorsMax, autonomy } = options
    const { fitness } = options.face()
    const { state, damaged } = createElection(
      { domain, self: child, timing, electorsMax, autonomy, fitness, speaker, saved },
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
      announced: null,
      held: [],
      waiting: new Map(),
    }
    seats.push(seat)
    feed(seat, { kind: 'start' }, ...turn)
    feed(seat, { kind: 'children', children: childrenOf(seat, context.now) }, ...turn)
    const known = book.leaderOf(domain)
    if (known !== null) hearOf(seat, known.announcement, ...turn)
  }

  const hearOf = (seat: Seat, announcement: Announcement, ...turn: Turn): void =>
    feed(seat, { kind: 'announced', announcement, granted: book.grantedLineOf(seat.domain) }, ...turn)

  const takeSeat = (...turn: Turn): void => addSeat(options.cluster, self, null, options.saved, ...turn)

  const takeSeatIfDue = (...turn: Turn): void => {
    if (seats.length === 0 && arrival.isOver(turn[0].now)) takeSeat(...turn)
  }

  const openSeatAbove = (seat: Seat, ...turn: Turn): void => {
    const parent = parentOf(seat.domain)
    if (parent === null || !mayOpenAbove(seat.state, seat.announced) || aboveOf(seat) !== undefined) return
    addSeat(parent, seat.domain, seat, seat.state.register?.memory[seatKey(parent)] ?? null, ...turn)
  }

  const closeSeatsAbove = (seat: Seat, events: Sink<HierarchyEvent>): void => {
    invariant(seats.includes(seat), 'only a seat that is there has others above it')
    for (const above of seats.splice(seats.indexOf(seat) + 1)) {
      lingering.delete(above)
      if (above.fence !== null) events.push({ kind: 'unlead', domain: above.domain })
    }
  }

  const childrenOf = ({ domain, self: own }: Seat, now: Millis): ReadonlyMap<ChildId, ChildFact> =>
    isDomain(own) ? childrenFrom(childDomains.factsIn(domain, own, now)) : options.members()

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
    // What this node's own machine says needs no patience: a line that was granted is ahead of the news that it was.
    const { cluster, above } = timing.quorumLossMs
    const patienceMs = opened.from === self ? 0 : domain === options.cluster ? cluster : above
    const learned = book.learn(opened, context.now, patienceMs)
    const isProof = !isProven && book.leaderAt(domain, announcement) !== null
    if (isProof) events.push({ kind: 'proof-news', domain })
    if (isProof || (learned.ok && learned.value.isNews)) options.proofs.keep(opened, out)
    const own = seatIn(domain)
    const objection = own === undefined || opened.from === self ? null : objectionTo(announcement, book)
    if (objection !== null)
      out.push({ kind: 'send', to: opened.from, message: { kind: 'election/proof', announcement: objection } })
    if (!learned.ok) {
      // Another line of this node's own domain: the book keeps to the one it knows, but the elector must know of its
      // rival.
      const isRival =
        ['unconnected', 'older'].includes(learned.error) && own?.state.register?.line !== announcement.line
      // Two leaders of one term: the one whose word came first must hear of the other.
      const isTwin = learned.error === 'older' && own !== undefined && isTwinOf(own.state, announcement)
      if (own !== undefined && (isRival || isTwin)) hearOf(own, announcement, ...turn)
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
    childDomains.onProven(domain, context.now)
    if (learned.value.isNews) events.push({ kind: 'leader-news', domain })
    takeSeatIfDue(...turn)
    if (own !== undefined && opened.from === self) showProof(own, opened, ...turn)
    else if (own !== undefined) hearOf(own, announcement, ...turn)
    onSpeaker(domain, speakerBefore, ...turn)
    lingerOn(...turn)
  }

  const showProof = (seat: Seat, opened: Opened<Announcement>, ...turn: Turn): void => {
    seat.announced = opened
    turn[1].push(...announcer.handed(opened))
    const above = aboveOf(seat)
    if (above === undefined) openSeatAbove(seat, ...turn)
    else feed(above, { kind: 'speaker', speaker: opened }, ...turn)
  }

  /** Another node now speaks for a child domain: what its predecessor promised by being connected is over. */
  const onSpeaker = (domain: DomainPath, before: NodeId | null, ...turn: Turn): void => {
    const above = seats.find((seat) => seat.domain === parentOf(domain))
    if (above === undefined || domain === above.self || before === book.nodeOf(domain)) return
    feed(above, { kind: 'children', children: childrenOf(above, turn[0].now) }, ...turn)
    if (before === null) return
    // A leader loses nobody by it: its elector speaks with another voice from now on.
    if (above.state.role.kind !== 'leader') feed(above, { kind: 'connection-closed', child: domain }, ...turn)
    feed(above, { kind: 'connection-open', child: domain }, ...turn)
  }

  const onWitness = (opened: Opened<WitnessMessage>, ...turn: Turn): void => {
    const heard = heardAs(opened, book)
    const seat = heard === null ? undefined : seatIn(heard.domain)
    if (heard !== null && seat !== undefined) feed(seat, heard.input, ...turn)
  }

  const handOverNext = (...turn: Turn): void => {
    const seat = handOver.next(seats, turn[0].now)
    if (seat !== null) feed(seat, { kind: 'transfer' }, ...turn)
  }

  return {
    start: (...turn) => {
      if (options.isFounding || isTied(options.saved)) takeSeat(...turn)
      else takeSeatIfDue(...turn)
    },
    onMessage: (opened, ...turn) => {
      const { message } = opened
      if (message.kind === 'election/announcement') return learn(opened as Opened<Announcement>, ...turn)
      if (message.kind === 'election/proof') return learn(message.announcement, ...turn)
      if (message.kind === 'election/proof-wanted') {
        const newest = message.epoch === 0 ? book.leaderOf(message.domain)?.opened : undefined
        for (const announcement of newest ? [newest] : book.wayTo(message.domain, message))
          turn[1].push({ kind: 'send', to: opened.from, message: { kind: 'election/proof', announcement } })
        return
      }
      if ('speaker' in message && message.speaker !== null) learn(message.speaker, ...turn)
      if (isWitnessMessage(message)) return onWitness(opened as Opened<WitnessMessage>, ...turn)
      const seat = seatIn(message.domain)
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
      if (!isOpen) arrival.onClosed(peer)
      const kind = isOpen ? 'connection-open' : 'connection-closed'
      for (const seat of [...seats]) {
        if (!isDomain(seat.self)) feed(seat, { kind, child: peer }, ...turn)
        else for (const child of childDomains.spokenForBy(peer, seat.domain)) feed(seat, { kind, child }, ...turn)
      }
    },
    onHeard: (peer, ...turn) => {
      if (seats.length > 0) return
      arrival.onHeard(peer, turn[0].now)
      takeSeatIfDue(...turn)
    },
    onMembers: (...turn) => {
      const { fitness } = options.face()
      for (const seat of [...seats])
        if (seat.state.fitness !== fitness) feed(seat, { kind: 'fitness', fitness }, ...turn)
      review(...turn)
    },
    recover: (domain, ...turn) => {
      const seat = seatIn(domain)
      if (seat !== undefined) feed(seat, { kind: 'recover' }, ...turn)
    },
    handOver: (...turn) => {
      handOver.begin()
      handOverNext(...turn)
    },
    hasAbleHeir: () => {
      const seat = seatIn(options.cluster)
      return seat !== undefined && hasAbleHeir(seat.state)
    },
    isHandedOver: () => handOver.isDone && lingering.size === 0,
    onWake: (...turn) => {
      const { now } = turn[0]
      takeSeatIfDue(...turn)
      for (const seat of [...seats]) {
        const due = wakeAt(seat.state)
        if (due !== null && due <= now) feed(seat, { kind: 'wake' }, ...turn)
      }
      if (reviewAt !== null && reviewAt <= now) review(...turn)
      lingerOn(...turn)
      handOverNext(...turn)
    },
    wakeAt: () => {
      let at = earlier(reviewAt, handOver.wakeAt())
      if (seats.length === 0) at = earlier(at, arrival.wakeAt())
      for (const until of lingering.values()) at = earlier(at, until)
      for (const seat of seats) at = earlier(at, wakeAt(seat.state))
      return at
    },
    seats: () => seats,
    seatIn: (domain) => seatIn(domain) ?? null,
  }
}
