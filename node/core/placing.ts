// Who runs what: this node's worker, and one scheduler for each domain that it leads. They speak to each other in
// messages and records, also when they live in the same node.

import { type Fence, isDoubtful, type LeaderBookView } from '../../election/index.ts'
import type { Place } from '../../overlay/coordinates/distance.ts'
import type { Coordinate } from '../../overlay/coordinates/vivaldi.ts'
import {
  type ChildId,
  type DomainPath,
  isDomain,
  type NodeId,
  type OperatorId,
  parentOf,
  type ServiceId,
} from '../../overlay/kernel/ids.ts'
import type { StepContext } from '../../overlay/kernel/machine.ts'
import { earlier, type Millis } from '../../overlay/kernel/time.ts'
import type { RosterEntry, RosterView } from '../../overlay/membership/index.ts'
import type { Opened, SignerFacts } from '../../overlay/wire/envelope.ts'
import type { HostReading } from '../../placement/host-reading.ts'
import {
  bestFit,
  type ChildrenView,
  type ChildView,
  createScheduler,
  createWorker,
  NO_POLICY,
  type NodeSummary,
  othersOfferOf,
  ownerHere,
  type PlacementMessage,
  type PlacementTiming,
  type PolicyFile,
  PRESSURE_DEFAULTS,
  type PressureSettings,
  pressedInstances,
  runningKeys,
  type SchedulerEffect,
  type SchedulerInput,
  type SchedulerPlugin,
  type SchedulerState,
  schedulerWakeAt,
  stepScheduler,
  stepWorker,
  type WorkerEffect,
  type WorkerInput,
  workerUse,
  workerWakeAt,
} from '../../placement/index.ts'
import type { CoreEffect, CoreInput, RuntimeInfo } from './effects.ts'
import type { Inventories, InventoryNews } from './inventories.ts'
import type { Intake } from './messages.ts'
import type { Sink } from './news.ts'
import { createPressing } from './pressing.ts'
import type { Records } from './records.ts'

/** What a node's owner decides about placing. */
export interface PlacingSettings {
  /** How places are ranked in the domains that this node leads. Default: best-fit. */
  readonly scheduler?: SchedulerPlugin
  /** When this device is short of something; null where nobody looks. Default: PRESSURE_DEFAULTS. */
  readonly pressure?: PressureSettings | null
  /** Where this device stands. */
  readonly location?: Place
}

export interface PlacingOptions {
  readonly self: SignerFacts
  readonly name: string
  readonly labels: Readonly<Record<string, string>>
  readonly settings: PlacingSettings
  readonly incarnation: () => number
  readonly timing: PlacementTiming
  readonly book: LeaderBookView
  readonly records: Records
  readonly inventories: Inventories
  /** Where this node is in the network by now. */
  readonly coordinate: () => Coordinate
  readonly roster: () => RosterView
  readonly intake: () => Intake
  /** What the worker persisted, and what pressure did. */
  readonly kept: readonly Uint8Array[]
  readonly keptPressure: Uint8Array | null
}

/** An instance that has no place, and why. */
export interface PendingInstance {
  readonly domain: DomainPath
  readonly service: ServiceId
  readonly number: number
  readonly reason: string
}

export interface Placing {
  onStart(context: StepContext, out: CoreEffect[]): void
  onMessage(opened: Opened<PlacementMessage>, context: StepContext, out: CoreEffect[], news: Sink<InventoryNews>): void
  onReading(reading: HostReading, context: StepContext, out: CoreEffect[]): void
  onRuntimes(runtimes: readonly RuntimeInfo[], context: StepContext, out: CoreEffect[]): void
  onRuntime(
    input: Extract<CoreInput, { readonly kind: 'runtime' | 'found' | 'used' }>,
    context: StepContext,
    out: CoreEffect[],
  ): void
  onLead(domain: DomainPath, fence: Fence, context: StepContext, out: CoreEffect[]): void
  onUnlead(domain: DomainPath, context: StepContext, out: CoreEffect[]): void
  /** A child's state changed, in the roster or in the leader book. */
  onChild(child: ChildId, context: StepContext, out: CoreEffect[]): void
  onInventory(domain: DomainPath, child: ChildId, context: StepContext, out: CoreEffect[]): void
  /** A record of a service changed: of one of its instances, or where `number` is null of perhaps all. */
  onRecord(domain: DomainPath, service: ServiceId, number: number | null, context: StepContext, out: CoreEffect[]): void
  pending(): readonly PendingInstance[]
  /** What the device runs or will, as `service#number`. */
  running(): readonly string[]
  /** Whose service it is that the device runs, as far as that was shown. */
  ownerOf(service: ServiceId): OperatorId | null
  /** The operator's policy is another one. */
  onPolicy(policy: PolicyFile, context: StepContext, out: CoreEffect[]): void
  /** The device was opened or closed. */
  onIntake(context: StepContext, out: CoreEffect[]): void
  onWake(context: StepContext, out: CoreEffect[]): void
  wakeAt(): Millis | null
}

