// For the tests of this folder only: one root, three clusters and nine nodes in virtual time. Messages are encoded and
// decoded on their way, delayed, and lost by a seed; records spread by pushes that may be lost and by a comparison
// every second.

import {
  type ChildId,
  type DomainPath,
  type InstanceKey,
  isDomain,
  type NodeId,
  nodeId,
  ROOT,
  type ServiceId,
} from '../overlay/kernel/ids.ts'
import type { StepContext } from '../overlay/kernel/machine.ts'
import { type Random, seededRandom } from '../overlay/kernel/random.ts'
import { err } from '../overlay/kernel/result.ts'
import { createCodec, encodeCbor } from '../overlay/wire/codec.ts'
import type { PlainRecord, SealedRecord } from '../services-registry/record.ts'
import { createTable, putRecord, type RecordTable, viewOf } from '../services-registry/table.ts'
import { compareRecords, numberIn, slotOf } from '../services-registry/version.ts'
import { PLACEMENT_TIMING } from './constants.ts'
import { checkRoom, childrenOf, DEAD_AFTER_MS, type Device, type FleetOptions } from './device-harness.ts'
import { createDriver } from './driver-harness.ts'
import { aggregateBy, LeaderTable, summaryBy } from './gossip-harness.ts'
import { createInventory, type Inventory, noteAggregate, noteSummary } from './inventory.ts'
import { type MovedMessage, type PlacementMessage, placementSchemas } from './messages.ts'
import { factsOf, nextSpecRecord, openedBy, type Script, specRecord, summaryOf } from './placement-fixtures.ts'
import { EventQueue } from './queue-harness.ts'
import * as scheduler from './scheduler.ts'
import type { SchedulerEffect, SchedulerInput, SchedulerState } from './scheduler-state.ts'
import type { ServiceSpec } from './spec.ts'
import type { NodeSummary } from './summary.ts'
import * as worker from './worker.ts'
import type { WorkerEffect, WorkerInput, WorkerState } from './worker-state.ts'

const START_WALL = 1_790_000_000_000
const SYNC_MS = 1_000

const codec = createCodec<PlacementMessage>(placementSchemas)

export class Fleet {
  readonly devices = new Map<NodeId, Device>()
  readonly pending = new Map<string, string>()
  /** Every start and stop that a driver was told, in order. */
  readonly log: string[] = []
  readonly moved: MovedMessage[] = []
  readonly sent: PlacementMessage['kind'][] = []
  loss: number
  readonly #random: Random
  readonly #script: Script
  readonly #queue = new EventQueue()
  readonly #leaders = new LeaderTable()
  readonly #islands = new Set<DomainPath>()
  readonly #untold = new Set<string>()
  #clock = 0

