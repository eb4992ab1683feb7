// When instances are read, and that their tunnels count.

import assert from 'node:assert/strict'
import { PassThrough } from 'node:stream'
import { type TestContext, test } from 'node:test'
import type { InstanceKey } from '../overlay/kernel/ids.ts'
import type { RuntimeOperation } from '../placement/index.ts'
import type { CoreInput } from './core/effects.ts'
import { createMetering, READ_AFTER_MS_MAX, READ_AFTER_MS_MIN } from './metering.ts'

const KEY = 'shop.demo.hello.web#0' as InstanceKey

/** A metering of one instance that uses a tenth of a core and 10 MB, on a clock of the test's. */
function bench(t: TestContext) {
  t.mock.timers.enable({ apis: ['setTimeout'] })
  let now = 0
  let reads = 0
  const told: Extract<CoreInput, { readonly kind: 'used' }>[] = []
  const stats = async () => {
    reads += 1
    return { cpuSeconds: now / 10_000, memoryMb: 10 }
  }
  const metering = createMetering({
    stats,
    now: () => now,
    input: (input) => void (input.kind === 'used' && told.push(input)),
  })
  const endpoint = { host: '127.0.0.1', ports: [] }
  const begin = (adopted: boolean): void =>
    metering.onInput({ kind: 'runtime', event: { kind: 'running', key: KEY, specId: '', endpoint, adopted } })
  const end = (known: { readonly cpuSeconds?: number } = {}): void =>
    metering.onInput({ kind: 'runtime', event: { kind: 'exited', key: KEY, code: 0, detail: '', ...known } })
  const pass = async (seconds: number): Promise<void> => {
    for (let passed = 0; passed < seconds; passed++) {
      now += 1_000
      t.mock.timers.tick(1_000)
      // What was read is told a few turns later.
      for (let turn = 0; turn < 5; turn++) await Promise.resolve()
    }
  }
  return { metering, told, begin, end, pass, reads: () => reads }
}

test('a run is read soon, then ever less often, and not at all after its end', async (t) => {
  const { begin, end, pass, reads, told } = bench(t)
  begin(false)
  await pass(READ_AFTER_MS_MIN / 1_000)
  assert.equal(reads(), 1)
  await pass(600)
  assert.ok(reads() > 600_000 / READ_AFTER_MS_MAX - 2 && reads() < 600_000 / READ_AFTER_MS_MAX + 6, `${reads()}`)
  const last = told.at(-1)?.used
  assert.ok(last !== undefined && last.cpuMs > 57_000 && last.cpuMs <= 60_100, `${last?.cpuMs} ms`)
  const before = reads()
  end()
  await pass(120)
  assert.equal(reads(), before)
})

test('what the runtime knows at the end counts, also of a run that was never read or never answered', async (t) => {
  const { begin, end, pass, told } = bench(t)
  begin(false)
  end({ cpuSeconds: 0.25 })
  assert.deepEqual([told.length, told.at(-1)?.used.cpuMs], [1, 250])
  end({ cpuSeconds: 0.5 })
  assert.equal(told.at(-1)?.used.cpuMs, 750, 'the next run did not answer before it ended')
  begin(false)
  await pass(1)
  end({ cpuSeconds: 0.3 })
  const sum = told.at(-1)?.used.cpuMs
  assert.equal(sum, 750 + 300, 'what was read before is part of it')
  begin(false)
  await pass(1)
  const read = told.at(-1)?.used.cpuMs ?? 0
  end({ cpuSeconds: 0.01 })
  assert.equal(told.at(-1)?.used.cpuMs, read, 'nothing that was counted is taken back')
})

test('before an instance is stopped, and before the node goes, it is read once more', async (t) => {
  const { metering, begin, pass, reads, told } = bench(t)
  const operations: RuntimeOperation[] = []
  const runtimes = metering.before({ run: (_runtime, operation) => operations.push(operation) })
  begin(false)
  await pass(10)
  const before = reads()
  runtimes.run('process', { kind: 'stop', key: KEY, graceMs: 1 })
  assert.deepEqual([reads() - before, operations.length], [1, 0], 'what is told to stop is read first')
  await new Promise(setImmediate)
  assert.equal(operations.length, 1)
  await metering.settle()
  assert.deepEqual([reads() - before, told.at(-1)?.isLast], [2, true])
})

test('bytes of tunnels count both ways, while they are open and after', async (t) => {
  const { metering, begin, pass, told } = bench(t)
  begin(true)
  const tunnel = Object.assign(new PassThrough(), { bytesRead: 3, bytesWritten: 4 })
  metering.onTunnel(KEY, tunnel)
  await pass(1)
  assert.equal(told.at(-1)?.used.carriedBytes, 7)
  const second = Object.assign(new PassThrough(), { bytesRead: 10, bytesWritten: 0 })
  metering.onTunnel(KEY, second)
  tunnel.emit('close')
  await metering.settle()
  assert.equal(told.at(-1)?.used.carriedBytes, 17)
})
