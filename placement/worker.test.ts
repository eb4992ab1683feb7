// One node's worker alone: whom it obeys, and what it does when an instance ends.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { instanceKey, nodeId, serviceId } from '../overlay/kernel/ids.ts'
import { putRecord } from '../services-registry/table.ts'
import { RESERVATION_MS, RUNTIME_WAIT_MS } from './constants.ts'
import { factsOf, openedBy, specOf, summaryOf } from './placement-fixtures.ts'
import { encodeSpec, type ServiceSpec } from './spec.ts'
import { wakeAt, workerUse } from './worker.ts'
import { Bench, CLOCK, DOMAIN, FENCE, FROM_OURS, KEY, running, WEB } from './worker-harness.ts'

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

test('what waits too long for its runtime is lost to its leader, and starts when that comes after all', () => {
  const before = running()
  const bench = new Bench([...before.disk.values()], false)
  bench.give({ kind: 'start' })
  assert.equal(bench.look().records.at(-1)?.state, 'reserved')
  assert.equal(wakeAt(bench.state), RUNTIME_WAIT_MS)
  bench.wake()
  const { state, live, reason } = bench.look().records.at(-1) ?? {}
  assert.deepEqual([state, live], ['lost', false])
  assert.match(reason ?? '', /^the runtime process has not answered on this device for 3 min$/)
  assert.equal(wakeAt(bench.state), null, 'it is said once')
  bench.give({ kind: 'found', runtime: 'process', instances: [] })
  const after = bench.look()
  assert.deepEqual([after.operations, after.records.at(-1)?.state], [['start'], 'starting'])
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
  for (let crash = 1; crash <= 7; crash++) {
    bench.says({ kind: 'exited', key: KEY, code: 1, detail: '' })
    delays.push((wakeAt(bench.state) as number) - bench.now)
    bench.wake()
    bench.runs()
  }
  assert.deepEqual(delays, [100, 200, 400, 800, 1_600, 3_200, 6_400])
  bench.look()
  bench.says({ kind: 'exited', key: KEY, code: 1, detail: '' })
  const [record] = bench.look().records
  assert.equal(record?.state, 'failed')
  assert.equal(record?.live, false)
  assert.equal(record?.restarts, 7)
  assert.equal(record?.reason, 'given up after 8 attempts in a row; the last: exit code 1')
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
  for (const healthy of [true, true, false, false, true])
    bench.says({ kind: 'health', key: KEY, healthy, detail: 'probe' })
  const { records } = bench.look()
  assert.deepEqual(
    records.map(({ state, healthy = false }) => [state, healthy]),
    [
      ['running', true],
      ['unhealthy', false],
      ['running', true],
    ],
  )
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

test('a stop waits behind the same disk as the start before it, which it would otherwise overtake', () => {
  const bench = new Bench()
  bench.ask()
  bench.place()
  bench.place({ child: null, sequence: 2 })
  const written = bench.effects.flatMap((effect) => (effect.kind === 'persist' ? effect.then : []))
  const behindTheDisk = written.flatMap((effect) => (effect.kind === 'runtime' ? [effect.operation.kind] : []))
  assert.deepEqual(behindTheDisk, ['start', 'stop'])
  assert.deepEqual(bench.look().operations, ['start', 'stop'], 'and by no shorter way')
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
  const common = { ...FROM_OURS, askId: 'update', service: WEB, number: 0, avoid: [] }
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
  const common = { ...FROM_OURS, askId: 'scale', service: WEB, number: 0, avoid: [] }
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

test('a new order for what runs is obeyed aloud only once it is on the disk', () => {
  const bench = running()
  bench.look()
  const fence = { ...FENCE, term: FENCE.term + 1 }
  bench.place({ fence })
  const write = bench.effects.find((effect) => effect.kind === 'persist')
  const said = (write?.kind === 'persist' ? write.then : []).flatMap((effect) =>
    effect.kind === 'author' ? [effect.record.kind === 'record/instance' && effect.record.fence] : [],
  )
  assert.deepEqual(said, [fence])
  assert.equal(bench.look().records.length, 1, 'and not before')
})

/** An order for a version of what runs that needs more, which came without an offer. */
function orderMore(bench: Bench): void {
  const clock = { wall: 2, counter: 0 }
  const spec = encodeSpec(specOf({ memoryMb: 300 }))
  const message = { kind: 'record/spec' as const, domain: DOMAIN, service: WEB, clock, spec }
  putRecord(bench.table, openedBy(factsOf('x', DOMAIN), message), 0)
  bench.place({ fence: LATER, specClock: clock })
}

const LATER = { ...FENCE, term: FENCE.term + 1 }

test('an order for which there is no room ends what it was to replace: the older order is not obeyed any more', () => {
  const bench = running()
  bench.ask({ name: 'large', memoryMb: 3_400 })
  bench.look()
  orderMore(bench)
  const { records, operations } = bench.look()
  assert.deepEqual(operations, ['stop'])
  assert.deepEqual(
    records.map(({ state, live, fence }) => [state, live, fence]),
    [['lost', false, LATER]],
  )
  bench.says({ kind: 'health', key: KEY, healthy: false, detail: 'late' })
  bench.says({ kind: 'exited', key: KEY, code: null, detail: '' })
  assert.deepEqual(bench.look().records, [], 'lost is its last word')
  assert.equal(bench.disk.size, 0)
  assert.equal(workerUse(bench.state).instances, 0)
  bench.place({ fence: LATER, specClock: { wall: 2, counter: 0 } })
  assert.deepEqual(bench.look().operations, [], 'declined once')
})

test('whether there is room is not said before the runtime told what it has', () => {
  const before = running()
  const bench = new Bench([...before.disk.values()], false)
  bench.give({ kind: 'start' })
  bench.give({ kind: 'capacity', summary: summaryOf('me', { runtimes: [] }) })
  bench.look()
  orderMore(bench)
  assert.deepEqual(bench.look().records, [])
  bench.give({ kind: 'capacity', summary: summaryOf('me') })
  bench.give({ kind: 'found', runtime: 'process', instances: [] })
  bench.says({ kind: 'exited', key: KEY, code: null, detail: '' })
  const { operations, records } = bench.look()
  assert.deepEqual(operations, ['start', 'stop', 'start'])
  assert.deepEqual(records.at(-1)?.fence, LATER)
})
