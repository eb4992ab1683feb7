// How tunnels share the writes of their line: TLS makes records of each write by itself, so few large ones are wanted.

import assert from 'node:assert/strict'
import type { Socket } from 'node:net'
import { Duplex } from 'node:stream'
import { test } from 'node:test'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { DATA_BYTES_MAX, FRAME_HEAD_BYTES } from '../line-frames.ts'
import { WINDOW_BYTES_MIN } from '../line-window.ts'
import { Line } from './line.ts'

const TLS_RECORD_BYTES = 16_384

/** A line over a socket that takes all and tells what each write had. */
function lineOverRecorder() {
  const writes: number[] = []
  const duplex = new Duplex({
    read: () => {},
    write: (chunk: Uint8Array, _encoding, done) => {
      writes.push(chunk.length)
      done()
    },
    writev: (chunks, done) => {
      writes.push(chunks.reduce((sum, { chunk }) => sum + chunk.length, 0))
      done()
    },
  })
  const socket = Object.assign(duplex, { setNoDelay: () => {}, setKeepAlive: () => {} }) as unknown as Socket
  const setup = { purse: { bytes: 0 }, onTunnel: () => {}, onChange: () => {}, onClose: () => {} }
  return { line: new Line({ ...setup, socket, isDialler: true }), writes }
}

test('what several tunnels send in one callback is one write', async () => {
  const { line, writes } = lineOverRecorder()
  for (const word of ['one', 'two', 'three']) line.open().write(word)
  await nextTurn()
  assert.deepEqual(writes, [3 * FRAME_HEAD_BYTES + 'onetwothree'.length])
})

test('a window that is written at once is one write, which ends with a record of TLS', async () => {
  const { line, writes } = lineOverRecorder()
  const frames = Math.floor(WINDOW_BYTES_MIN / DATA_BYTES_MAX)
  line.open().write(new Uint8Array(frames * DATA_BYTES_MAX))
  await nextTurn()
  assert.deepEqual(writes, [frames * (DATA_BYTES_MAX + FRAME_HEAD_BYTES)])
  assert.equal((writes[0] ?? 0) % TLS_RECORD_BYTES, 0)
})
