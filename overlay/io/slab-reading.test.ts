// Reading into slabs, from real sockets, plain and TLS: all of it arrives, what is held stays as it was, and what comes
// back is read into again.

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type AddressInfo, connect, createServer, Socket } from 'node:net'
import { after, test } from 'node:test'
import { connect as connectTls, createServer as createTlsServer } from 'node:tls'
import fc from 'fast-check'
import { receiveIntoSlabs, SLAB_READERS_MAX } from './slab-reading.ts'
import { LENT_BYTES_MIN, lend, returnLent, SLAB_BYTES } from './slabs.ts'

const MIB = 1_048_576
const KEY = Buffer.alloc(32, 1)
const TLS = { ciphers: 'TLS_AES_128_GCM_SHA256', maxVersion: 'TLSv1.3' } as const
const open = new Set<Socket>()

/** Two ends of one connection; the second is the accepted one. */
async function pair(isTls: boolean): Promise<readonly [Socket, Socket]> {
  const server = isTls ? createTlsServer({ ...TLS, pskCallback: () => KEY }) : createServer()
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const accepted = once(server, isTls ? 'secureConnection' : 'connection')
  const dialled = isTls
    ? connectTls({ ...TLS, port, host: '127.0.0.1', pskCallback: () => ({ psk: KEY, identity: 'test' }) })
    : connect(port, '127.0.0.1')
  const [inner] = (await accepted) as [Socket]
  server.close()
  for (const socket of [dialled, inner]) open.add(socket.on('error', () => {}))
  return [dialled, inner]
}
after(() => {
  for (const socket of open) socket.destroy()
})

/** What stands at a place of everything that is sent; no two slabs begin with the same. */
const byteAt = (place: number): number => (place * 31 + (place >> 12)) & 0xff
const patternOf = (from: number, length: number): Buffer =>
  Buffer.from(Uint8Array.from({ length }, (_, index) => byteAt(from + index)))

async function send(to: Socket, sizes: readonly number[]): Promise<void> {
  let sent = 0
  for (const size of sizes) {
    if (!to.write(patternOf(sent, size))) await once(to, 'drain')
    sent += size
  }
  to.end()
}

interface Held {
  readonly at: number
  readonly bytes: Uint8Array
}

for (const isTls of [false, true])
  test(`all of it arrives, and what is held stays as it was${isTls ? ', from TLS' : ''}`, async () => {
    const cases = fc.record({
      sizes: fc.array(fc.integer({ min: 1, max: 300_000 }), { minLength: 1, maxLength: 20 }),
      held: fc.integer({ min: 0, max: 40 }),
      pausedEvery: fc.integer({ min: 1, max: 9 }),
    })
    await fc.assert(
      fc.asyncProperty(cases, async ({ sizes, held, pausedEvery }) => {
        const [from, to] = await pair(isTls)
        const holding: Held[] = []
        let arrived = 0
        let pieces = 0
        const letGo = ({ at, bytes }: Held): void => {
          assert.ok(Buffer.from(bytes).equals(patternOf(at, bytes.length)), `changed at ${at}`)
          returnLent(bytes)
        }
        const isInSlabs = receiveIntoSlabs(to, (bytes) => {
          holding.push({ at: arrived, bytes: lend(bytes) })
          arrived += bytes.length
          while (holding.length > held) letGo(holding.shift() as Held)
          pieces += 1
          if (pieces % pausedEvery !== 0) return
          to.pause()
          setImmediate(() => to.resume())
        })
        assert.ok(isInSlabs)
        to.resume()
        await Promise.all([send(from, sizes), once(to, 'end')])
        for (const one of holding) letGo(one)
        assert.equal(
          arrived,
          sizes.reduce((sum, size) => sum + size, 0),
        )
        from.destroy()
        to.destroy()
        await once(to, 'close')
      }),
      // Full records and nothing behind them but the end.
      { numRuns: 25, examples: [[{ sizes: [65_536], held: 0, pausedEvery: 9 }]] },
    )
  })

test('what has come back is read into again', async () => {
  const [from, to] = await pair(true)
  const memories = new Set<ArrayBufferLike>()
  let arrived = 0
  receiveIntoSlabs(to, (bytes) => {
    const lent = lend(bytes)
    memories.add(lent.buffer)
    arrived += bytes.length
    setImmediate(() => returnLent(lent))
  })
  to.resume()
  const piece = Buffer.alloc(MIB)
  for (let sent = 0; sent < 32; sent++) if (!from.write(piece)) await once(from, 'drain')
  from.end()
  await once(to, 'end')
  assert.equal(arrived, 32 * MIB)
  // Copies of what was small have memory of their own; of slabs there would be 227 if each were read into once.
  const slabs = [...memories].filter(({ byteLength }) => byteLength === SLAB_BYTES)
  assert.ok(slabs.length > 0 && slabs.length < 40, `${slabs.length} slabs`)
})

test('small pieces are copies, so that they hold no slab', async () => {
  const [from, to] = await pair(false)
  const got = new Promise<Uint8Array>((resolve) => receiveIntoSlabs(to, (bytes) => resolve(lend(bytes))))
  to.resume()
  from.write(patternOf(0, LENT_BYTES_MIN - 1))
  const bytes = await got
  assert.equal(bytes.buffer.byteLength, bytes.length)
  assert.equal(returnLent(bytes), false)
})

test('a socket in which bytes wait is read as sockets are, and so is one too many', async () => {
  assert.equal(
    receiveIntoSlabs(new Socket(), () => {}),
    false,
  )
  const [from, to] = await pair(false)
  to.pause()
  from.write('x')
  await once(to, 'readable')
  assert.equal(
    receiveIntoSlabs(to, () => {}),
    false,
  )
  assert.equal(to.read()?.toString(), 'x')
  const many = await Promise.all(Array.from({ length: SLAB_READERS_MAX }, () => pair(false)))
  const taken = many.filter(([, one]) => receiveIntoSlabs(one, () => {}))
  const [[, first] = [], spare] = [taken[0], (await pair(false))[1]]
  assert.equal(
    receiveIntoSlabs(spare, () => {}),
    false,
  )
  first?.destroy()
  if (first !== undefined) await once(first, 'close')
  assert.equal(
    receiveIntoSlabs(spare, () => {}),
    true,
  )
})
