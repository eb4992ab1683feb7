// What is mended of yamux: small messages cost one frame, and a stream on a closing connection ends nobody's process.

import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import type { Stream } from '@libp2p/interface'
import { multiaddrConnectionPair } from '@libp2p/utils'
import { multiplexer, spareWindowUpdates } from './multiplexer.ts'

const SMALL = new Uint8Array(100)
const WINDOW_BYTES = 262_144
/** Of the event loop, far more than any of this takes. */
const TURNS_MAX = 10_000

async function pair(isSparing: boolean) {
  const [near, far] = multiaddrConnectionPair()
  let answeredBytes = 0
  near.addEventListener('message', ({ data }) => {
    answeredBytes += data.byteLength
  })
  after(() => near.abort(new Error('the test is over')))
  const create = multiplexer({ enableKeepAlive: false })()
  const client = create.createStreamMuxer(near)
  const server = create.createStreamMuxer(far)
  let receivedBytes = 0
  server.addEventListener('stream', ({ detail: stream }: CustomEvent<Stream>) => {
    if (isSparing) spareWindowUpdates(stream)
    stream.addEventListener('message', ({ data }) => {
      receivedBytes += data.byteLength
    })
  })
  const stream = await client.createStream()
  const until = async (isTrue: () => boolean): Promise<void> => {
    for (let turns = 0; !isTrue() && turns < TURNS_MAX; turns++) await turn()
    assert.ok(isTrue(), 'it came about in time')
  }
  return { near, client, stream, until, answered: () => answeredBytes, received: () => receivedBytes }
}

test('small messages are not answered by window updates until half of the window is used', async () => {
  const { stream, until, answered, received } = await pair(true)
  stream.send(SMALL)
  await until(() => received() === SMALL.length)
  const opened = answered()
  for (let count = 0; count < 100; count++) stream.send(SMALL)
  await until(() => received() === 101 * SMALL.length)
  assert.equal(answered(), opened)
  stream.send(new Uint8Array(WINDOW_BYTES / 2))
  await until(() => answered() > opened)
})

test('a stream that was not asked to be sparing answers each message', async () => {
  const { stream, until, answered, received } = await pair(false)
  stream.send(SMALL)
  await until(() => received() === SMALL.length)
  const opened = answered()
  stream.send(SMALL)
  await until(() => received() === 2 * SMALL.length)
  assert.ok(answered() > opened)
})

test('more than a window arrives whole, however sparing', async () => {
  const { stream, until, received } = await pair(true)
  const total = 10 * WINDOW_BYTES
  stream.send(new Uint8Array(total))
  await until(() => received() === total)
})

test('a stream that is opened while its connection closes is aborted, and nothing is thrown', async () => {
  const { near, client } = await pair(false)
  const opening = client.createStream()
  void near.close()
  const stream = await opening.catch(() => null)
  await turn()
  assert.notEqual(stream?.status, 'open')
})
