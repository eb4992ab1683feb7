// One node's worker alone: whom it obeys, what it promises, and what it does when an instance ends.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { type DomainPath, type InstanceKey, instanceKey, nodeId, serviceId } from '../overlay/kernel/ids.ts'
import type { Fence, InstanceRecord, PlacementRecord } from '../services-registry/record.ts'
import { createTable, putRecord, viewOf } from '../services-registry/table.ts'
import { RESERVATION_MS } from './constants.ts'
import type { PlacementMessage } from './messages.ts'
import { contextAt, factsOf, openedBy, specOf, summaryOf } from './placement-fixtures.ts'
import type { RuntimeEvent } from './runtime.ts'
import { encodeSpec, type ServiceSpec, serviceIdOf } from './spec.ts'
import { specIdOf } from './spec-id.ts'
import { createWorker, step, wakeAt, workerUse } from './worker.ts'
import type { WorkerEffect, WorkerInput, WorkerState } from './worker-state.ts'

const DOMAIN = '/a' as DomainPath
const SELF = nodeId('me')
const LEADER = nodeId('leader')
const WEB = serviceId('shop.prod.web.prod')
const KEY = instanceKey(WEB, 0)
const FENCE: Fence = { epoch: 1, term: 5 }
const CLOCK = { wall: 1, counter: 0 }

/** A worker with a store, and everything it does. */
class Bench {
  now = 0
  state: WorkerState
  effects: WorkerEffect[] = []
  readonly table = createTable(DOMAIN)
  readonly disk = new Map<string, Uint8Array>()
  /** What was on disk when each start was told. */
  readonly disksAtStart: number[] = []

  constructor(kept: readonly Uint8Array[] = [], isReady = true) {
    this.state = createWorker({
      self: SELF,
      domain: DOMAIN,
      incarnation: 1,
      view: { store: viewOf(this.table), leaders: { leaderAt: () => LEADER } },
      kept,
    })
    if (!isReady) return
    this.give({ kind: 'start' })
    this.give({ kind: 'capacity', summary: summaryOf('me') })
    this.give({ kind: 'found', runtime: 'process', instances: [] })
  }

  give(input: WorkerInput): void {
    const { state, effects } = step(this.state, input, contextAt(this.now))
    this.state = state
    for (const effect of effects) this.#carryOut(effect)
  }

  #carryOut(effect: WorkerEffect): void {
    this.effects.push(effect)
    if (effect.kind === 'runtime' && effect.operation.kind === 'start') this.disksAtStart.push(this.disk.size)
    if (effect.kind !== 'persist') return
    if (effect.value === null) this.disk.delete(effect.key)
    else this.disk.set(effect.key, effect.value)
    for (const then of effect.then) this.#carryOut(then)
  }

  hear(message: PlacementMessage, from = LEADER): void {
    this.give({ kind: 'message', opened: openedBy(factsOf(from, DOMAIN), message) })
  }

  ask(changes: Partial<ServiceSpec> = {}, more: { number?: number; fence?: Fence; askId?: string } = {}): void {
    const spec = specOf(changes)
    const { number = 0, fence = FENCE, askId = `ask-${number}` } = more
    const common = { domain: DOMAIN, fence, askId, service: serviceIdOf(spec), number }
    this.hear({ kind: 'placement/ask', ...common, spec: encodeSpec(spec), specClock: CLOCK, avoid: [] })
  }

  place(changes: Partial<PlacementRecord> = {}): void {
    const record: PlacementRecord = {
      kind: 'record/placement',
      domain: DOMAIN,
      service: WEB,
      number: 0,
      child: SELF,
      fence: FENCE,
      sequence: 1,
      specClock: CLOCK,
      reason: 'a test',
      ...changes,
    }
    putRecord(this.table, openedBy(factsOf(LEADER, DOMAIN), record), 0)
    this.give({ kind: 'service-changed', service: record.service })
  }

  says(event: RuntimeEvent): void {
    this.give({ kind: 'runtime', event })
  }

  runs(key: InstanceKey = KEY, spec: ServiceSpec = specOf()): void {
    const endpoint = { host: '127.0.0.1', ports: [] }
    this.says({ kind: 'running', key, specId: specIdOf(spec), endpoint, adopted: false })
  }

  wake(): void {
    const at = wakeAt(this.state)
    assert.ok(at !== null, 'something is due')
    this.now = Math.max(this.now, at)
    this.give({ kind: 'wake' })
  }

  /** What was sent, told to the driver and said, since the last look. */
  look() {
    const effects = this.effects
    this.effects = []
    return {
      sent: effects.flatMap((effect) => (effect.kind === 'send' ? [effect.message] : [])),
      operations: effects.flatMap((effect) => (effect.kind === 'runtime' ? [effect.operation.kind] : [])),
      records: effects.flatMap((effect) => (effect.kind === 'author' ? [effect.record as InstanceRecord] : [])),
    }
  }

  states = (): string[] => this.look().records.map((record) => record.state)
}