export function createPlacing(options: PlacingOptions): Placing {
  const { self, book, records, inventories, incarnation, timing, settings } = options
  const schedulers = new Map<DomainPath, SchedulerState>()
  const pending = new Map<string, PendingInstance>()
  const store = records.view(self.domain)
  if (store === null) throw new Error('a node holds its own cluster’s records')
  let worker = createWorker({
    self: self.node,
    operator: self.operator,
    domain: self.domain,
    incarnation: incarnation(),
    view: { store, leaders: book },
    kept: options.kept,
  })
  const pressing = createPressing(
    self.domain,
    settings.pressure === undefined ? PRESSURE_DEFAULTS : settings.pressure,
    options.keptPressure,
  )
  let reading: HostReading | null = null
  let runtimes: readonly RuntimeInfo[] = []
  let shownUse = ''
  let policy = NO_POLICY

  const feedWorker = (input: WorkerInput, context: StepContext, out: CoreEffect[]): void => {
    const effects: WorkerEffect[] = []
    const due: readonly WorkerInput[] =
      incarnation() > worker.incarnation ? [{ kind: 'incarnation', incarnation: incarnation() }, input] : [input]
    for (const one of due) {
      const stepped = stepWorker(worker, one, context)
      worker = stepped.state
      effects.push(...stepped.effects)
    }
    for (const effect of effects) out.push(...ofWorker(effect))
    const useNow = JSON.stringify(workerUse(worker))
    if (useNow !== shownUse) summarize(context, out)
  }

  const ofWorker = (effect: WorkerEffect): CoreEffect[] => {
    switch (effect.kind) {
      case 'author':
        return [{ kind: 'author', message: effect.record, topics: [] }]
      case 'send':
        return sendTo(effect.to, effect.message)
      case 'persist':
        return [{ ...effect, then: effect.then.flatMap(ofWorker) }]
      case 'runtime':
      case 'emit':
        return [effect]
    }
  }

  const feed = (domain: DomainPath, input: SchedulerInput, context: StepContext, out: CoreEffect[]): void => {
    const state = schedulers.get(domain)
    if (state === undefined) return
    const stepped = stepScheduler(state, input, context)
    schedulers.set(domain, stepped.state)
    for (const effect of stepped.effects) out.push(...ofScheduler(domain, effect))
  }

  const ofScheduler = (domain: DomainPath, effect: SchedulerEffect): CoreEffect[] => {
    switch (effect.kind) {
      case 'author':
        return [{ kind: 'author', message: effect.record, topics: [] }]
      case 'send':
        return sendTo(effect.to, effect.message)
      case 'pending': {
        const { service, number, reason } = effect
        const key = `${domain} ${service}#${number}`
        if (reason === null) pending.delete(key)
        else pending.set(key, { domain, service, number, reason })
        return []
      }
      case 'emit':
        return [effect]
    }
  }

  /** A message for a domain goes to the node that speaks for it. */
  const sendTo = (to: ChildId, message: PlacementMessage): CoreEffect[] => {
    const node = book.nodeOf(to)
    return node === null ? [] : [{ kind: 'send', to: node, message }]
  }

  const childrenOf = (domain: DomainPath): ChildrenView => {
    if (domain === self.domain) return membersOf(options.roster())
    const domains = [...book.domains()].filter((child) => parentOf(child) === domain)
    return new Map(domains.map((child) => [child, { child, alive: true, canWork: true }]))
  }

  /** Whenever the device or what it promised changed; how often it is said is not decided here. */
  const summarize = (context: StepContext, out: CoreEffect[]): void => {
    if (reading === null) return
    const use = workerUse(worker)
    shownUse = JSON.stringify(use)
    const ground = { owner: self.operator, wall: context.wall, power: reading.power ?? null }
    const others = othersOfferOf(policy, ground)
    const summary = summaryOf(options, reading, runtimes, { ...use, others, pressure: pressing.level() })
    inventories.onSummary(summary, context, out)
    feedWorker({ kind: 'capacity', summary }, context, out)
  }

  /** Who a message is for: the worker, or the scheduler of the domain that asks or is asked. */
  const deliver = (opened: Opened<PlacementMessage>, context: StepContext, out: CoreEffect[]): void => {
    const { message } = opened
    switch (message.kind) {
      case 'placement/summary':
      case 'placement/aggregate':
      case 'placement/moved':
        return
      case 'placement/ask':
      case 'placement/run-on':
      case 'placement/release': {
        if (message.domain === self.domain) return feedWorker({ kind: 'message', opened }, context, out)
        const below = [...schedulers.keys()].find((domain) => parentOf(domain) === message.domain)
        if (below !== undefined) feed(below, { kind: 'message', opened }, context, out)
        return
      }
      case 'placement/offer':
      case 'placement/refuse':
      case 'placement/report':
      case 'placement/may-run':
      case 'placement/move':
        return feed(message.domain, { kind: 'message', opened }, context, out)
    }
  }

  return {
    onStart: (context, out) => feedWorker({ kind: 'start' }, context, out),
    onMessage: (opened, context, out, news) => {
      const { message } = opened
      if (message.kind === 'placement/summary') inventories.onMessage({ ...opened, message }, context, out, news)
      else if (message.kind === 'placement/aggregate') inventories.onMessage({ ...opened, message }, context, out, news)
      else deliver(opened, context, out)
    },
    onReading: (next, context, out) => {
      reading = next
      const evicted = pressing.onReading(next, pressedInstances(worker), out)
      for (const { key, reason } of evicted) feedWorker({ kind: 'evict', key, reason }, context, out)
      summarize(context, out)
    },
    onRuntimes: (next, context, out) => {
      runtimes = next
      summarize(context, out)
    },
    onRuntime: (input, context, out) => feedWorker(input, context, out),
    onLead: (domain, fence, context, out) => {
      const held = records.view(domain)
      if (held === null) return
      const above = parentOf(domain)
      const view = {
        store: held,
        parentStore: () => (above === null ? null : records.view(above)),
        inventory: inventories.view(domain),
        children: () => childrenOf(domain),
        leaders: book,
        isDoubtful: () => {
          const known = book.leaderOf(domain)?.announcement
          return known?.node !== self.node || isDoubtful(known)
        },
      }
      schedulers.set(
        domain,
        createScheduler({
          domain,
          self: self.node,
          operator: self.operator,
          timing,
          view,
          plugin: settings.scheduler ?? bestFit,
        }),
      )
      feed(domain, { kind: 'lead', fence }, context, out)
    },
    onUnlead: (domain, context, out) => {
      feed(domain, { kind: 'unlead' }, context, out)
      schedulers.delete(domain)
      for (const [key, one] of pending) if (one.domain === domain) pending.delete(key)
    },
    onChild: (child, context, out) => {
      const domain = isDomain(child) ? parentOf(child) : self.domain
      if (domain !== null) feed(domain, { kind: 'children-changed', child }, context, out)
    },
    onInventory: (domain, child, context, out) => feed(domain, { kind: 'children-changed', child }, context, out),
    onRecord: (domain, service, number, context, out) => {
      const input = { kind: 'service-changed' as const, service, ...(number !== null && { number }) }
      for (const led of schedulers.keys()) {
        if (led === domain || parentOf(led) === domain) feed(led, input, context, out)
      }
      if (domain === self.domain) feedWorker(input, context, out)
    },
    pending: () => [...pending.values()],
    running: () => runningKeys(worker),
    ownerOf: (service) => ownerHere(worker, service),
    onPolicy: (next, context, out) => {
      policy = next
      feedWorker({ kind: 'policy', policy }, context, out)
      summarize(context, out)
    },
    onIntake: summarize,
    onWake: (context, out) => {
      if ((workerWakeAt(worker) ?? Infinity) <= context.now) feedWorker({ kind: 'wake' }, context, out)
      for (const [domain, state] of [...schedulers]) {
        if ((schedulerWakeAt(state) ?? Infinity) <= context.now) feed(domain, { kind: 'wake' }, context, out)
      }
    },
    wakeAt: () => {
      let at = workerWakeAt(worker)
      for (const state of schedulers.values()) at = earlier(at, schedulerWakeAt(state))
      return at
    },
  }
}

