// What an instance used: readings into totals, and when a worker says them.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { meterReading, meterRun, USE_SAID_MS, USES_MAX, useOf } from './usage.ts'
import { Bench, KEY, running } from './worker-harness.ts'

const stats = (cpuSeconds: number, memoryMb = 0) => ({ cpuSeconds, memoryMb })

test('a run counts from its beginning, one that was found from when it was found', () => {
  const begun = meterReading(meterRun(undefined, 0, false), stats(3, 100), 7, 2_000)
  assert.deepEqual(useOf(begun), { cpuMs: 3_000, memoryMbSeconds: 200, carriedBytes: 7 })
  const found = meterReading(meterRun(undefined, 0, true), stats(3, 100), 0, 2_000)
  assert.equal(useOf(found).cpuMs, 0)
  assert.equal(useOf(meterReading(found, stats(4), 0, 3_000)).cpuMs, 1_000)
})

test('the next run goes on from what was used before, and a count that fell began anew', () => {
  const first = meterReading(meterRun(undefined, 0, false), stats(5), 0, 1_000)
  const second = meterReading(meterRun(first, 10_000, false), stats(1), 0, 11_000)
  assert.equal(useOf(second).cpuMs, 6_000)
  assert.equal(useOf(meterReading(second, stats(0.25), 0, 12_000)).cpuMs, 6_250)
})

test('where a runtime says nothing the bytes count, and the time is not made up for later', () => {
  const silent = meterReading(meterRun(undefined, 0, false), null, 9, 60_000)
  assert.deepEqual(useOf(silent), { cpuMs: 0, memoryMbSeconds: 0, carriedBytes: 9 })
  assert.equal(useOf(meterReading(silent, stats(1, 10), 9, 61_000)).memoryMbSeconds, 10)
})

test('what was used never falls, whatever a runtime says', () => {
  const reading = fc.record({
    cpu: fc.double({ min: 0, max: 1e6, noNaN: true }),
    adopted: fc.boolean(),
    ms: fc.nat(9e6),
  })
  fc.assert(
    fc.property(fc.array(reading, { maxLength: 30 }), (readings) => {
      let [meter, at] = [meterRun(undefined, 0, false), 0]
      for (const { cpu, adopted, ms } of readings) {
        if (adopted) meter = meterRun(meter, at, true)
        at += ms
        const next = meterReading(meter, stats(cpu, cpu), at, at)
        assert.ok(useOf(next).cpuMs >= useOf(meter).cpuMs && next.used.memoryMbSeconds >= meter.used.memoryMbSeconds)
        meter = next
      }
    }),
  )
})

const used = (cpuMs: number) => ({ cpuMs, memoryMbSeconds: 1, carriedBytes: 2 })

test('what runs says what it used once an hour, not at each reading', () => {
  const bench = running()
  bench.look()
  for (let minute = 0; minute <= 120; minute++) {
    bench.now = minute * 60_000
    bench.give({ kind: 'used', key: KEY, used: used(minute), isLast: false })
  }
  const said = bench.look().records.map((record) => record.used?.cpuMs)
  assert.deepEqual(said, [USE_SAID_MS / 60_000, (2 * USE_SAID_MS) / 60_000])
})

test('each change of state says it too, and so does the last reading before the node goes', () => {
  const bench = running()
  bench.give({ kind: 'used', key: KEY, used: used(5), isLast: false })
  bench.look()
  bench.says({ kind: 'health', key: KEY, healthy: false, detail: 'no answer' })
  assert.deepEqual(bench.look().records[0]?.used, used(5))
  bench.give({ kind: 'used', key: KEY, used: used(6), isLast: true })
  assert.deepEqual(bench.look().records[0]?.used, used(6))
})

test('a reading that comes after the end is said at once', () => {
  const bench = new Bench()
  bench.ask({ kind: 'job' })
  bench.place()
  bench.runs()
  bench.says({ kind: 'exited', key: KEY, code: 0, detail: '' })
  const [last] = bench.look().records.slice(-1)
  assert.deepEqual([last?.live, last?.done], [false, true])
  bench.give({ kind: 'used', key: KEY, used: used(8), isLast: false })
  const after = bench.look().records.map((record) => [record.live, record.done, record.used?.cpuMs])
  assert.deepEqual(after, [[false, true, 8]])
})

test('of instances long gone the totals are forgotten', () => {
  const bench = running()
  for (let number = 1; number <= USES_MAX + 5; number++) {
    const key = `shop.prod.web.prod#${number}` as typeof KEY
    bench.give({ kind: 'used', key, used: used(1), isLast: false })
  }
  assert.equal(bench.state.uses.size, USES_MAX)
})
