// What ends itself when its leader does not say for too long that it may run: on its node, and what the leader says.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type NodeId, nodeId } from '../overlay/kernel/ids.ts'
import type { PlacementRecord } from '../services-registry/record.ts'
import { putRecord } from '../services-registry/table.ts'
import { encodeKept } from './kept.ts'
import { Bench as Leader, ME, FENCE as OWN_FENCE } from './leader-harness.ts'
import type { MayRunMessage } from './messages.ts'
import { factsOf, openedBy, specOf } from './placement-fixtures.ts'
import { encodeSpec, SPEC_DEFAULTS } from './spec.ts'
import { specIdOf } from './spec-id.ts'
import { wakeAt } from './worker.ts'
import { Bench, CLOCK, DOMAIN, FENCE, KEY, running, WEB } from './worker-harness.ts'

const SPAN_MS = 8_000
const single = { disconnect: { ...SPEC_DEFAULTS.disconnect, stopAfterMs: SPAN_MS } }
const spec = specOf(single)
const other = nodeId('other')

const asked = (bench: Bench): readonly MayRunMessage[] =>
  bench.effects.flatMap((effect) =>
    effect.kind === 'send' && effect.message.kind === 'placement/may-run' ? [effect.message] : [],
  )

/** The leader says yes to what was asked last. */
function answer(bench: Bench, changes: { readonly askedAt?: number; readonly term?: number } = {}): void {
  const last = asked(bench).at(-1)
  assert.ok(last !== undefined, 'it was asked')
  const { askedAt = last.askedAt, term = FENCE.term } = changes
  bench.hear({ ...last, kind: 'placement/run-on', fence: { ...FENCE, term }, askedAt })
}

/** Wakes it whenever something is due, until then. */
function passTo(bench: Bench, until: number, isInReach = false): void {
  for (let at = wakeAt(bench.state); at !== null && at <= until; at = wakeAt(bench.state)) {
    const before = asked(bench).length
    bench.wake()
    if (isInReach && asked(bench).length > before) answer(bench)
  }
  bench.now = until
}

/** One that runs, and whose leader said so just now. */
function alone(): Bench {
  const bench = new Bench()
  bench.ask(single)
  bench.place()
  bench.wake()
  answer(bench)
  bench.runs(KEY, spec)
  return bench
}

const operations = (bench: Bench): readonly string[] =>
  bench.effects.flatMap((effect) => (effect.kind === 'runtime' ? [effect.operation.kind] : []))
const lastRecord = (bench: Bench) =>
  bench.effects.flatMap((effect) => (effect.kind === 'author' ? [effect.record] : [])).at(-1)

test('it begins only when the leader has said that it may', () => {
  const bench = new Bench()
  bench.ask(single)
  bench.place()
  assert.deepEqual(operations(bench), [])
  assert.equal(lastRecord(bench)?.state, 'reserved')
  bench.wake()
  answer(bench)
  assert.deepEqual(operations(bench), ['start'])
})

test('it runs on for as long as the leader says so', () => {
  const bench = alone()
  passTo(bench, 20 * SPAN_MS, true)
  assert.deepEqual(operations(bench), ['start'])
})

test('it ends itself when nobody said so for the span, keeps the order, and says why', () => {
  const bench = alone()
  passTo(bench, SPAN_MS - 1)
  assert.deepEqual(operations(bench), ['start'])
  passTo(bench, SPAN_MS)
  assert.deepEqual(operations(bench), ['start', 'stop'])
  bench.says({ kind: 'exited', key: KEY, code: 0, detail: '' })
  const record = lastRecord(bench)
  assert.equal(record?.state, 'stopped')
  assert.equal(record?.live, true)
  assert.match(record?.reason ?? '', /leader of \/a .*disconnect\.stop_after/)
  assert.equal(bench.disk.size, 1)
  passTo(bench, 10 * SPAN_MS)
  assert.deepEqual(operations(bench), ['start', 'stop'])
})

test('it starts again when the leader says that it may', () => {
  const bench = alone()
  passTo(bench, SPAN_MS)
  bench.says({ kind: 'exited', key: KEY, code: 0, detail: '' })
  passTo(bench, 3 * SPAN_MS)
  answer(bench)
  assert.deepEqual(operations(bench), ['start', 'stop', 'start'])
})

test('one whose service does not want that any more starts at once', () => {
  const bench = alone()
  passTo(bench, SPAN_MS)
  bench.says({ kind: 'exited', key: KEY, code: 0, detail: '' })
  bench.ask()
  bench.place({ sequence: 2 })
  assert.deepEqual(operations(bench), ['start', 'stop', 'start'])
})

