// What other leaders of a domain ordered: a later one is not contradicted, and what one that was cut off left behind is
// ended.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { nodeId, ROOT } from '../overlay/kernel/ids.ts'
import { putRecord } from '../services-registry/table.ts'
import { A, ABOVE, Bench, CLOCK, EU, FENCE, TIMING, WEB } from './leader-harness.ts'
import { factsOf, openedBy, specOf, specRecord } from './placement-fixtures.ts'

test('what a later leader has placed and nobody wants any more does not keep an earlier one awake', () => {
  const bench = new Bench()
  const submit = (replicas: number, wall: number): void => {
    const spec = specOf({ replicas, memoryMb: 1_000_000 })
    putRecord(bench.own, specRecord(spec, EU, { wall, counter: 0 }), 0)
  }
  submit(2, 1)
  bench.give({ kind: 'service-changed', service: WEB })
  const pending = [...bench.state.work.values()].filter(({ phase }) => phase.kind === 'pending')
  assert.equal(pending.length, 2)
  submit(1, 2)
  const fence = { epoch: FENCE.epoch, term: FENCE.term + 1 }
  const placed = { domain: EU, service: WEB, number: 1, child: A, fence, sequence: 1, specClock: CLOCK, reason: '' }
  putRecord(bench.own, openedBy(factsOf(ABOVE, A), { kind: 'record/placement', ...placed }), 0)
  bench.pass(TIMING.sweepMs)
  assert.deepEqual(bench.authored(), [], 'the order of a later leader stands')
})

const about = (number: number) =>
  ({ kind: 'placement/report', domain: EU, child: A, service: WEB, number, fence: FENCE, detail: '' }) as const

test('of an order that no leader here ever saw a child hears that nobody wants it, where the service says so', () => {
  const bench = new Bench()
  putRecord(bench.own, specRecord(specOf({ replicas: 1 }), EU, { wall: 1, counter: 0 }), 0)
  const askAbout = (number: number): void =>
    bench.hear(nodeId(`leader-of-${A}`), A, { ...about(number), problem: 'no-order' })
  askAbout(0)
  assert.deepEqual(bench.authored(), [], 'it is wanted, and will be placed')
  askAbout(1)
  assert.deepEqual(bench.authored(), [null])
  askAbout(1)
  assert.deepEqual(bench.authored(), [null, null], 'said again to whoever asks again')
})

test('a leader that knows nothing of the service either asks above', () => {
  const bench = new Bench()
  bench.hear(nodeId(`leader-of-${A}`), A, { ...about(1), problem: 'no-order' })
  const told = bench.sent('placement/report').map(({ to, message }) => `${to} ${message.problem} ${message.number}`)
  assert.deepEqual(told, [`${ROOT} no-order 1`])
  assert.deepEqual(bench.authored(), [])
})
