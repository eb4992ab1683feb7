// Bytes through real nodes: all of them, in order, with bounded buffers and half-closes kept.

import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { Duplex, PassThrough, Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { after, before, test } from 'node:test'
import { err, ok } from '../kernel/result.ts'
import { createVillage, echo, HEADER, openTunnel, PATIENCE_MS, type TestNode } from './fixtures.ts'
import type { TunnelHandler } from './network.ts'

const MIB = 1_048_576
/** One window, the buffers of both duplexes, and what is on the way in sockets. */
const BUFFERED_BYTES_MAX = 16 * MIB

const village = createVillage()
let client: TestNode
let server: TestNode
let handler: TunnelHandler = async () => ok(echo())

before(async () => {
  ;[client, server] = await village.pair({}, { tunnels: (...call) => handler(...call) })
})
after(() => village.stop())

const open = (): Promise<Duplex> => openTunnel(client, server)

/** `pieces` pieces of 64 KiB, each different, hashed as they are made. */
function source(pieces: number) {
  const hash = createHash('sha256')
  let made = 0
  const stream = new Readable({
    read() {
      if (made === pieces) return void this.push(null)
      const piece = Buffer.alloc(65_536, made)
      piece.writeUInt32BE(made, 0)
      made += 1
      hash.update(piece)
      this.push(piece)
    },
  })
  return { stream, digest: () => hash.digest('hex'), made: () => made }
}

async function digestOf(stream: Readable): Promise<string> {
  const hash = createHash('sha256')
  // Whoever has read all may still be writing.
  for await (const bytes of stream.iterator({ destroyOnReturn: false })) hash.update(bytes as Uint8Array)
  return hash.digest('hex')
}

test('64 MB each way at once arrive whole', async () => {
  const down = source(1_024)
  const received = Promise.withResolvers<string>()
  handler = async () => {
    const inner = new PassThrough()
    received.resolve(digestOf(inner))
    return ok(Duplex.from({ readable: down.stream, writable: inner }))
  }
  const tunnel = await open()
  const up = source(1_024)
  const [, digest, upDigest] = await Promise.all([pipeline(up.stream, tunnel), digestOf(tunnel), received.promise])
  assert.equal(digest, down.digest())
  assert.equal(upDigest, up.digest())
})

test('a reader that stops reading stops the writer, so that little is buffered', async () => {
  const inner = new PassThrough()
  handler = async () => ok(Duplex.from({ readable: Readable.from([]), writable: inner }))
  const tunnel = await open()
  const up = source(1_024)
  const piped = pipeline(up.stream, tunnel, { end: true })
  // The writer has stopped when a whole round trip on the same connection passes and nothing more was made.
  for (let before = -1; before !== up.made(); ) {
    before = up.made()
    for (let i = 0; i < 5; i++) await client.network.ping(server.network.self, AbortSignal.timeout(PATIENCE_MS))
  }
  const buffered = up.made() * 65_536
  assert.ok(buffered <= BUFFERED_BYTES_MAX, `${buffered} bytes are buffered`)
  const [digest] = await Promise.all([digestOf(inner), piped])
  assert.equal(digest, up.digest())
})

test('ending one direction keeps the other open', async () => {
  handler = async () => {
    const inner = new PassThrough({ allowHalfOpen: true })
    const answer = new PassThrough()
    digestOf(inner).then((digest) => answer.end(digest))
    return ok(Duplex.from({ readable: answer, writable: inner }))
  }
  const tunnel = await open()
  tunnel.end('question')
  const answer = (await tunnel.toArray()).map(String).join('')
  assert.equal(answer, createHash('sha256').update('question').digest('hex'))
})

test('a refusal arrives with its code and its detail', async () => {
  handler = async () => err({ code: 'not-running', detail: 'it is still being pulled' })
  const tunnel = await client.network.openTunnel(server.network.self, HEADER, AbortSignal.timeout(PATIENCE_MS))
  assert.deepEqual(tunnel, { ok: false, error: { code: 'not-running', detail: 'it is still being pulled' } })
})

test('a cut on one side arrives as an error and not as an end', async () => {
  const inner = new PassThrough()
  handler = async () => ok(inner)
  const tunnel = await open()
  tunnel.write('x')
  await once(inner, 'data')
  inner.destroy(new Error('the instance died'))
  const [problem] = await once(tunnel.resume(), 'error')
  assert.match(String(problem), /reset/i)
})

test('200 tunnels at once carry their own bytes', async () => {
  handler = async () => ok(echo())
  const answers = await Promise.all(
    Array.from({ length: 200 }, async (_, index) => {
      const tunnel = await open()
      tunnel.end(`tunnel ${index}`)
      return (await tunnel.toArray()).map(String).join('')
    }),
  )
  assert.deepEqual(
    answers,
    Array.from({ length: 200 }, (_, index) => `tunnel ${index}`),
  )
})

test('a tunnel to a node that nobody knows is refused as unreachable', async () => {
  const stranger = await village.add()
  const tunnel = await client.network.openTunnel(stranger.network.self, HEADER, AbortSignal.timeout(PATIENCE_MS))
  assert.equal(tunnel.ok ? 'opened' : tunnel.error.code, 'unreachable')
})
