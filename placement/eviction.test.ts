// What the worker makes of it when its node has to relieve itself, and whom it takes in while it is short.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { OperatorId } from '../overlay/kernel/ids.ts'
import { EVICTED_MS_MIN } from './constants.ts'
import { pressedInstances } from './eviction.ts'
import { summaryOf } from './placement-fixtures.ts'
import { workerUse } from './worker.ts'
import { Bench, FENCE, KEY, LEADER, running } from './worker-harness.ts'

const answers = (bench: Bench): readonly (string | undefined)[] =>
  bench.look().sent.map((message) => (message.kind === 'placement/refuse' ? message.reasons[0]?.code : message.kind))

test('an evicted instance stops, says that it is lost here and why, and gives its room back', () => {
  const bench = running()
  bench.look()
  bench.give({ kind: 'evict', key: KEY, reason: 'memory at 95 %' })
  assert.deepEqual(pressedInstances(bench.state), [])
  const stopped = bench.look()
  assert.deepEqual(stopped.operations, ['stop'])
  assert.deepEqual(
    stopped.records.map(({ state, live }) => [state, live]),
    [['stopping', true]],
  )
  bench.says({ kind: 'exited', key: KEY, code: 0, detail: '' })
  const [lost] = bench.look().records
  assert.deepEqual([lost?.state, lost?.live, lost?.reason], ['lost', false, 'memory at 95 %'])
  assert.equal(workerUse(bench.state).reserved.memoryMb, 0)
})

test('it is not taken back for a while, and for twice as long the second time', () => {
  const bench = running()
  for (const factor of [1, 2]) {
    bench.give({ kind: 'evict', key: KEY, reason: 'short' })
    bench.says({ kind: 'exited', key: KEY, code: 0, detail: '' })
    bench.look()
    bench.now += factor * EVICTED_MS_MIN - 1
    bench.ask({}, { askId: 'early' })
    assert.deepEqual(answers(bench), ['evicted'])
    bench.now += 1
    bench.ask({}, { askId: `late-${factor}` })
    assert.deepEqual(answers(bench), ['placement/offer'])
    bench.place({ sequence: factor + 1 })
    bench.runs()
  }
})

test('an order that takes the instance away while it is being evicted is obeyed', () => {
  const bench = running()
  bench.give({ kind: 'evict', key: KEY, reason: 'short' })
  bench.place({ child: null, sequence: 2 })
  bench.says({ kind: 'exited', key: KEY, code: 0, detail: '' })
  assert.equal(bench.state.instances.size, 0)
})

test('an offer made before the eviction is void: the order that takes it up finds the instance given up', () => {
  const bench = running()
  bench.ask({ environment: { VERSION: '2' } }, { askId: 'newer' })
  bench.give({ kind: 'evict', key: KEY, reason: 'short' })
  bench.look()
  bench.place({ sequence: 2 })
  bench.ask({ environment: { VERSION: '2' } }, { askId: 'again' })
  bench.says({ kind: 'exited', key: KEY, code: 0, detail: '' })
  const { operations, records } = bench.look()
  assert.deepEqual(operations, [])
  assert.deepEqual([records.at(-1)?.state, records.at(-1)?.live], ['lost', false])
})

test('a newer order for what is being evicted, or was, starts nothing, and is told that it is lost here', () => {
  for (const hasEnded of [false, true]) {
    const bench = running()
    const newer = { epoch: FENCE.epoch, term: FENCE.term + 1 }
    bench.give({ kind: 'evict', key: KEY, reason: 'short' })
    if (hasEnded) bench.says({ kind: 'exited', key: KEY, code: 0, detail: '' })
    bench.look()
    bench.place({ fence: newer, sequence: 2 })
    if (!hasEnded) assert.deepEqual(bench.states(), ['stopping'], 'it is not lost before it has ended')
    if (!hasEnded) bench.says({ kind: 'exited', key: KEY, code: 0, detail: '' })
    const { operations, records } = bench.look()
    assert.deepEqual(operations, [])
    const said = records.map(({ state, live, fence }) => ({ state, live, fence }))
    assert.deepEqual(said, [{ state: 'lost', live: false, fence: newer }])
    bench.now += EVICTED_MS_MIN
    bench.ask({}, { askId: 'late', fence: newer })
    bench.place({ fence: newer, sequence: 3 })
    assert.deepEqual(bench.look().operations, ['start'])
  }
})

test('what was evicted and then ordered elsewhere does not start when it is ordered back before it has ended', () => {
  const bench = running()
  bench.give({ kind: 'evict', key: KEY, reason: 'short' })
  bench.place({ child: LEADER, sequence: 2 })
  bench.look()
  bench.place({ sequence: 3 })
  bench.says({ kind: 'exited', key: KEY, code: 0, detail: '' })
  const { operations, records } = bench.look()
  assert.deepEqual(operations, [])
  assert.equal(records.at(-1)?.state, 'lost')
})

test('what the owner’s policy ends is not started by an order that does not know of it yet', () => {
  const bench = running()
  bench.give({ kind: 'policy', policy: { own: { runtimes: ['docker'] } } })
  bench.look()
  bench.place({ sequence: 2 })
  bench.says({ kind: 'exited', key: KEY, code: 0, detail: '' })
  const { operations, records } = bench.look()
  assert.deepEqual(operations, [])
  assert.equal(records.at(-1)?.state, 'lost')
})

test('a restricted node takes in its own operator’s work, and no other operator’s', () => {
  const bench = new Bench()
  const [own, other] = ['operator', 'somebody-else'] as OperatorId[]
  assert.ok(own && other)
  bench.give({ kind: 'policy', policy: { others: { runtimes: ['process'] } } })
  bench.ask({}, { operator: other })
  assert.deepEqual(answers(bench), ['placement/offer'])
  bench.give({ kind: 'capacity', summary: summaryOf('me', { pressure: 1 }) })
  bench.ask({}, { number: 1, operator: other })
  assert.deepEqual(answers(bench), ['restricted'])
  bench.ask({}, { number: 1, operator: own })
  assert.deepEqual(answers(bench), ['placement/offer'])
  bench.give({ kind: 'capacity', summary: summaryOf('me', { pressure: 2 }) })
  bench.ask({}, { number: 2, operator: own })
  assert.deepEqual(answers(bench), ['pressure'])
})
