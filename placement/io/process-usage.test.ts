// What the kernel counts for an instance.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { launchOf } from '../launch-fixture.ts'
import { parseTimes } from '../process-launch.ts'
import { awaitOutput } from './driver-bench.ts'
import { bench, shell } from './process-bench.ts'
import { readGroupUsage, usageIn } from './process-usage.ts'

test('a line of the kernel is read whatever the program is called', () => {
  const line = '7 (a ) b (c) S 1 42 42 0 -1 4194304 100 0 0 0 10 20 3 4 20 0 1 0 555 8192 17 184467 0'
  assert.deepEqual(usageIn(line), { group: 42, ticks: 37, pages: 17 })
  assert.equal(usageIn(''), null)
  assert.equal(usageIn('7 (cut off'), null)
})

test('an instance that worked has used the processor and holds memory', async (t) => {
  const { driver, next } = await bench(t)
  // Programs that it waited for count as well: a loop of the shell itself, then one in a shell below.
  const loop = 'i=0; while [ $i -lt 60000 ]; do i=$((i+1)); done'
  const launch = launchOf(shell(`${loop}; sh -c '${loop}'; echo worked; sleep 60`))
  driver.start(launch)
  await next('running')
  await awaitOutput(driver, launch.key, 'worked\n')
  const stats = await driver.stats(launch.key)
  assert.ok(stats !== null && stats.cpuSeconds > 0.02 && stats.cpuSeconds < 60, `${stats?.cpuSeconds} s`)
  assert.ok(stats.memoryMb > 0.2 && stats.memoryMb < 500, `${stats.memoryMb} MB`)
  assert.equal(await driver.stats('a.b.c.d#0' as typeof launch.key), null)
  assert.deepEqual(await readGroupUsage(-1), { cpuSeconds: 0, memoryMb: 0 })
})

test('the end of a short run says what it took of the processor, with all that it waited for', async (t) => {
  const { driver, next } = await bench(t)
  const loop = 'i=0; while [ $i -lt 60000 ]; do i=$((i+1)); done'
  const launch = launchOf(shell(`sh -c '${loop}'; exit 3`))
  driver.start(launch)
  const { code, cpuSeconds = 0 } = await next('exited')
  assert.equal(code, 3)
  assert.ok(cpuSeconds > 0.01 && cpuSeconds < 60, `${cpuSeconds} s`)
})

test('what a shell says of times is read in any language', () => {
  assert.equal(parseTimes('0m0.00s 0m0.00s\n1m0.25s 0m0.50s\n'), 60.75)
  assert.equal(parseTimes('0m0,000s 0m0,000s\n0m0,250s 2m0,000s\n'), 120.25)
  for (const text of ['', '0m0.00s 0m0.00s', 'x\ny\n', '\n1m..s 0m0s']) assert.equal(parseTimes(text), null, text)
})