  constructor(options: FleetOptions = {}) {
    this.#random = seededRandom(options.seed ?? 1)
    this.loss = options.loss ?? 0
    this.#script = options.script ?? (() => ({ kind: 'runs' }))
    const { clusters = ['/a', '/b', '/c'] as DomainPath[], nodesPerCluster = 3 } = options
    for (const domain of clusters) {
      for (let number = 1; number <= nodesPerCluster; number++) {
        const id = nodeId(`${domain.slice(1)}${number}`)
        this.devices.set(id, this.#createDevice(id, domain, summaryOf(id, options.summary)))
      }
    }
    for (const device of this.devices.values()) this.boot(device.id)
    for (const domain of clusters) this.elect(domain, nodeId(`${domain.slice(1)}1`))
    this.elect(ROOT, nodeId(`${clusters[0]?.slice(1)}1`))
    this.#queue.every(SYNC_MS, () => this.#sync())
    this.#queue.every(1_000, () => this.#gossip())
  }

  /** Hands a spec to a store, as its submitter would; `isScale`: the same version in another number. */
  submit(spec: ServiceSpec, domain: DomainPath = ROOT, isScale = false): void {
    this.#clock += 1
    const clock = { wall: START_WALL + this.#clock, counter: 0 }
    this.#bring(nextSpecRecord(this.store(this.leaderOf(domain), domain), spec, clock, isScale))
  }

  remove(spec: ServiceSpec, domain: DomainPath = ROOT): void {
    this.#clock += 1
    this.#bring(specRecord(spec, domain, { wall: START_WALL + this.#clock, counter: 0 }, true))
  }

  elect(domain: DomainPath, node: NodeId): void {
    const before = this.#leaders.current(domain)
    const { fence } = this.#leaders.elect(domain, node)
    if (before !== null) this.#decide(before.node, domain, { kind: 'unlead' })
    this.#decide(node, domain, { kind: 'lead', fence })
  }

  /** Whether the leader still leads; a reboot ends that. */
  hasLed = (domain: DomainPath): boolean =>
    (this.#device(this.leaderOf(domain)).schedulers.get(domain)?.lead ?? null) !== null

  /** The VERSION that each running instance of a service was started with. */
  versionsOf = (name: string): string[] =>
    [...this.devices.values()].flatMap(({ isUp, driver }) =>
      isUp ? [...driver.running].filter(([key]) => key.includes(`.${name}.`)).map(([, run]) => run.version) : [],
    )

  /** All that run a service by that name hear from its health check. */
  tellHealth(name: string, healthy: boolean): void {
    for (const device of this.devices.values()) {
      for (const key of device.driver.running.keys() as Iterable<InstanceKey>) {
        const event = { kind: 'health' as const, key, healthy, detail: 'probe' }
        if (key.includes(`.${name}.`)) this.#work(device, { kind: 'runtime', event })
      }
    }
  }

  now = (): number => this.#queue.now
  leaderOf = (domain: DomainPath): NodeId => this.#leaders.nodeOf(domain)

  /** The device loses power: what ran is gone, what was on disk stays. */
  kill(id: NodeId): void {
    const device = this.#device(id)
    device.isUp = false
    device.downSince = this.#queue.now
    device.driver.powerOff()
    this.#queue.after(DEAD_AFTER_MS, () => {
      for (const other of this.devices.values())
        this.#decide(other.id, device.domain, { kind: 'children-changed', child: id })
    })
  }

  boot(id: NodeId): void {
    const device = this.#device(id)
    device.isUp = true
    device.incarnation += 1
    device.sequence = 0
    device.schedulers = new Map([device.domain, ROOT].map((domain) => [domain, this.#createScheduler(device, domain)]))
    device.worker = this.#createWorker(device)
    this.#work(device, { kind: 'start' })
    this.#work(device, { kind: 'capacity', summary: device.summary })
    this.#work(device, { kind: 'found', runtime: 'process', instances: [] })
  }

  /** Cuts a cluster off from everyone outside it. */
  cut = (domain: DomainPath): void => void this.#islands.add(domain)
  heal = (domain: DomainPath): void => void this.#islands.delete(domain)

  run = (ms: number): void => this.#queue.run(ms)

  /** Runs until `condition` holds; returns how long that took in ms, or throws after `limitMs`. */
  until(what: string, condition: () => boolean, limitMs = 60_000): number {
    const start = this.#queue.now
    while (!condition()) {
      if (this.#queue.now - start >= limitMs) throw new Error(`${limitMs} ms passed and still not: ${what}`)
      this.run(50)
    }
    return this.#queue.now - start
  }

  /** Where each instance runs, as `key@node`, sorted. */
  running(): string[] {
    const all = [...this.devices.values()].filter(({ isUp }) => isUp)
    return all.flatMap(({ id, driver }) => [...driver.running.keys()].map((key) => `${key}@${id}`)).sort()
  }

  say(from: NodeId, to: ChildId, message: PlacementMessage): void {
    this.#send(this.#device(from), to, message)
  }

  use = (id: NodeId) => worker.workerUse(this.#device(id).worker)
  store = (id: NodeId, domain: DomainPath) => viewOf(this.#table(this.#device(id), domain))

  #device(id: NodeId): Device {
    const device = this.devices.get(id)
    if (device === undefined) throw new Error(`no device ${id}`)
    return device
  }

  #createDevice(id: NodeId, domain: DomainPath, summary: NodeSummary): Device {
    const stores = new Map([domain, ROOT].map((one) => [one, createTable(one)]))
    const device: Omit<Device, 'worker'> & { worker: WorkerState | null } = {
      id,
      domain,
      isUp: false,
      downSince: 0,
      incarnation: 0,
      sequence: 0,
      summary,
      stores,
      inventories: new Map([domain, ROOT].map((one) => [one, createInventory(one)])),
      disk: new Map(),
      driver: createDriver(id, this.#queue, this.#script, this.log, (event) =>
        this.#work(this.#device(id), { kind: 'runtime', event }),
      ),
      schedulers: new Map(),
      worker: null,
    }
    return { ...device, worker: this.#createWorker(device as Device) }
  }

  #createWorker({ id, domain, incarnation, disk, stores }: Device): WorkerState {
    const store = viewOf(stores.get(domain) ?? createTable(domain))
    const [view, { operator }] = [{ store, leaders: this.#leaders }, factsOf(id, domain)]
    return worker.createWorker({ self: id, operator, domain, incarnation, view, kept: [...disk.values()] })
  }

  #createScheduler(device: Device, domain: DomainPath): SchedulerState {
    return scheduler.createScheduler({
      domain,
      self: device.id,
      timing: PLACEMENT_TIMING.lan,
      view: {
        store: viewOf(this.#table(device, domain)),
        parentStore: () => (domain === ROOT ? null : viewOf(this.#table(device, ROOT))),
        inventory: device.inventories.get(domain)?.rows ?? new Map(),
        children: () => childrenOf(domain, [...this.devices.values()], this.#queue.now),
        ...{ leaders: this.#leaders, isDoubtful: () => false },
      },
    })
  }

  #table(device: Device, domain: DomainPath): RecordTable {
    const table = device.stores.get(domain)
    if (table === undefined) throw new Error(`${device.id} holds no store of ${domain}`)
    return table
  }

  #context = (): StepContext => ({ now: this.#queue.now, wall: START_WALL + this.#queue.now, random: this.#random })

  #decide(id: NodeId, domain: DomainPath, input: SchedulerInput): void {
    const device = this.#device(id)
    const state = device.schedulers.get(domain)
    if (!device.isUp || state === undefined) return
    const { state: next, effects } = scheduler.step(state, input, this.#context())
    device.schedulers.set(domain, next)
    for (const effect of effects) this.#perform(device, effect)
    const wake = scheduler.wakeAt(next)
    if (wake === null) return
    this.#queue.after(Math.max(0, wake - this.#queue.now), () => {
      const current = device.schedulers.get(domain)
      const due = current === undefined ? null : scheduler.wakeAt(current)
      if (due !== null && due <= this.#queue.now) this.#decide(id, domain, { kind: 'wake' })
    })
  }

  #work(device: Device, input: WorkerInput): void {
    if (!device.isUp) return
    const { state, effects } = worker.step(device.worker, input, this.#context())
    device.worker = state
    for (const effect of effects) this.#perform(device, effect)
    checkRoom(device)
    const wake = worker.wakeAt(state)
    if (wake === null) return
    this.#queue.after(Math.max(0, wake - this.#queue.now), () => {
      const due = worker.wakeAt(device.worker)
      if (due !== null && due <= this.#queue.now) this.#work(device, { kind: 'wake' })
    })
  }

  #perform(device: Device, effect: SchedulerEffect | WorkerEffect): void {
    switch (effect.kind) {
      case 'send':
        this.#send(device, effect.to, effect.message)
        return
      case 'author':
        this.#author(device, effect.record)
        return
      case 'pending': {
        const key = `${effect.service}#${effect.number}@${device.id}`
        if (effect.reason === null) this.pending.delete(key)
        else this.pending.set(key, effect.reason)
        return
      }
      case 'persist':
        if (effect.value === null) device.disk.delete(effect.key)
        else device.disk.set(effect.key, effect.value)
        for (const then of effect.then) this.#perform(device, then)
        return
      case 'runtime':
        device.driver.perform(effect.operation)
        return
      case 'emit':
        return
    }
  }

  #delay = (): number => 1 + Math.floor(this.#random.next() * 20)

  #mayPass(from: Device, to: Device): boolean {
    if (!to.isUp || from.id === to.id) return to.isUp
    const isCut = from.domain !== to.domain && (this.#islands.has(from.domain) || this.#islands.has(to.domain))
    return !isCut && this.#random.next() >= this.loss
  }

  #send(from: Device, to: ChildId, message: PlacementMessage): void {
    this.sent.push(message.kind)
    const bytes = codec.encode(message)
    const target = this.devices.get(isDomain(to) ? this.leaderOf(to) : to)
    if (target === undefined || !this.#mayPass(from, target)) return
    this.#queue.after(this.#delay(), () => {
      const read = codec.decode(bytes, () => err('nothing nested'), 0)
      if (!read.ok) throw new Error(read.error.detail)
      if (target.isUp) this.#receive(from, target, read.value)
    })
  }

  #receive(from: Device, target: Device, message: PlacementMessage): void {
    const opened = openedBy(factsOf(from.id, from.domain), message)
    if (message.kind === 'placement/moved') return void this.moved.push(message)
    const forWorker = message.kind === 'placement/ask' || message.kind === 'placement/release'
    if (!forWorker) this.#decide(target.id, message.domain, { kind: 'message', opened })
    else if (message.domain === target.domain) this.#work(target, { kind: 'message', opened })
    else this.#decide(target.id, target.domain, { kind: 'message', opened })
  }

  #author(device: Device, record: PlainRecord): void {
    const sealed: SealedRecord = openedBy(factsOf(device.id, device.domain), record, encodeCbor(record))
    this.#accept(device, record.domain, sealed)
    this.#spreadRecord(device, record.domain, sealed)
  }

  #spreadRecord(device: Device, domain: DomainPath, sealed: SealedRecord): void {
    for (const other of this.devices.values()) {
      if (other.id === device.id || !other.stores.has(domain) || !this.#mayPass(device, other)) continue
      this.#queue.after(this.#delay(), () => this.#accept(other, domain, sealed))
    }
  }

  #bring(sealed: SealedRecord, { domain } = sealed.message): void {
    this.#accept(this.#device(this.leaderOf(domain)), domain, sealed)
  }

  #accept(device: Device, domain: DomainPath, sealed: SealedRecord): void {
    if (!device.isUp) return
    const table = this.#table(device, domain)
    const held = table.entries.get(slotOf(sealed))?.record
    if (held !== undefined && compareRecords(sealed, held) <= 0) return
    putRecord(table, sealed, Number.MAX_SAFE_INTEGER)
    const [{ service }, number] = [sealed.message, numberIn(sealed)]
    if (domain !== ROOT) this.#passUp(device, service)
    // Once for all that changes at one time.
    const news = `${device.id} ${domain} ${service} ${number}`
    const input = { kind: 'service-changed' as const, service, ...(number !== null && { number }) }
    if (this.#untold.has(news)) return
    this.#untold.add(news)
    this.#queue.after(0, () => {
      this.#untold.delete(news)
      for (const one of device.schedulers.keys()) this.#decide(device.id, one, input)
      if (domain === device.domain) this.#work(device, input)
    })
  }

