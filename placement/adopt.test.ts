// A service that comes from another federation with the devices that run it: it stays where it runs, and the new
// leaders' orders are obeyed although their fences are lower than those of before.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type DomainPath, nodeId, ROOT } from '../overlay/kernel/ids.ts'
import type { InstanceRecord, SpecRecord } from '../services-registry/record.ts'
import { putRecord } from '../services-registry/table.ts'
import { carriedOver, FENCE_OF_NOBODY } from './adopt.ts'
import { decodeKept } from './kept.ts'
import { A, B, Bench, CLOCK, EU, FENCE, TIMING, WEB } from './leader-harness.ts'
import { factsOf, openedBy, specOf, specRecord } from './placement-fixtures.ts'
import { running, Bench as WorkerBench } from './worker-harness.ts'

const AN_OLD_DEVICE = nodeId('pi')
const RUNS: SpecRecord['runs'] = [{ number: 0, domain: '/eu/b' as DomainPath, node: AN_OLD_DEVICE }]

const withRuns = (domain: DomainPath, runs: SpecRecord['runs']) => {
  const record = specRecord(specOf({ replicas: 2 }), domain, CLOCK)
  return { ...record, message: { ...record.message, ...(runs !== undefined && { runs }) } }
}

test('what runs below already is placed there unasked, and only the others are asked for', () => {
  const bench = new Bench()
  putRecord(bench.own, withRuns(EU, RUNS), 0)
  bench.give({ kind: 'service-changed', service: WEB })
  assert.deepEqual(bench.authored(), [B])
  assert.deepEqual(
    bench.sent('placement/ask').map(({ message }) => message.number),
    [1],
  )
})

test('a leader below finds the device in the spec above', () => {
  const bench = new Bench([nodeId('other'), AN_OLD_DEVICE])
  putRecord(bench.parent, withRuns(ROOT, [{ number: 0, domain: EU, node: AN_OLD_DEVICE }]), 0)
  bench.placeFromAbove(EU)
  assert.deepEqual(bench.authored(), [AN_OLD_DEVICE])
  assert.deepEqual(bench.sent('placement/ask'), [])
})

test('where the spec is out of sight the device’s own word counts, but not one under a leader’s fence', () => {
  const placedBy = (fence: InstanceRecord['fence']): unknown => {
    const bench = new Bench([nodeId('other'), AN_OLD_DEVICE])
    const record: InstanceRecord = {
      kind: 'record/instance',
      domain: EU,
      service: WEB,
      number: 0,
      state: 'running',
      incarnation: 2,
      sequence: 1,
      endpoint: null,
      since: 0,
      restarts: 0,
      reason: '',
      fence,
      specClock: CLOCK,
      live: true,
    }
    putRecord(bench.own, openedBy(factsOf(AN_OLD_DEVICE, EU), record), 0)
    bench.askFromAbove()
    bench.placeFromAbove(EU)
    return bench.authored()[0] ?? null
  }
  assert.equal(placedBy(FENCE_OF_NOBODY), AN_OLD_DEVICE)
  assert.equal(placedBy({ epoch: 1, term: 1 }), null)
})

test('a child that is not here yet is waited for, and in the end it is placed anew', () => {
  const bench = new Bench([A])
  putRecord(bench.own, withRuns(EU, RUNS), 0)
  bench.give({ kind: 'service-changed', service: WEB })
  const asked = () => bench.sent('placement/ask').map(({ message }) => message.number)
  assert.deepEqual(asked(), [1])
  bench.pass(3 * TIMING.silentMs)
  assert.ok(!asked().includes(0))
  for (const _ of [1, 2, 3]) {
    bench.hearFromBelow([A])
    bench.pass(TIMING.silentMs / 2)
  }
  assert.ok(asked().includes(0))
  assert.ok(!bench.authored().includes(B))
})

test('what had the name before and was removed is no reason to start anew; an order for this version is', () => {
  for (const [specClock, expected] of [
    [{ wall: 0, counter: 0 }, B],
    [CLOCK, undefined],
  ] as const) {
    const bench = new Bench()
    const withdrawn = { domain: EU, service: WEB, number: 0, child: null, fence: FENCE, sequence: 1, reason: '' }
    const record = { kind: 'record/placement' as const, ...withdrawn, specClock }
    putRecord(bench.own, openedBy(factsOf('me', A), record), 0)
    putRecord(bench.own, withRuns(EU, RUNS), 0)
    bench.give({ kind: 'service-changed', service: WEB })
    assert.equal(bench.authored()[0], expected)
  }
})

test('a service that runs nowhere yet is asked for', () => {
  const bench = new Bench([A, B])
  putRecord(bench.own, withRuns(EU, undefined), 0)
  bench.give({ kind: 'service-changed', service: WEB })
  assert.deepEqual(bench.authored(), [])
  assert.equal(bench.sent('placement/ask').length, 2)
})

test('a device obeys the first order of the new federation, lower than its last, and starts nothing anew', () => {
  const before = running()
  const kept = [...before.disk.values()].map((value) => {
    const read = decodeKept(value)
    assert.ok(read.ok && read.value.fence.term === 5)
    return carriedOver(read.value)
  })
  const after = new WorkerBench(kept)
  after.runs()
  after.look()
  after.place({ fence: { epoch: 1, term: 1 } })
  const { records, operations } = after.look()
  assert.deepEqual(operations, [])
  assert.deepEqual(records.at(-1)?.fence, { epoch: 1, term: 1 })
  after.place({ fence: FENCE_OF_NOBODY, sequence: 9, child: nodeId('somebody') })
  assert.deepEqual(after.look().operations, [], 'and never a lower one again')
})