test('one that runs already when its service begins to want that has the whole span', () => {
  const bench = running()
  bench.now = 1_000
  bench.ask(single)
  bench.place({ sequence: 2 })
  passTo(bench, 1_000 + SPAN_MS - 1)
  assert.deepEqual(operations(bench), ['start'])
  passTo(bench, 1_000 + SPAN_MS)
  assert.deepEqual(operations(bench), ['start', 'stop'])
})

test('what was moved elsewhere meanwhile does not start again', () => {
  const bench = alone()
  passTo(bench, SPAN_MS)
  bench.says({ kind: 'exited', key: KEY, code: 0, detail: '' })
  bench.place({ child: other, sequence: 2 })
  assert.equal(lastRecord(bench)?.live, false)
  assert.equal(bench.disk.size, 0)
})

test('the span counts from when the leader was asked, not from when its answer came', () => {
  const bench = alone()
  passTo(bench, SPAN_MS - 1)
  answer(bench, { askedAt: 100 })
  passTo(bench, SPAN_MS + 99)
  assert.deepEqual(operations(bench), ['start'])
  passTo(bench, SPAN_MS + 100)
  assert.deepEqual(operations(bench), ['start', 'stop'])
})

test('the word of an older leader, of another start of the node, or of nobody who led, counts for nothing', () => {
  const bench = alone()
  passTo(bench, SPAN_MS / 2)
  const last = asked(bench).at(-1)
  assert.ok(last !== undefined)
  answer(bench, { term: FENCE.term - 1 })
  answer(bench, { askedAt: SPAN_MS })
  bench.hear({ ...last, kind: 'placement/run-on', fence: FENCE, incarnation: 7 })
  bench.hear({ ...last, kind: 'placement/run-on', fence: FENCE }, other)
  passTo(bench, SPAN_MS)
  assert.deepEqual(operations(bench), ['start', 'stop'])
})

test('one that ends by itself out of reach starts again only while it may', () => {
  const bench = alone()
  bench.now = SPAN_MS - 100
  bench.says({ kind: 'exited', key: KEY, code: 1, detail: '' })
  passTo(bench, 5 * SPAN_MS)
  assert.deepEqual(operations(bench), ['start'])
  assert.equal(lastRecord(bench)?.state, 'stopped')
})

const kept = (): Uint8Array =>
  encodeKept({
    kind: 'worker/kept',
    key: KEY,
    fence: FENCE,
    sequence: 1,
    specClock: CLOCK,
    spec: encodeSpec(spec),
    restarts: 0,
  })

test('after a reboot with no network it does not start before a leader is in reach', () => {
  const bench = new Bench([kept()])
  passTo(bench, 10 * SPAN_MS)
  assert.deepEqual(operations(bench), [])
  answer(bench)
  assert.deepEqual(operations(bench), ['start'])
})

test('what outlived the process of its node is taken over, and ends after the span like any other', () => {
  const bench = new Bench([kept()], false)
  bench.give({ kind: 'start' })
  bench.give({ kind: 'found', runtime: 'process', instances: [{ key: KEY, specId: specIdOf(spec), running: true }] })
  assert.deepEqual(operations(bench), ['start'])
  passTo(bench, SPAN_MS)
  assert.deepEqual(operations(bench), ['start', 'stop'])
})

const question = { kind: 'placement/may-run' as const, service: WEB, number: 0, incarnation: 3, askedAt: 17 }

/** What a leader of a cluster says to a device that asks about what is placed on a child. */
function told(child: NodeId, isDoubtful = false): readonly unknown[] {
  const leader = new Leader([ME, other])
  const { domain } = leader.state
  leader.isDoubtful = isDoubtful
  const record: PlacementRecord = {
    kind: 'record/placement',
    domain,
    service: WEB,
    number: 0,
    child,
    fence: OWN_FENCE,
    sequence: 1,
    specClock: CLOCK,
    reason: 'a test',
  }
  putRecord(leader.own, openedBy(factsOf(ME, domain), record), 0)
  leader.hear(ME, domain, { ...question, domain })
  return leader.sent('placement/run-on').map(({ message }) => message)
}

test('a leader says so to the device that an instance is placed on, and to no other', () => {
  const said = { ...question, kind: 'placement/run-on', fence: OWN_FENCE }
  assert.deepEqual(told(ME), [{ ...said, domain: new Leader().state.domain }])
  assert.deepEqual(told(other), [])
})

test('a leader of a side that went on without a majority, in silence, says nothing', () => {
  assert.deepEqual(told(ME, true), [])
})

test('the cluster of the device is the one that is asked', () => {
  const bench = alone()
  assert.equal(asked(bench)[0]?.domain, DOMAIN)
})