/** The members as children of their cluster; nothing is copied, because a leader looks up few of them in a step. */
function membersOf(roster: RosterView): ChildrenView {
  const asChild = ({ node, state, facts }: RosterEntry): ChildView => ({
    child: node,
    alive: state === 'alive' || state === 'suspect',
    canWork: facts.capabilities.includes('work'),
  })
  return {
    get: (child) => {
      const entry = roster.get(child as NodeId)
      return entry === undefined ? undefined : asChild(entry)
    },
    has: (child) => roster.has(child as NodeId),
    keys: () => roster.keys(),
    values: () => [...roster.values()].map(asChild),
    size: roster.size,
  }
}

/**
 * What the device says, and what the node knows better. A sensor that is missing is an absent field (DESIGN section 7).
 */
const summaryOf = (
  { name, labels, self, intake, settings, coordinate }: PlacingOptions,
  reading: HostReading,
  runtimes: readonly RuntimeInfo[],
  promised: Pick<NodeSummary, 'instances' | 'reserved' | 'pressure' | 'others'>,
): NodeSummary => ({
  ...reading,
  name: name.slice(0, 63),
  runtimes,
  labels: { ...self.labels, ...labels },
  ...(intake() !== 'open' && { intake: intake() }),
  coordinate: coordinate(),
  ...(settings.location && { location: settings.location }),
  ...promised,
})
