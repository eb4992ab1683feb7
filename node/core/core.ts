// One node's mind: all machines as one. An input goes to the machines that it concerns; what they decide becomes
// effects for the host, and what one of them learned is told to the others, in this file and nowhere else.

import { type Autonomy, createLeaderBook, ELECTION_TIMINGS, ELECTORS_MAX_DEFAULT } from '../../election/index.ts'
import { unreachable } from '../../overlay/kernel/assert.ts'
import type { DomainEvent } from '../../overlay/kernel/effect.ts'
import { chainOf, type DomainPath, type NodeId } from '../../overlay/kernel/ids.ts'
import type { StepContext } from '../../overlay/kernel/machine.ts'
import { earlier, type Millis } from '../../overlay/kernel/time.ts'
import type { SignerFacts } from '../../overlay/wire/envelope.ts'
import { PLACEMENT_TIMING } from '../../placement/index.ts'
import type { StoreView } from '../../services-registry/index.ts'
import type { Preset } from '../options.ts'
import { leaderFields } from './announcing.ts'
import { createAsking } from './asking.ts'
import { createAudit } from './audit.ts'
import { type CoreView, coreView } from './core-view.ts'
import { discreet } from './discretion.ts'
import type { CoreEffect, CoreInput, WantedNode } from './effects.ts'
import { createHierarchy } from './hierarchy.ts'
import { holdsStoreOf } from './holding.ts'
import { createIntake, replaceableSeats } from './intake.ts'
import { createInventories } from './inventories.ts'
import type { CoreMemory } from './memory.ts'
import { createNames } from './names.ts'
import { createNeighbours, topicsOf } from './neighbours.ts'
import type { News } from './news.ts'
import { createPlacing, type PlacingSettings } from './placing.ts'
import { createPolicies } from './policies.ts'
import { createProofKeeper } from './proofs.ts'
import { type ReceptionParts, receive } from './reception.ts'
import { createRecords } from './records.ts'
import { createRequests } from './requests.ts'
import { createRosterKeeper } from './roster-keeper.ts'
import { createShowing } from './showing.ts'
import { ofCharter } from './speech.ts'
import { authorSubmission } from './submission.ts'
import { concernedBy, createTimetable } from './timetable.ts'
import { createWhereabouts } from './whereabouts.ts'

export interface CoreOptions {
  readonly self: SignerFacts
  readonly name: string
  readonly preset: Preset
  readonly labels: Readonly<Record<string, string>>
  /** Members to try first: those of the invite, or who answered before. */
  readonly seeds: readonly WantedNode[]
  readonly electorsMax?: number
  /** What a domain does, where this node speaks for it, when a majority is gone for good. Default: automatic. */
  readonly autonomy?: Autonomy
  readonly placing?: PlacingSettings
  /** The federation begins with this start of this node. */
  readonly isFounding: boolean
}

export interface Core {
  step(input: CoreInput, context: StepContext): readonly CoreEffect[]
  wakeAt(): Millis | null
  readonly view: CoreView
}

