// What the kernel counts for an instance.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { launchOf } from '../launch-fixture.ts'
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
