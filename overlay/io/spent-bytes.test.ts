// Bytes are freed when they were written, and never before: between real sockets, over a line, while others are cut.

import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { PassThrough } from 'node:stream'
import { after, test } from 'node:test'
import { err, ok } from '../kernel/result.ts'
import { FRAME_HEAD_BYTES } from '../line-frames.ts'
import { createVillage, HEADER } from './fixtures.ts'
import { freeSpent, maySpend, ownsItsBytes, SPENT_BYTES_MIN } from './spent-bytes.ts'
import { carryFrom } from './way-in.ts'

const MIB = 1_048_576
const BYTES = 16 * MIB

test('what fills its memory is freed, also behind the head of a frame; what shares it is left', () => {
  const whole = new Uint8Array(SPENT_BYTES_MIN)
  freeSpent(whole)
  assert.equal(whole.buffer.byteLength, 0)
  const behindHead = new Uint8Array(SPENT_BYTES_MIN + FRAME_HEAD_BYTES).subarray(FRAME_HEAD_BYTES)
  freeSpent(behindHead)
  assert.equal(behindHead.buffer.byteLength, 0)
  for (const [from, to] of [
    [0, SPENT_BYTES_MIN],
    [FRAME_HEAD_BYTES + 1, 2 * SPENT_BYTES_MIN],
  ]) {
    const shared = new Uint8Array(2 * SPENT_BYTES_MIN).subarray(from, to)
    freeSpent(shared)
    assert.equal(shared.buffer.byteLength, 2 * SPENT_BYTES_MIN)
  }
  const pooled = Buffer.from('as short as a request')
  freeSpent(pooled)
  assert.ok(pooled.buffer.byteLength > 0)
})

test('only between streams that give their bytes away', () => {
  const own = new PassThrough()
  ownsItsBytes(own)
  assert.equal(maySpend(own, own), true)
  assert.equal(maySpend(own, new PassThrough()), false)
  assert.equal(maySpend(new PassThrough(), own), false)
})

/** A server on loopback that answers with the hash of what it was sent. */
async function hashServer() {
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    const hash = createHash('sha256')
    socket.on('error', () => {})
    socket.on('data', (bytes) => hash.update(bytes))
    socket.on('end', () => socket.end(hash.digest('hex')))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return { port: (server.address() as AddressInfo).port, close: () => server.close() }
}

/** Writes a piece after the other, of any size, as fast as it is taken; resolves when all were. */
async function send(socket: Socket, bytes: Uint8Array): Promise<void> {
  for (let at = 0, size = 1; at < bytes.length; at += size) {
    size = 1 + ((at * 7_919) % 200_000)
    if (!socket.write(bytes.subarray(at, at + size))) await once(socket, 'drain')
  }
}

test('streams over one line arrive whole while others on it are cut', async () => {
  const village = createVillage()
  const server = await hashServer()
  after(async () => {
    await village.stop()
    server.close()
  })
  const [near, far] = await village.pair({}, { tunnels: async () => ok(connect(server.port, '127.0.0.1')) })
  const wayIn = await carryFrom(
    { host: '127.0.0.1', port: 0 },
    'svc',
    async (_address, signal) => {
      const tunnel = await near.network.openTunnel(far.network.self, HEADER, signal)
      return tunnel.ok ? tunnel : err({ code: tunnel.error.code, sentence: tunnel.error.detail })
    },
    ({ sentence }) => assert.fail(sentence),
  )
  after(() => wayIn.close())
  const dial = (): Socket => connect({ host: wayIn.host, port: wayIn.port, allowHalfOpen: true })
  const bytes = randomBytes(BYTES)
  const callers = Array.from({ length: 3 }, async () => {
    const socket = dial()
    const answer = socket.toArray()
    await send(socket, bytes)
    socket.end()
    return String(Buffer.concat(await answer))
  })
  for (let index = 0; index < 10; index++) {
    const cut = dial()
    cut.on('error', () => {})
    await send(cut, bytes.subarray(0, MIB))
    cut.resetAndDestroy()
  }
  const expected = createHash('sha256').update(bytes).digest('hex')
  assert.deepEqual(await Promise.all(callers), Array(3).fill(expected))
  assert.ok((near.network.counters()['tunnels-on-lines'] ?? 0) >= 3)
})
