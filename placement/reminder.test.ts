// A leader that hears nothing of its order asks again, and that ask says so. What the device said of it may be lost for
// good: a word that an instance has ended is no part of what stores compare.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { nodeId } from '../overlay/kernel/ids.ts'
import { putRecord } from '../services-registry/table.ts'
import { RESERVATION_MS } from './constants.ts'
import { CLOCK, EU, FENCE, Bench as LeaderBench, ME, TIMING, WEB } from './leader-harness.ts'
import { factsOf, openedBy, specOf, specRecord } from './placement-fixtures.ts'
import { Bench, KEY, running } from './worker-harness.ts'

const DEVICE = nodeId('device')

/** A worker that runs it no more, and said so: nobody seems to have heard. */
function ended(): Bench {
  const bench = running()
  bench.give({ kind: 'evict', key: KEY, reason: 'short' })
  bench.says({ kind: 'exited', key: KEY, code: 0, detail: '' })
  return bench
}

test('a worker that is reminded of an order says again what became of it, and with every reminder', () => {
  const bench = ended()
  const [before] = bench.look().records.slice(-1)
  bench.ask({}, { askId: 'asked' })
  assert.deepEqual(bench.look().records, [], 'who asks for room was told already')
  for (const askId of ['reminded', 'again']) {
    bench.ask({}, { askId, reminds: true })
    const [word, ...more] = bench.look().records
    assert.deepEqual([word?.state, word?.live, word?.fence], ['lost', false, before?.fence])
    assert.ok((word?.sequence ?? 0) > (before?.sequence ?? 0))
    assert.deepEqual(more, [])
  }
})

test('a reminder of what runs starts nothing, and is answered in the same way', () => {
  const bench = running()
  bench.look()
  bench.ask({}, { reminds: true })
  const { operations, records } = bench.look()
  assert.deepEqual(operations, [])
  assert.deepEqual(
    records.map(({ state, live }) => [state, live]),
    [['running', true]],
  )
})

test('an order that was declined is looked at anew when the leader reminds of it', () => {
  const bench = new Bench()
  bench.ask()
  bench.now += RESERVATION_MS
  bench.give({ kind: 'wake' })
  bench.ask({ name: 'large', memoryMb: 3_550 })
  putRecord(bench.table, specRecord(specOf(), bench.state.domain, CLOCK), 0)
  bench.place()
  assert.deepEqual(bench.states(), ['lost'])
  bench.ask({}, { askId: 'early', reminds: true })
  assert.deepEqual(bench.states(), ['lost'], 'there is still no room, and that is said again')
  bench.now += RESERVATION_MS
  bench.give({ kind: 'wake' })
  bench.ask({}, { askId: 'late', reminds: true })
  const { operations, records } = bench.look()
  assert.deepEqual(operations, ['start'])
  assert.deepEqual(
    records.map(({ state }) => state),
    ['starting'],
  )
})

test('only the leader is answered, and what is placed elsewhere is not spoken of', () => {
  const bench = ended()
  bench.place({ child: DEVICE, sequence: 2 })
  bench.look()
  bench.ask({}, { reminds: true })
  assert.deepEqual(bench.look().records, [])
})

test('a leader says of an ask whether it reminds of an order', () => {
  const bench = new LeaderBench([DEVICE])
  putRecord(bench.own, specRecord(specOf(), EU, CLOCK), 0)
  const order = { child: DEVICE, fence: FENCE, sequence: 1, specClock: CLOCK, reason: 'a test' }
  const placed = { kind: 'record/placement' as const, domain: EU, service: WEB, number: 0, ...order }
  putRecord(bench.own, openedBy(factsOf(ME, EU), placed), 0)
  bench.give({ kind: 'service-changed', service: WEB })
  assert.deepEqual(bench.sent('placement/ask'), [])
  bench.pass(TIMING.confirmMs)
  assert.deepEqual(
    bench.sent('placement/ask').map(({ to, message }) => [to, message.reminds]),
    [[DEVICE, true]],
  )
})
