// What the device does that an instance leaves: it goes on under the newer order, and ends when nobody names it any
// more.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { nodeId } from '../overlay/kernel/ids.ts'
import { Bench, FENCE, running, SELF } from './worker-harness.ts'

const OTHER = nodeId('other')
const later = { ...FENCE, term: FENCE.term + 1 }

test('an instance that is moved away goes on, and obeys no older order any more', () => {
  const bench = running()
  bench.look()
  bench.place({ child: OTHER, previous: SELF, fence: later, sequence: 2 })
  const { operations, records } = bench.look()
  assert.deepEqual(operations, [])
  assert.deepEqual(
    records.map(({ state, fence }) => [state, fence.term]),
    [['running', later.term]],
  )
  bench.place({ child: null, sequence: 3 })
  assert.deepEqual(bench.look().operations, [], 'an order under the former fence is too old')
})

test('it ends when the placement names it no longer', () => {
  const bench = running()
  bench.place({ child: OTHER, previous: SELF, sequence: 2 })
  bench.look()
  bench.place({ child: OTHER, sequence: 3 })
  assert.deepEqual(bench.look().operations, ['stop'])
})

test('it stays as it is when it is placed back', () => {
  const bench = running()
  bench.place({ child: OTHER, previous: SELF, sequence: 2 })
  bench.look()
  bench.place({ sequence: 3 })
  const { operations, records } = bench.look()
  assert.deepEqual(operations, [])
  assert.deepEqual(
    records.map(({ state }) => state),
    ['running'],
  )
})

test('it runs again after a restart while it waits for the new one', () => {
  const before = running()
  before.place({ child: OTHER, previous: SELF, sequence: 2 })
  const after = new Bench([...before.disk.values()], false)
  after.place({ child: OTHER, previous: SELF, sequence: 2 })
  after.give({ kind: 'start' })
  after.give({ kind: 'found', runtime: 'process', instances: [] })
  assert.deepEqual(after.look().operations, ['start'])
})

test('who is named as the former place and runs nothing starts nothing', () => {
  const bench = new Bench()
  bench.place({ child: OTHER, previous: SELF })
  assert.deepEqual(bench.look().operations, [])
})

test('a cordoned device refuses what is new and replaces what it has', () => {
  const bench = running()
  const { summary } = bench.state
  assert.ok(summary !== null)
  bench.give({ kind: 'capacity', summary: { ...summary, intake: 'cordoned' } })
  bench.look()
  bench.ask({ name: 'api' })
  bench.ask({ environment: { VERSION: '2' } })
  const [first, second] = bench.look().sent
  assert.equal(first?.kind === 'placement/refuse' && first.reasons[0]?.code, 'cordoned')
  assert.equal(second?.kind, 'placement/offer')
})