  /** What became of an instance that the root placed is known there too, as in node/core/records.ts. */
  #passUp(device: Device, service: ServiceId): void {
    const above = device.stores.get(ROOT)
    if (above === undefined || viewOf(above).placements(service).length === 0) return
    for (const record of this.store(device.id, device.domain).instances(service)) {
      const held = above.entries.get(slotOf(record))?.record
      if (held !== undefined && compareRecords(record, held) <= 0) continue
      this.#accept(device, ROOT, record)
      if (this.leaderOf(device.domain) === device.id) this.#spreadRecord(device, ROOT, record)
    }
  }

  /** Every holder compares its stores with one other holder. */
  #sync(): void {
    for (const device of this.devices.values()) {
      for (const [domain, table] of device.stores) {
        const others = [...this.devices.values()].filter((other) => other.id !== device.id && other.stores.has(domain))
        const other = others[Math.floor(this.#random.next() * others.length)]
        if (!device.isUp || other === undefined || !this.#mayPass(device, other)) continue
        for (const { record } of [...table.entries.values()]) this.#accept(other, domain, record)
        for (const { record } of [...this.#table(other, domain).entries.values()]) this.#accept(device, domain, record)
      }
    }
  }

  /** Summaries go round in each cluster, aggregates among all. */
  #gossip(): void {
    for (const device of this.devices.values()) {
      if (!device.isUp) continue
      device.sequence += 1
      device.summary = { ...device.summary, ...worker.workerUse(device.worker) }
      this.#work(device, { kind: 'capacity', summary: device.summary })
      const [{ now }, { domain }] = [this.#queue, device]
      const summary = summaryBy(device)
      this.#spread(device, domain, (inventory) => noteSummary(inventory, summary, now))
      const lead = this.#leaders.current(domain)
      if (lead?.node !== device.id) continue
      const aggregate = aggregateBy(device, lead.fence, device.inventories.get(domain)?.rows ?? new Map())
      this.#spread(device, ROOT, (inventory) => noteAggregate(inventory, aggregate, this.#leaders, now), domain)
    }
  }

  #spread(from: Device, domain: DomainPath, note: (inventory: Inventory) => string, child: ChildId = from.id): void {
    for (const other of this.devices.values()) {
      const inventory = other.inventories.get(domain)
      if (inventory === undefined || !this.#mayPass(from, other)) continue
      if (note(inventory) === 'noted') this.#decide(other.id, domain, { kind: 'children-changed', child })
    }
  }
}
