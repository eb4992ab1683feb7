// What placing costs a leader of its own time, without network or disk: how many decisions a second over a thousand
// devices, and how long a new leader takes to take over ten thousand instances. A decision is all of it: the ranking,
// the ask, the offer, the record, the report that it runs, and when to look again.

import { type DomainPath, nodeId } from '../../overlay/kernel/ids.ts'
import { seededRandom } from '../../overlay/kernel/random.ts'
import { encodeCbor } from '../../overlay/wire/codec.ts'
import type { Opened, SignerFacts } from '../../overlay/wire/envelope.ts'
import {
  createInventory,
  createScheduler,
  encodeSpec,
  noteSummary,
  PLACEMENT_TIMING,
  parseDescriptor,
  type SchedulerEffect,
  type SchedulerInput,
  type SchedulerState,
  type ServiceSpec,
  schedulerWakeAt,
  serviceIdOf,
  stepScheduler,
} from '../../placement/index.ts'
import { NOTHING } from '../../placement/need.ts'
import type { InstanceRecord, PlacementRecord, SpecRecord } from '../../services-registry/record.ts'
import { createTable, putRecord, type RecordTable, viewOf } from '../../services-registry/table.ts'
import { serviceDescriptor } from '../local/service-fixture.ts'
import type { Figure } from './figures.ts'

const DEVICES = 1_000
const DECISIONS = 4_000
const INSTANCES = 10_000
const REPLICAS = 100
const CLUSTER = '/a' as DomainPath
const FENCE = { epoch: 1, term: 1 }
const NEXT_FENCE = { epoch: 1, term: 2 }
const CLOCK = { wall: 1, counter: 0 }
const LISTENED_MS = PLACEMENT_TIMING.lan.listenMs

/** The part `core` of `npm run bench -- placement`. */
export function measureCore(): readonly Figure[] {
  const { decidedMs, count } = decide(DECISIONS)
  const full = decide(INSTANCES)
  return [
    { what: `a decision over ${DEVICES} devices`, value: decidedMs / DECISIONS, target: 0.5, unit: 'ms' },
    { what: `a decision, ${INSTANCES} instances in a row`, value: full.decidedMs / INSTANCES, target: 0.5, unit: 'ms' },
    { what: `a new leader takes over ${INSTANCES} instances`, value: takeOver(full.table), target: 2_000, unit: 'ms' },
    { what: 'placements that are missing', value: DECISIONS - count.placed, target: 0, unit: '' },
  ]
}

interface Decided {
  readonly decidedMs: number
  readonly table: RecordTable
  readonly count: Count
}

interface Count {
  placed: number
}

/** Time of this process's processors, so that others on the device do not count. */
function cpuMs(): number {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1_000
}

/** Submits services of a hundred replicas each and answers every ask, until all are placed. */
function decide(instances: number): Decided {
  const table = createTable(CLUSTER)
  const count: Count = { placed: 0 }
  const leader = createLeader(table, FENCE)
  leader.begin()
  leader.give({ kind: 'wake' })
  let decidedMs = 0
  for (let submitted = 0; submitted < instances; submitted += REPLICAS) {
    const spec = specOf(submitted / REPLICAS)
    const service = serviceIdOf(spec)
    const message: SpecRecord = {
      kind: 'record/spec',
      domain: CLUSTER,
      service,
      clock: CLOCK,
      spec: encodeSpec(spec),
    }
    putRecord(table, opened(nodeId('submitter'), message), 0)
    let inputs: readonly SchedulerInput[] = [{ kind: 'service-changed', service }]
    while (inputs.length > 0) {
      // Round by round, because looking at the clock takes as long as some of what is measured.
      const before = cpuMs()
      const effects = inputs.flatMap(leader.give)
      decidedMs += cpuMs() - before
      inputs = effects.flatMap((effect) => answered(effect, table, count))
    }
  }
  return { decidedMs, table, count }
}