export function createCore(options: CoreOptions, memory: CoreMemory, context: StepContext): Core {
  const { self, preset } = options
  const { incarnation } = memory
  const timing = ELECTION_TIMINGS[preset]
  const book = createLeaderBook()
  // Remembered, but not heard since this start: whoever answers now is believed before them.
  const proofs = createProofKeeper(memory.leaders)
  for (const opened of proofs.loaded) book.recall(opened)

  /** What the machines learned in this step and the others have not heard yet. */
  let news: News[] = []
  let out: CoreEffect[] = []
  const roundTrips = new Map<NodeId, Millis>()
  const chain = chainOf(self.domain)
  /** The domains held when the topics to follow were said last. */
  let followedFor: readonly DomainPath[] = []
  /** The roster changed, and those who look at all of it have not yet. */
  let isRosterNew = false
  /** Whether it is of several operators. */
  let isShared = false

  const roster = createRosterKeeper({
    ...options,
    incarnation,
    known: memory.members,
    isDrained: () => intake.current() === 'draining',
  })
  const neighbours = createNeighbours({
    self,
    book,
    roster: roster.view,
    watchPartners: roster.watchPartners,
    seeds: options.seeds,
  })
  const hierarchy = createHierarchy({
    self: self.node,
    cluster: self.domain,
    timing,
    electorsMax: options.electorsMax ?? ELECTORS_MAX_DEFAULT,
    autonomy: options.autonomy ?? 'automatic',
    isFounding: options.isFounding,
    book,
    proofs,
    saved: memory.election,
    members: roster.children,
    face: roster.face,
  })
  const leads = (domain: DomainPath): boolean => (hierarchy.seatIn(domain)?.fence ?? null) !== null
  const records = createRecords({
    self,
    preset,
    book,
    loaded: memory.records,
    members: roster.present,
    leads,
  })
  const stores = (): readonly StoreView[] => records.held().flatMap((domain) => records.view(domain) ?? [])
  const requests = createRequests({ self, book, stores, pending: memory.outbox })
  const isGone = (domain: DomainPath, child: string): boolean =>
    domain === self.domain && roster.isGone(child as NodeId)
  const incarnationNow = (): number => roster.view().get(self.node)?.incarnation ?? incarnation
  const inventories = createInventories({
    self,
    incarnation: incarnationNow,
    timing: PLACEMENT_TIMING[preset],
    book,
    isGone,
    members: () => roster.view().size,
  })
  records.hold([self.domain], [], context, out, [])
  const whereabouts = createWhereabouts(self.domain, inventories)
  const placing = createPlacing({
    self,
    name: options.name,
    labels: options.labels,
    settings: options.placing ?? {},
    incarnation: incarnationNow,
    timing: PLACEMENT_TIMING[preset],
    book,
    records,
    inventories,
    coordinate: whereabouts.coordinate,
    roster: roster.view,
    intake: () => intake.current(),
    kept: memory.worker,
    keptPressure: memory.pressure,
  })
  const asking = createAsking(self, book)
  const audit = createAudit()
  const names = createNames({ self, name: options.name, incarnation, roster, inventories, neighbours })
  const policies = createPolicies(self, neighbours.connected)
  const showing = createShowing({ self, stores, leads, book, connected: neighbours.connected })
  const intake = createIntake({
    self,
    saved: memory.intake,
    running: placing.running,
    leads: () => hierarchy.seats().flatMap(({ domain, fence }) => (fence === null ? [] : [domain])),
    elects: () => replaceableSeats(self, book, [...roster.children().values()]),
  })

  const domainOf = (peer: NodeId): DomainPath | null => neighbours.connected().get(peer)?.domain ?? null
  const parted = { placing: [inventories, placing], others: [records, requests, asking] }
  const timetable = createTimetable(parted, book, roster.view)
  /** When the seats want to be woken, as of the end of the last step. */
  let seatsAt = hierarchy.wakeAt()
  const most = { self, book, roster, hierarchy, neighbours, records, requests, placing }
  const parts: ReceptionParts = { ...most, asking, intake, policies, names }

  const onSubmit = (input: Extract<CoreInput, { kind: 'submit' }>, { wall }: StepContext): void => {
    const store = records.store(input.domain)
    const [waiting, seenBy] = [requests.pendingSpec(input.service), showing.seenBy(input.spec)]
    const message = authorSubmission(input, { self, store, waiting, wall, seenBy })
    out.push({ kind: 'author', message, topics: [] })
  }

  const onConnected = ({ peer, facts }: Extract<CoreInput, { kind: 'connected' }>, at: StepContext): void => {
    neighbours.onConnected(peer, facts, out)
    policies.onConnected(peer, facts, out)
    names.onConnected(peer, facts, out)
    if (facts.domain === self.domain) {
      inventories.onAudience(peer, out)
      roster.onConnected(peer, at, out, news)
    }
    records.tell({ kind: 'connected', peer }, at, out, news)
    hierarchy.onConnection(peer, true, at, out, news)
    for (const domain of new Set([...chainOf(facts.domain), ...chainOf(self.domain)])) {
      const known = book.leaderOf(domain)
      if (known === null || known.announcement.node === peer) continue
      out.push({ kind: 'send', to: peer, message: { kind: 'election/proof', announcement: known.opened } })
    }
  }

  const onDisconnected = (peer: NodeId, at: StepContext): void => {
    neighbours.onDisconnected(peer)
    roundTrips.delete(peer)
    // The election first: a lost leader is replaced in a few round trips, everything else can wait for them.
    hierarchy.onConnection(peer, false, at, out, news)
    roster.onDisconnected(peer, at, out, news)
    records.tell({ kind: 'disconnected', peer }, at, out, news)
  }

  const onRevoked = (node: NodeId, at: StepContext): void => {
    roster.onRemoved(node, at, out, news)
    records.tell({ kind: 'forget-signer', node }, at, out, news)
    inventories.forget(node)
  }

  const take = (input: CoreInput, at: StepContext): void => {
    timetable.touch(concernedBy(input))
    switch (input.kind) {
      case 'operators':
        isShared = input.count > 1
        return names.onShared(isShared, out)
      case 'start':
        isShared = (input.operators ?? 1) > 1
        names.onShared(isShared, out)
        roster.onStart(at, out, news)
        hierarchy.start(at, out, news)
        requests.onLeaders(at, out)
        return placing.onStart(at, out)
      case 'message':
        return receive(parts, input, at, out, news)
      case 'connected':
        return onConnected(input, at)
      case 'disconnected':
        return onDisconnected(input.peer, at)
      case 'round-trip':
        roundTrips.set(input.peer, input.ms)
        whereabouts.onRoundTrip(input.peer, domainOf(input.peer), input.ms, at.random)
        return
      case 'addresses':
        return roster.onReach(input, at, out, news)
      case 'reading':
        roster.onReading(input.reading, input.loopDelayMs, at, out, news)
        placing.onReading(input.reading, at, out)
        // Whoever is drained may be elected all the same, where nobody else stood in time.
        if (intake.current() === 'draining' && chain.some(leads) && hierarchy.hasAbleHeir())
          hierarchy.handOver(at, out, news)
        return
      case 'runtimes':
        return placing.onRuntimes(input.runtimes, at, out)
      case 'runtime':
      case 'found':
      case 'used':
        return placing.onRuntime(input, at, out)
      case 'submit':
        return onSubmit(input, at)
      case 'carried':
        return void out.push({ kind: 'author', message: input.record, topics: [] })
      case 'synced':
        return records.onSynced(input, at, out, news)
      case 'gossip':
        return records.onKept(input, at, out)
      case 'resolve':
        return requests.resolve(input, at, out)
      case 'ask':
        return asking.ask(input.question, at, out)
      case 'reach':
        return neighbours.reach(input.peer, input.domain, at)
      case 'charter':
        return void out.push(ofCharter(input))
      case 'policy':
        policies.onPolicy(input, out)
        showing.onPolicy(input.policy, out)
        return placing.onPolicy(input.policy, at, out)
      case 'revoked':
        return onRevoked(input.node, at)
      case 'readmitted':
        roster.onReadmitted(input.node, at, out, news)
        return records.tell({ kind: 'recall-signer', node: input.node }, at, out, news)
      case 'recover':
        return hierarchy.recover(input.domain, at, out, news)
      case 'hand-over':
        return hierarchy.handOver(at, out, news)
      case 'election':
        return hierarchy.onAgain(input.domain, input.seat, input.input, at, out, news)
      case 'wake':
        return onWake(at)
      default:
        return unreachable(input)
    }
  }

  const onWake = (at: StepContext): void => {
    hierarchy.onWake(at, out, news)
    roster.onWake(at, out, news)
    if ((timetable.at() ?? Number.POSITIVE_INFINITY) > at.now) return
    timetable.touch('all')
    records.onWake(at, out, news)
    requests.onWake(at, out)
    asking.onWake(at, out)
    inventories.onWake(at, out)
    placing.onWake(at, out)
  }

  const tell = (name: string, domain: DomainPath, fields: DomainEvent['fields']): void => {
    out.push({ kind: 'emit', event: { name, level: 'info', domain, fields } })
  }

  const tellLeader = (domain: DomainPath): void => {
    const known = book.leaderOf(domain)?.announcement
    if (known !== undefined) tell('leader-known', domain, leaderFields(known))
  }

  /** Tells the machines what another one learned. */
  const spreadNews = (one: News, at: StepContext): void => {
    timetable.touch(one.kind === 'inventory-news' ? 'placing' : 'all')
    switch (one.kind) {
      case 'lead':
        tell('leadership-begun', one.domain, { ...one.fence })
        inventories.onLead(one.domain, one.fence)
        showing.onLeader(one.domain, out)
        return placing.onLead(one.domain, one.fence, at, out)
      case 'unlead':
        tell('leadership-ended', one.domain, {})
        inventories.onUnlead(one.domain)
        return placing.onUnlead(one.domain, at, out)
      case 'proof-news':
        records.tell({ kind: 'leaders-changed' }, at, out, news)
        return
      case 'leader-news':
        tellLeader(one.domain)
        showing.onLeader(one.domain, out)
        if (one.domain === self.domain) inventories.onWake(at, out)
        requests.onLeaders(at, out)
        records.onHolders(one.domain, at, out, news)
        return placing.onChild(one.domain, at, out)
      case 'roster-news':
        isRosterNew = true
        inventories.onMember()
        neighbours.onMember(one.node)
        if (one.to === null) inventories.forget(one.node)
        records.onMember(one.node, one.to === 'alive' || one.to === 'suspect', at, out, news)
        return placing.onChild(one.node, at, out)
      case 'inventory-news':
        names.onChild(one.child, out)
        return placing.onInventory(one.domain, one.child, at, out)
      case 'record-news':
        audit.onRecord(one.record, out)
        requests.onRecordChanged(one.service, one.record, at, out)
        return placing.onRecord(one.domain, one.service, one.number, at, out)
      default:
        return unreachable(one)
    }
  }

  /** The members that come in one message are news of one roster: who looks at all of it does so once. */
  const spreadAllNews = (at: StepContext): void => {
    for (;;) {
      const one = news.shift()
      if (one !== undefined) spreadNews(one, at)
      else if (isRosterNew) {
        isRosterNew = false
        hierarchy.onMembers(at, out, news)
      } else return
    }
  }

  const hold = (held: readonly DomainPath[], at: StepContext): void => {
    followedFor = held
    timetable.touch('all')
    if (held.join() !== records.held().join()) {
      const left = records.hold(held, [...neighbours.connected().keys()], at, out, news)
      for (const record of left) requests.submit(record.message.domain, record, at, out)
      requests.onLeaders(at, out)
    }
    out.push({ kind: 'follow', topics: topicsOf(self.domain, held) })
  }

  /** What follows from how things stand now, said only when it changed. */
  const settle = (at: StepContext): void => {
    const held = chain.filter((domain) => holdsStoreOf(hierarchy, book, domain, self.domain))
    const isAsBefore =
      held.length === followedFor.length && held.every((domain, index) => domain === followedFor[index])
    if (!isAsBefore) hold(held, at)
    neighbours.onSettled(at.now, hierarchy.seats(), out)
  }

  const seen = { incarnation, book, roster, hierarchy, stores, records, neighbours, inventories, names }
  return {
    step: (input, at) => {
      news = []
      out = []
      // A leader whose lease ended while its process stood still must not act on what piled up meanwhile.
      if ((seatsAt ?? Number.POSITIVE_INFINITY) <= at.now) hierarchy.onWake(at, out, news)
      spreadAllNews(at)
      take(input, at)
      spreadAllNews(at)
      settle(at)
      if (input.kind === 'start') records.handOn((one) => requests.submit(one.message.domain, one, at, out), out)
      spreadAllNews(at)
      seatsAt = hierarchy.wakeAt()
      return isShared ? discreet(out) : out
    },
    wakeAt: () => earlier(earlier(seatsAt, roster.wakeAt()), timetable.at()),
    view: coreView(options, { ...seen, placing, intake, requests, timetable, domainOf, roundTrips }),
  }
}
