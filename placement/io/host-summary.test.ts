// A reading of the device that the tests run on.

import assert from 'node:assert/strict'
import { tmpdir } from 'node:os'
import { test } from 'node:test'
import { createHostProbe } from './host-summary.ts'
import { createLoopDelayMonitor } from './loop-delay.ts'

test('a device is read with every amount in its bounds, rates from the second reading on', async () => {
  const probe = createHostProbe({ dataDir: tmpdir() })
  const first = await probe.read()
  assert.equal(first.cpuUsed, undefined)
  assert.equal(first.network, undefined)
  const second = await probe.read()
  assert.ok(second.cores >= 1)
  assert.ok(second.memoryMb.free > 0 && second.memoryMb.free <= second.memoryMb.total)
  assert.ok(second.diskMb !== undefined && second.diskMb.free <= second.diskMb.total)
  assert.ok(second.cpuUsed === undefined || (second.cpuUsed >= 0 && second.cpuUsed <= 1))
  assert.equal(second.architecture, process.arch)
})

test('a folder whose disk cannot be asked leaves the disk out and nothing else', async () => {
  const reading = await createHostProbe({ dataDir: '/no/such/folder' }).read()
  assert.equal('diskMb' in reading, false)
  assert.ok(reading.memoryMb.total > 0)
})

test('a blocked event loop shows in the next reading even when it is still blocked', () => {
  const monitor = createLoopDelayMonitor()
  const untilMs = performance.now() + 700
  while (performance.now() < untilMs);
  const delayMs = monitor.read()
  assert.ok(delayMs >= 90, `${delayMs} ms`)
  monitor.stop()
})
