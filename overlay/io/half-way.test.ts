// Two nodes that dial each other's ports come together, whoever begins.

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { after, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { dialAndListen } from './half-way.ts'

const LOOPBACK = '127.0.0.1'
/** Neither a multiple of the pause between two dials nor near one. */
const APART_MS = 30
const observer = createServer((socket) => void sockets.push(socket.on('error', () => {}))).listen(0, LOOPBACK)
const sockets: Socket[] = []
after(() => {
  observer.close()
  for (const socket of sockets) socket.destroy()
})

/** A port that is held by a connection to somebody else, as a mapping holds one while a member looks at it. */
async function heldPort(): Promise<number> {
  if (!observer.listening) await once(observer, 'listening')
  const holder = connect({ port: (observer.address() as AddressInfo).port, host: LOOPBACK, localAddress: '0.0.0.0' })
  sockets.push(holder)
  await once(holder, 'connect')
  return holder.localPort ?? 0
}

test('two that nothing keeps from each other come together though one begins before the other', async () => {
  const [one, other] = [await heldPort(), await heldPort()]
  const signal = AbortSignal.timeout(10_000)
  const done = new AbortController()
  const both = AbortSignal.any([signal, done.signal])
  const end = async (own: number, theirs: number): Promise<Socket> => {
    const met = Promise.withResolvers<Socket>()
    signal.addEventListener('abort', () => met.reject(new Error('they never met')))
    void dialAndListen(own, { host: LOOPBACK, port: theirs }, both, async (socket) => {
      sockets.push(socket)
      met.resolve(socket)
    })
    return await met.promise
  }
  const first = end(one, other)
  first.catch(() => {})
  await delay(APART_MS)
  const [a, b] = await Promise.all([first, end(other, one)])
  assert.deepEqual([a.remotePort, b.remotePort], [other, one])
  const heard = once(b, 'data')
  a.write('hello')
  assert.equal(String((await heard)[0]), 'hello')
  done.abort()
})