function running(): Bench {
  const bench = new Bench()
  bench.ask()
  bench.place()
  bench.runs()
  return bench
}

test('an ask reserves and offers; the placement starts what was offered; each state is said', () => {
  const bench = new Bench()
  bench.ask()
  const { sent } = bench.look()
  assert.equal(sent[0]?.kind, 'placement/offer')
  assert.equal(workerUse(bench.state).reserved.memoryMb, 100)
  bench.place()
  assert.deepEqual(bench.look().operations, ['start'])
  bench.runs()
  const [record] = bench.look().records
  assert.equal(record?.state, 'running')
  assert.deepEqual(record?.endpoint, { host: '127.0.0.1', ports: [] })
  assert.equal(workerUse(bench.state).reserved.memoryMb, 100)
})

test('what must be remembered is on disk before anything starts', () => {
  const bench = new Bench()
  bench.ask()
  bench.place()
  assert.deepEqual(bench.disksAtStart, [1])
  const write = bench.effects.find((effect) => effect.kind === 'persist')
  assert.ok(write?.kind === 'persist' && write.sync)
})

test('the same ask twice is one reservation and two offers', () => {
  const bench = new Bench()
  bench.ask()
  bench.ask()
  assert.equal(bench.look().sent.length, 2)
  assert.equal(workerUse(bench.state).reserved.memoryMb, 100)
})

test('an offer that nobody takes gives its room back', () => {
  const bench = new Bench()
  bench.ask()
  assert.equal(wakeAt(bench.state), RESERVATION_MS)
  bench.wake()
  assert.equal(workerUse(bench.state).reserved.memoryMb, 0)
  bench.ask()
  bench.hear({ kind: 'placement/release', domain: DOMAIN, askId: 'ask-0' })
  assert.equal(workerUse(bench.state).reserved.memoryMb, 0)
})

test('only the proven leader is answered', () => {
  const bench = new Bench()
  const spec = encodeSpec(specOf())
  const ask = { kind: 'placement/ask' as const, domain: DOMAIN, fence: FENCE, askId: '1', service: WEB, number: 0 }
  bench.hear({ ...ask, spec, specClock: CLOCK, avoid: [] }, nodeId('somebody'))
  assert.deepEqual(bench.look().sent, [])
})

test('a refusal says what is lacking', () => {
  const bench = new Bench()
  const codes = (changes: Partial<ServiceSpec>) => {
    bench.ask(changes)
    const [answer] = bench.look().sent
    return answer?.kind === 'placement/refuse' ? answer.reasons.map((reason) => reason.code) : ['offered']
  }
  assert.deepEqual(codes({ memoryMb: 3_700 }), ['memory'])
  assert.deepEqual(codes({ vcpus: 5 }), ['cpu'])
  assert.deepEqual(codes({ vgpus: 1 }), ['gpu'])
  assert.deepEqual(codes({ storageMb: 60_000 }), ['disk'])
  assert.deepEqual(codes({ runtime: 'wasm' }), ['runtime'])
  assert.deepEqual(codes({ kind: 'job' }), ['kind'])
  assert.deepEqual(codes({}), ['offered'])
})

test('a lower fence is never obeyed after a higher one, asked or ordered', () => {
  const bench = running()
  bench.look()
  bench.ask({}, { fence: { epoch: 1, term: 4 }, askId: 'late' })
  const [answer] = bench.look().sent
  assert.ok(answer?.kind === 'placement/refuse' && answer.reasons[0]?.code === 'stale-fence')
  bench.place({ child: nodeId('other'), fence: { epoch: 1, term: 4 }, sequence: 9 })
  assert.deepEqual(bench.look().operations, [])
  bench.place({ child: nodeId('other'), fence: { epoch: 1, term: 6 }, sequence: 1 })
  assert.deepEqual(bench.look().operations, ['stop'])
  bench.place({ fence: FENCE, sequence: 10 })
  assert.deepEqual(bench.look().operations, [], 'the older leader does not bring it back')
})

