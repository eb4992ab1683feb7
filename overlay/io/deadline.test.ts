// A deadline aborts for its own reason or for the outer one, and after its end for none.

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type AddressInfo, connect, createServer } from 'node:net'
import { test } from 'node:test'
import { within } from './deadline.ts'

const LONG_MS = 60_000

test('it aborts with the outer signal, for its reason, also where that was over before', () => {
  const outer = new AbortController()
  const { signal } = within(LONG_MS, outer.signal)
  assert.equal(signal.aborted, false)
  const why = new Error('the caller hung up')
  outer.abort(why)
  assert.equal(signal.reason, why)
  assert.equal(within(LONG_MS, outer.signal).signal.reason, why)
})

test('it aborts when the time is over, and says how long that was', async () => {
  const { signal } = within(1)
  await once(signal, 'abort')
  assert.match(String(signal.reason), /within 1 ms/)
})

test('after its end nothing aborts it, and its timer is gone', () => {
  const timers = (): number => process.getActiveResourcesInfo().filter((one) => one === 'Timeout').length
  const before = timers()
  const outer = new AbortController()
  const { signal, end } = within(LONG_MS, outer.signal)
  assert.equal(timers(), before + 1)
  end()
  outer.abort()
  assert.deepEqual([signal.aborted, timers()], [false, before])
})

test('what arrives while the process stands still is heard before its time is over', async () => {
  const server = createServer((socket) => socket.end('in time')).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const socket = connect((server.address() as AddressInfo).port, '127.0.0.1')
  await once(socket, 'connect')
  const { signal, end } = within(400)
  for (const until = performance.now() + 800; performance.now() < until; );
  const [bytes] = await once(socket, 'data', { signal })
  assert.equal(String(bytes), 'in time')
  end()
  server.close()
})
