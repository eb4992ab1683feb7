// A power cut takes what was said last and leaves the order: what the device then finds of its own word is of before.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { InstanceRecord } from '../services-registry/record.ts'
import { putRecord } from '../services-registry/table.ts'
import { factsOf, openedBy, summaryOf } from './placement-fixtures.ts'
import { Bench, CLOCK, DOMAIN, FENCE, KEY, running, SELF, WEB } from './worker-harness.ts'

/** A word of the device's life before this one. */
function recall(bench: Bench, sequence: number, state: InstanceRecord['state'], changes: Partial<InstanceRecord> = {}) {
  const word: InstanceRecord = {
    kind: 'record/instance',
    domain: DOMAIN,
    service: WEB,
    number: 0,
    state,
    incarnation: 0,
    sequence,
    endpoint: null,
    since: 0 as never,
    restarts: 0,
    reason: '',
    fence: FENCE,
    specClock: CLOCK,
    live: state !== 'stopped',
    ...changes,
  }
  putRecord(bench.table, openedBy(factsOf(SELF, DOMAIN), word), 0)
  bench.give({ kind: 'service-changed', service: WEB, number: 0 })
}

/** A device that took up its order again, and found that it had said of an earlier one that it was over. */
function rebooted(): Bench {
  const before = running()
  const bench = new Bench([...before.disk.values()], false)
  recall(bench, 3, 'stopped')
  bench.place()
  bench.give({ kind: 'start' })
  bench.give({ kind: 'found', runtime: 'process', instances: [] })
  bench.give({ kind: 'capacity', summary: summaryOf('me') })
  return bench
}

test('what is over for good stays over after a reboot', () => {
  const bench = rebooted()
  assert.deepEqual(bench.look().operations, [])
})

test('what others remember that the device said since of its order starts it again', () => {
  const bench = rebooted()
  bench.look()
  recall(bench, 5, 'running')
  const { operations, records } = bench.look()
  assert.deepEqual(operations, ['start'])
  assert.deepEqual([records[0]?.state, records[0]?.incarnation], ['starting', 1])
  recall(bench, 6, 'running')
  assert.deepEqual(bench.look().operations, [], 'once')
})

test('where there is no room for it any more, that is said', () => {
  const bench = rebooted()
  bench.give({ kind: 'capacity', summary: summaryOf('me', { intake: 'draining' }) })
  bench.look()
  recall(bench, 5, 'running')
  const { operations, records } = bench.look()
  assert.deepEqual(operations, [])
  assert.deepEqual([records[0]?.state, records[0]?.live], ['lost', false])
})

test('what it said of another order starts nothing', () => {
  const bench = rebooted()
  bench.look()
  recall(bench, 5, 'running', { fence: { epoch: 1, term: 4 } })
  recall(bench, 6, 'running', { specClock: { wall: 2, counter: 0 } })
  assert.deepEqual(bench.look().operations, [])
})

test('an order that is on the disk is taken up although the store has only the one before it', () => {
  const before = running()
  before.place({ child: null, sequence: 2 })
  before.says({ kind: 'exited', key: KEY, code: 0, detail: '' })
  before.ask({}, { askId: 'again' })
  before.place({ sequence: 3 })
  const bench = new Bench([...before.disk.values()], false)
  bench.place({ child: null, sequence: 2 })
  bench.give({ kind: 'start' })
  bench.give({ kind: 'found', runtime: 'process', instances: [] })
  assert.deepEqual(bench.look().operations, ['start'])
  bench.place({ child: null, sequence: 4 })
  assert.deepEqual(bench.look().operations, ['stop'])
})

test('what a device says is said again where others remember a life that it forgot with its disk', () => {
  const bench = running()
  bench.look()
  recall(bench, 9, 'starting', { incarnation: 4 })
  assert.deepEqual(bench.look().records, [], 'nothing that it could say would count')
  bench.give({ kind: 'incarnation', incarnation: 5 })
  const [said, ...more] = bench.look().records
  assert.deepEqual([said?.state, said?.incarnation, more.length], ['running', 5, 0])
})

test('such a word names no order that may not be on the disk yet', () => {
  const bench = running()
  bench.give({ kind: 'incarnation', incarnation: 5 })
  recall(bench, 9, 'starting', { incarnation: 4 })
  const last = bench.effects.findLast(({ kind }) => kind === 'persist' || kind === 'author')
  const written = bench.effects.findLast((effect) => effect.kind === 'persist')
  assert.ok(last?.kind === 'author' && written?.kind === 'persist' && written.sync)
  assert.deepEqual(written.then, [last])
})

test('a memory of it that comes later is corrected as well, once', () => {
  const bench = running()
  bench.give({ kind: 'incarnation', incarnation: 5 })
  bench.look()
  recall(bench, 9, 'starting', { incarnation: 4 })
  const [said, ...more] = bench.look().records
  assert.ok(said !== undefined)
  assert.deepEqual([said.state, said.incarnation, more.length], ['running', 5, 0])
  recall(bench, said.sequence, said.state, said)
  assert.deepEqual(bench.look().records, [])
})
