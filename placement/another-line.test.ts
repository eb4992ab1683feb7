// Two lines of a domain met: what a leader makes of orders and of instances of the line that is no longer.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type DomainPath, nodeId } from '../overlay/kernel/ids.ts'
import type { InstanceRecord } from '../services-registry/record.ts'
import { putRecord } from '../services-registry/table.ts'
import { A, Bench, CLOCK, EU, FENCE, ME, TIMING, WEB } from './leader-harness.ts'
import { factsOf, openedBy, specOf, specRecord } from './placement-fixtures.ts'

/** The leader of a cluster, of which a device says that it runs an instance by an order that has no proof here. */
function unordered(changes: Partial<InstanceRecord> = {}): Bench {
  const device = nodeId('device')
  const bench = new Bench([device])
  const record = {
    kind: 'record/instance' as const,
    domain: EU,
    service: WEB,
    number: 0,
    state: 'running' as const,
    incarnation: 1,
    sequence: 1,
    endpoint: null,
    since: 0,
    restarts: 0,
    reason: '',
    fence: FENCE,
    specClock: CLOCK,
    live: true,
    ...changes,
  }
  putRecord(bench.own, openedBy(factsOf(device, EU), record), 0)
  bench.give({ kind: 'service-changed', service: WEB })
  return bench
}

test('what a device runs by an order of another line ends once the parent says that it belongs elsewhere', () => {
  const bench = unordered()
  bench.placeFromAbove('/elsewhere' as DomainPath)
  assert.deepEqual(bench.authored(), [null])
  bench.pass(3 * TIMING.sweepMs)
  assert.deepEqual(bench.authored(), [null], 'said once')
})

test('what a device runs of which nothing is known is left alone', () => {
  const bench = unordered()
  bench.pass(3 * TIMING.sweepMs)
  assert.deepEqual(bench.authored(), [])
})

test('a device that refuses what it was reminded of does not count as running it for what it said before', () => {
  const bench = unordered()
  const device = nodeId('device')
  putRecord(bench.own, specRecord(specOf(), EU, CLOCK), 0)
  const order = { child: device, fence: FENCE, sequence: 1, specClock: CLOCK, reason: 'a test' }
  const placed = { kind: 'record/placement' as const, domain: EU, service: WEB, number: 0, ...order }
  putRecord(bench.own, openedBy(factsOf(ME, A), placed), 0)
  bench.give({ kind: 'service-changed', service: WEB })
  assert.deepEqual(bench.sent('placement/ask'), [], 'it says that it runs it')
  const about = { domain: EU, child: device, service: WEB, number: 0 }
  bench.hear(device, EU, { kind: 'placement/report', ...about, problem: 'no-spec', detail: '', fence: FENCE })
  const [reminder] = bench.sent('placement/ask')
  assert.ok(reminder !== undefined)
  const reasons = [{ code: 'draining', count: 1, detail: '' }]
  bench.hear(device, EU, { kind: 'placement/refuse', ...about, askId: reminder.message.askId, devices: 1, reasons })
  bench.pass(2 * TIMING.sweepMs)
  assert.ok(bench.effects.some((one) => one.kind === 'emit' && one.event.name === 'instance-pending'))
})

test('how far a version has come is said once more by the first leader of another epoch, and once only', () => {
  const bench = new Bench()
  putRecord(bench.own, specRecord(specOf(), EU, CLOCK), 0)
  const word = { version: CLOCK, state: 'done' as const, reason: 'all ran', fence: { epoch: 0, term: 9 }, sequence: 7 }
  const record = { kind: 'record/rollout' as const, domain: EU, service: WEB, ...word }
  putRecord(bench.own, openedBy(factsOf('former', A), record), 0)
  const look = (): void => {
    bench.give({ kind: 'service-changed', service: WEB })
    bench.pass(TIMING.sweepMs)
  }
  look()
  look()
  const said = bench.effects.flatMap((one) =>
    one.kind === 'author' && one.record.kind === 'record/rollout' ? [one.record] : [],
  )
  assert.deepEqual(said, [{ ...record, fence: FENCE, sequence: 8 }])
})

test('a leader that learned of it while it listened ends it with its first comparison', () => {
  const bench = unordered()
  bench.give({ kind: 'unlead' })
  bench.give({ kind: 'lead', fence: { ...FENCE, term: FENCE.term + 1 } })
  bench.placeFromAbove('/elsewhere' as DomainPath)
  assert.deepEqual(bench.authored(), [])
  bench.pass(TIMING.listenMs)
  assert.deepEqual(bench.authored(), [null])
})

test('an order of another line that has no other place is given once more, so that all of this line know of it', () => {
  const fence = { epoch: 0, term: 9 }
  const bench = unordered({ state: 'failed', live: false, fence })
  putRecord(bench.own, specRecord(specOf({ memoryMb: 10_000_000 }), EU, CLOCK), 0)
  const order = { child: nodeId('device'), fence, sequence: 1, specClock: CLOCK, reason: 'a test' }
  const placed = { kind: 'record/placement' as const, domain: EU, service: WEB, number: 0, ...order }
  putRecord(bench.own, openedBy(factsOf('former', A), placed), 0)
  bench.give({ kind: 'service-changed', service: WEB })
  bench.pass(600_000)
  const given = bench.effects.flatMap((one) => (one.kind === 'author' ? [one.record] : []))
  assert.ok(bench.effects.some((one) => one.kind === 'emit' && one.event.name === 'instance-pending'))
  assert.deepEqual(given, [{ ...placed, fence: FENCE, sequence: 2 }])
})
