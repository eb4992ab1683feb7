// A leader that has not noticed yet that a later one has spoken: it leaves alone what that one ordered.

import assert from 'node:assert/strict'
import { test } from 'node:test'
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