/** What the devices do: they offer what they are asked for, and run what is placed on them. */
function answered(effect: SchedulerEffect, table: RecordTable, count: Count): readonly SchedulerInput[] {
  if (effect.kind === 'author') {
    putRecord(table, opened(nodeId('leader'), effect.record), 0)
    const report = effect.record.kind === 'record/placement' ? reportOn(effect.record) : null
    if (report === null) return []
    count.placed += 1
    putRecord(table, opened(report.from, report.message), 0)
    const { service, number } = report.message
    return [{ kind: 'service-changed', service, number }]
  }
  if (effect.kind !== 'send' || effect.message.kind !== 'placement/ask') return []
  const { domain, askId, service, number, also } = effect.message
  const child = nodeId(effect.to)
  const common = { domain, askId, service, number, child, node: child, nodeName: child.slice(0, 63) }
  const offer = { kind: 'placement/offer' as const, ...common, score: 0.5, expiresInMs: 10_000, ...(also && { also }) }
  return [{ kind: 'message', opened: opened(child, offer) }]
}

function reportOn(
  placed: PlacementRecord,
): { readonly from: ReturnType<typeof nodeId>; message: InstanceRecord } | null {
  const { child, domain, service, number, fence, specClock } = placed
  if (child === null) return null
  const how = { state: 'running', incarnation: 1, sequence: 1, endpoint: null, since: 0, restarts: 0 } as const
  const message = { kind: 'record/instance', domain, service, number, ...how, reason: '', fence, specClock } as const
  return { from: nodeId(child), message: { ...message, live: true } }
}

/** The time that a new leader needs for its first look at everything, when all is well. */
function takeOver(table: RecordTable): number {
  const leader = createLeader(table, NEXT_FENCE)
  const before = cpuMs()
  leader.begin()
  leader.give({ kind: 'wake' })
  return cpuMs() - before
}

function createLeader(table: RecordTable, fence: typeof FENCE) {
  const inventory = createInventory(CLUSTER)
  const ids = Array.from({ length: DEVICES }, (_, index) => nodeId(`device-${String(index).padStart(4, '0')}`))
  for (const [index, child] of ids.entries()) {
    const summary = {
      name: child,
      cores: 4 + (index % 29),
      memoryMb: { total: 8_000 + (index % 7) * 4_000, free: 8_000 },
      gpus: [],
      architecture: 'arm64',
      os: 'linux',
      runtimes: [{ name: 'process', version: '1' }],
      labels: { zone: `z${index % 10}` },
      pressure: 0,
      instances: 0,
      reserved: NOTHING,
    }
    const from = { domain: CLUSTER, child, incarnation: 1, sequence: 1 }
    const message = { kind: 'placement/summary' as const, ...from, summary, batches: true }
    noteSummary(inventory, opened(child, message), 0)
  }
  const children = new Map(ids.map((child) => [child, { child, alive: true, canWork: true }]))
  let now = 0
  let state: SchedulerState = createScheduler({
    domain: CLUSTER,
    self: nodeId('leader'),
    timing: PLACEMENT_TIMING.lan,
    view: {
      store: viewOf(table),
      parentStore: () => null,
      inventory: inventory.rows,
      children: () => children,
      leaders: { leaderAt: () => null },
      isDoubtful: () => false,
    },
  })
  const random = seededRandom(1)
  const give = (input: SchedulerInput): readonly SchedulerEffect[] => {
    const stepped = stepScheduler(state, input, { now, wall: now, random })
    state = stepped.state
    schedulerWakeAt(state)
    return stepped.effects
  }
  /** Reads everything, and listens until it may act. */
  const begin = (): void => {
    give({ kind: 'lead', fence })
    now = LISTENED_MS
  }
  return { give, begin }
}

function specOf(index: number): ServiceSpec {
  const fields = { cmd: ['serve'], memory: 64, vcpus: 0.1, replicas: REPLICAS }
  const [spec] = parseDescriptor(serviceDescriptor(`shop.bench.web-${index}.bench`, fields)).services
  if (spec === undefined) throw new Error('the descriptor of the bench is not read')
  return spec
}

function opened<M extends { readonly kind: string }>(from: ReturnType<typeof nodeId>, message: M): Opened<M> {
  const signer = {
    node: from,
    operator: 'operator',
    domain: CLUSTER,
    capabilities: ['work', 'lead', 'deploy:*'],
    labels: {},
    expiresAt: Number.MAX_SAFE_INTEGER,
  } as unknown as SignerFacts
  return { from, signer, message, bytes: encodeCbor({ kind: message.kind }) }
}
