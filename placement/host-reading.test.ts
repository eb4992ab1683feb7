// From raw counters to what a device says of itself.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  cpuShare,
  cpuTicks,
  gpuNames,
  hasGraphics,
  networkRates,
  parseNetworkDevices,
  powerOf,
} from './host-reading.ts'

const DEVICES = `Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier
    lo: 900 1 0 0 0 0 0 0 900 1 0 0 0 0 0 0
  eth0: 1000 5 0 0 0 0 0 0 300 4 0 0 0 0 0 0
 wlan0:50 5 0 0 0 0 0 0 20 4 0 0 0 0 0 0
docker0: 77 5 0 0 0 0 0 0 77 4 0 0 0 0 0 0
`

test('traffic is summed over real devices only, as a rate between two readings', () => {
  const before = parseNetworkDevices(DEVICES, 0)
  assert.deepEqual(before, { inBytes: 1050, outBytes: 320, atMs: 0 })
  assert.ok(before !== null)
  const after = { inBytes: 3050, outBytes: 820, atMs: 500 }
  assert.deepEqual(networkRates(before, after), { inBytesPerS: 4000, outBytesPerS: 1000 })
  assert.equal(networkRates(after, { ...before, atMs: 900 }), null)
  assert.equal(networkRates(before, { ...after, atMs: 0 }), null)
  assert.equal(parseNetworkDevices('nonsense', 0), null)
})

test('cpu use is the share of ticks that were not idle', () => {
  const before = cpuTicks([{ times: { user: 10, idle: 90 } }, { times: { user: 0, idle: 100 } }])
  const after = cpuTicks([{ times: { user: 60, idle: 140 } }, { times: { user: 0, idle: 200 } }])
  assert.equal(cpuShare(before, after), 0.25)
  assert.equal(cpuShare(before, before), null)
  assert.equal(cpuShare(after, before), null)
})

test('a device without a battery says nothing of its power', () => {
  assert.deepEqual(powerOf({ hasBattery: false, acConnected: true, percent: 0 }), {})
  assert.deepEqual(powerOf({ hasBattery: true, acConnected: false, percent: 40 }), {
    power: 'battery',
    batteryCharge: 0.4,
  })
})

test('only graphics processors with memory of their own are named', () => {
  const controllers = [
    { model: 'GeForce', vram: 8192 },
    { model: 'Frame buffer', vram: null },
    { model: '', vram: 512 },
  ]
  assert.deepEqual(gpuNames(controllers), ['GeForce'])
})

test('a graphics processor is looked for where a driver made a device file for one', () => {
  for (const name of ['dri', 'kfd', 'dxg', 'mali0', 'nvidia0', 'nvidiactl', 'nvhost-gpu', 'nvmap'])
    assert.ok(hasGraphics(['null', name]), name)
  assert.equal(hasGraphics(['null', 'nvme0n1', 'nvram', 'dri2', 'fb0', 'tty0']), false)
})