test('the highest fence outlives the process', () => {
  const before = running()
  const bench = new Bench([...before.disk.values()])
  bench.look()
  bench.place({ child: nodeId('other'), fence: { epoch: 1, term: 4 } })
  assert.deepEqual(bench.look().operations, [])
})

test('after a reboot with no network, what ran is started again', () => {
  const before = running()
  const bench = new Bench([...before.disk.values()], false)
  bench.give({ kind: 'start' })
  bench.give({ kind: 'found', runtime: 'process', instances: [] })
  const { operations, records } = bench.look()
  assert.deepEqual(operations, ['start'])
  assert.equal(records.at(-1)?.state, 'starting')
})

test('nothing is started before its runtime said what runs already', () => {
  const before = running()
  const bench = new Bench([...before.disk.values()], false)
  bench.give({ kind: 'start' })
  assert.deepEqual(bench.look().operations, [])
  bench.give({ kind: 'found', runtime: 'process', instances: [{ key: KEY, specId: 'another', running: true }] })
  assert.deepEqual(bench.look().operations, ['stop'], 'an older version is ended first')
  bench.says({ kind: 'exited', key: KEY, code: 0, detail: '' })
  assert.deepEqual(bench.look().operations, ['start'])
})

test('what is found and not wanted is ended', () => {
  const bench = new Bench()
  const key = instanceKey(serviceId('old.prod.web.prod'), 3)
  bench.give({ kind: 'found', runtime: 'process', instances: [{ key, specId: 'x', running: true }] })
  assert.deepEqual(bench.look().operations, ['stop'])
})

test('a damaged entry on disk is passed over', () => {
  const before = running()
  const [good] = [...before.disk.values()]
  const bench = new Bench([new Uint8Array([1, 2, 3]), good as Uint8Array])
  assert.deepEqual(bench.look().operations, ['start'])
})

test('a crash is followed by another start, later each time, and in the end by giving up', () => {
  const bench = running()
  bench.look()
  const delays: number[] = []
  for (let crash = 1; crash <= 5; crash++) {
    bench.says({ kind: 'exited', key: KEY, code: 1, detail: '' })
    delays.push((wakeAt(bench.state) as number) - bench.now)
    bench.wake()
    bench.runs()
  }
  assert.deepEqual(delays, [500, 1_000, 2_000, 4_000, 8_000])
  bench.look()
  bench.says({ kind: 'exited', key: KEY, code: 1, detail: '' })
  const [record] = bench.look().records
  assert.equal(record?.state, 'failed')
  assert.equal(record?.live, false)
  assert.equal(record?.restarts, 5)
  assert.equal(record?.reason, 'given up after 6 attempts in a row; the last: exit code 1')
  assert.equal(workerUse(bench.state).reserved.memoryMb, 0)
})

test('a run that lasted wipes the slate clean', () => {
  const bench = running()
  for (let crash = 0; crash < 20; crash++) {
    bench.now += 11_000
    bench.says({ kind: 'exited', key: KEY, code: 1, detail: '' })
    bench.wake()
    bench.runs()
  }
  assert.equal(bench.states().at(-1), 'running')
})

test('health is said once per change', () => {
  const bench = running()
  bench.look()
  for (const healthy of [true, false, false, true]) bench.says({ kind: 'health', key: KEY, healthy, detail: 'probe' })
  assert.deepEqual(bench.states(), ['unhealthy', 'running'])
})

test('a withdrawn instance stops, is reported for the last time, and is forgotten', () => {
  const bench = running()
  bench.place({ child: null, sequence: 2 })
  bench.says({ kind: 'exited', key: KEY, code: null, detail: '' })
  const { records } = bench.look()
  assert.deepEqual(records.map((record) => record.state).slice(-2), ['stopping', 'stopped'])
  assert.equal(records.at(-1)?.live, false)
  assert.equal(bench.disk.size, 0)
  assert.equal(workerUse(bench.state).reserved.memoryMb, 0)
})

test('a stop that the driver does not answer is repeated', () => {
  const bench = running()
  bench.place({ child: null, sequence: 2 })
  bench.look()
  bench.wake()
  assert.deepEqual(bench.look().operations, ['stop'])
})

test('a new version stops the old one first, then starts', () => {
  const bench = running()
  bench.look()
  const newer = { wall: 2, counter: 0 }
  const spec = specOf({ environment: { VERSION: '2' } })
  const common = { domain: DOMAIN, fence: FENCE, askId: 'update', service: WEB, number: 0, avoid: [] }
  bench.hear({ kind: 'placement/ask', ...common, spec: encodeSpec(spec), specClock: newer })
  bench.place({ sequence: 2, specClock: newer })
  assert.deepEqual(bench.look().operations, ['stop'])
  bench.says({ kind: 'exited', key: KEY, code: null, detail: '' })
  assert.deepEqual(bench.look().operations, ['start'])
  bench.runs(KEY, spec)
  assert.equal(bench.states().at(-1), 'running')
})

