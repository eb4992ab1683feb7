// One frame at a time, however it comes, and what a peer that is slow, or wishes ill, makes of it.

import assert from 'node:assert/strict'
import { duplexPair } from 'node:stream'
import { test } from 'node:test'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { PATIENCE_MS } from './fixtures.ts'
import { frame, readFrame } from './frames.ts'

const BYTES_MAX = 1_000
const MESSAGE = Uint8Array.from({ length: 300 }, (_, index) => index)

const pair = () => {
  const [near, far] = duplexPair()
  return { near: near.on('error', () => undefined), far: far.on('error', () => undefined) }
}

test('half a frame keeps nobody: other work goes on until the rest comes', async () => {
  const { near, far } = pair()
  const bytes = frame(MESSAGE)
  const whole = readFrame(near, BYTES_MAX, AbortSignal.timeout(PATIENCE_MS))
  // Each piece is written in a turn of its own, which comes only while the reader lets go of the thread.
  for (let at = 0; at < bytes.length; at += 7) {
    far.write(bytes.subarray(at, at + 7))
    await nextTurn()
  }
  assert.deepEqual(Uint8Array.from(await whole), MESSAGE)
})

test('whoever never says the rest is given up in time', async () => {
  const { near, far } = pair()
  far.write(frame(MESSAGE).subarray(0, 100))
  const patience = new AbortController()
  const waiting = readFrame(near, BYTES_MAX, patience.signal)
  await nextTurn()
  patience.abort(new Error('too slow'))
  await assert.rejects(waiting, { message: 'too slow' })
})

test('what follows a frame stays in the stream', async () => {
  const { near, far } = pair()
  far.write(Buffer.concat([frame(MESSAGE), frame(MESSAGE.subarray(0, 3)), Buffer.from('and more')]))
  const signal = AbortSignal.timeout(PATIENCE_MS)
  assert.equal((await readFrame(near, BYTES_MAX, signal)).length, 300)
  assert.equal((await readFrame(near, BYTES_MAX, signal)).length, 3)
  assert.equal(String(near.read()), 'and more')
})

test('a frame that is cut short, is too long, or has no end to its length is refused', async () => {
  for (const [bytes, problem] of [
    [frame(MESSAGE).subarray(0, 100), /ended within a frame/],
    [new Uint8Array(0), /ended within a frame/],
    [frame(new Uint8Array(BYTES_MAX + 1)), /1001 bytes; at most 1000/],
    [new Uint8Array(9).fill(0xff), /a length of more than 4 bytes/],
  ] as const) {
    const { near, far } = pair()
    far.end(bytes)
    await assert.rejects(readFrame(near, BYTES_MAX, AbortSignal.timeout(PATIENCE_MS)), problem)
  }
})