test('another number of replicas restarts nothing', () => {
  const bench = running()
  bench.look()
  const newer = { wall: 2, counter: 0 }
  const common = { domain: DOMAIN, fence: FENCE, askId: 'scale', service: WEB, number: 0, avoid: [] }
  bench.hear({ kind: 'placement/ask', ...common, spec: encodeSpec(specOf({ replicas: 7 })), specClock: newer })
  bench.place({ sequence: 2, specClock: newer })
  const { operations, records } = bench.look()
  assert.deepEqual(operations, [])
  assert.deepEqual(records.at(-1)?.specClock, newer)
})

test('a placement without a known spec is asked about until it is known', () => {
  const bench = new Bench()
  bench.place()
  assert.equal(bench.look().sent[0]?.kind, 'placement/report')
  bench.wake()
  assert.equal(bench.look().sent[0]?.kind, 'placement/report')
  bench.ask()
  assert.deepEqual(bench.look().operations, ['start'])
})

test('a placement whose room is gone is declined once, with the reason', () => {
  const bench = new Bench()
  bench.ask({}, { number: 0 })
  bench.now += RESERVATION_MS
  bench.give({ kind: 'wake' })
  bench.ask({ name: 'large', memoryMb: 3_550 })
  bench.look()
  const spec = encodeSpec(specOf())
  const message = { kind: 'record/spec' as const, domain: DOMAIN, service: WEB, clock: CLOCK, spec }
  putRecord(bench.table, openedBy(factsOf('x', DOMAIN), message), 0)
  bench.place()
  bench.place()
  const { records, operations } = bench.look()
  assert.deepEqual(operations, [])
  assert.equal(records.length, 1)
  assert.equal(records[0]?.live, false)
  assert.match(records[0]?.reason ?? '', /no room any more: 0 of 1 device: 1 lacks memory/)
})

const action = fc.oneof(
  fc.record({
    do: fc.constant('ask' as const),
    number: fc.nat(7),
    memoryMb: fc.integer({ min: 1, max: 2_000 }),
    vcpus: fc.integer({ min: 1, max: 30 }).map((tenths) => tenths / 10),
    version: fc.nat(2),
  }),
  fc.record({ do: fc.constant('place' as const), number: fc.nat(7), here: fc.boolean(), version: fc.nat(2) }),
  fc.record({ do: fc.constant('exit' as const), number: fc.nat(7), code: fc.nat(1) }),
  fc.record({ do: fc.constant('release' as const), number: fc.nat(7) }),
  fc.record({ do: fc.constant('pass' as const), ms: fc.nat(6_000) }),
)

test('whatever is asked, placed, ended and released, no more is promised than there is', () => {
  fc.assert(
    fc.property(fc.array(action, { maxLength: 80 }), (actions) => {
      const bench = new Bench()
      let sequence = 0
      for (const one of actions) {
        const key = instanceKey(WEB, 'number' in one ? one.number : 0)
        if (one.do === 'ask') {
          const spec = specOf({ memoryMb: one.memoryMb, vcpus: one.vcpus })
          const common = { domain: DOMAIN, fence: FENCE, askId: `${key}`, service: WEB, number: one.number, avoid: [] }
          const specClock = { wall: one.version, counter: 0 }
          bench.hear({ kind: 'placement/ask', ...common, spec: encodeSpec(spec), specClock })
        } else if (one.do === 'place') {
          sequence += 1
          const child = one.here ? SELF : nodeId('other')
          bench.place({ number: one.number, child, sequence, specClock: { wall: one.version, counter: 0 } })
        } else if (one.do === 'exit') bench.says({ kind: 'exited', key, code: one.code, detail: '' })
        else if (one.do === 'release') bench.hear({ kind: 'placement/release', domain: DOMAIN, askId: `${key}` })
        else {
          bench.now += one.ms
          bench.give({ kind: 'wake' })
        }
        const { reserved } = workerUse(bench.state)
        assert.ok(reserved.memoryMb <= 3_600 + 1e-3, `${reserved.memoryMb} MB`)
        assert.ok(reserved.vcpus <= 4 + 1e-3, `${reserved.vcpus} cores`)
      }
    }),
    { seed: 20261121, numRuns: 300 },
  )
})
