// A line: whoever has something to say gets a frame through, however much others have; and it is there or it is not.

import assert from 'node:assert/strict'
import type { Socket } from 'node:net'
import { Duplex } from 'node:stream'
import { test } from 'node:test'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { createFrameReader, DATA_BYTES_MAX, writeCredit, writeHead } from '../line-frames.ts'
import { Line } from './line.ts'

const MIB = 1_048_576

/** A line whose socket takes two turns of the event loop for a write, and which tunnels had a frame on it, in order. */
function lineOnWire() {
  const frames: number[] = []
  const reader = createFrameReader((kind, tunnel) => kind === 'data' && frames.push(tunnel))
  const take = (bytes: Uint8Array): void => assert.ok(reader.take(bytes).ok)
  const later = (done: () => void): void => void setImmediate(() => setImmediate(done))
  const wire = new Duplex({
    read: () => {},
    write: (chunk: Uint8Array, _encoding, done) => {
      take(chunk)
      later(done)
    },
    writev: (chunks, done) => {
      for (const { chunk } of chunks) take(chunk)
      later(done)
    },
  })
  const socket = Object.assign(wire, { setNoDelay: () => wire, setKeepAlive: () => wire, bytesRead: 0 })
  const line = new Line({
    socket: socket as unknown as Socket,
    isDialler: true,
    purse: { bytes: 64 * MIB },
    onTunnel: () => {},
    onChange: () => {},
    onClose: () => {},
  })
  const allow = (tunnel: number, bytes: number): void => {
    wire.push(Buffer.concat([writeHead('credit', tunnel, 4), writeCredit(bytes)]))
  }
  return { line, frames, allow }
}

test('a tunnel that says little is heard in its turn while others say all they can', async (t) => {
  const { line, frames, allow } = lineOnWire()
  t.after(() => {
    line.destroy()
    for (const tunnel of bulk) tunnel.destroy()
  })
  const bulk = [line.open(), line.open()]
  // As from sockets that are read while the line writes.
  const sayAll = (tunnel: Duplex): void => {
    while (!tunnel.destroyed && !tunnel.writableNeedDrain) tunnel.write(new Uint8Array(DATA_BYTES_MAX))
    if (!tunnel.destroyed) setImmediate(sayAll, tunnel)
  }
  for (const tunnel of bulk) sayAll(tunnel)
  for (const number of [1, 3]) allow(number, 1_024 * MIB)
  while (frames.length < 32) await nextTurn()
  // One in each turn of the loop: some of them find room at once, and some do not.
  const said = new Map<number, number>()
  for (let number = 5; number < 45; number += 2) {
    line.open().write('a word')
    said.set(number, frames.length)
    await nextTurn()
  }
  while (frames.length < 400) await nextTurn()
  const waited = [...said].map(([number, at]) => frames.indexOf(number) - at)
  assert.ok(
    waited.every((others) => others >= 0 && others <= 16),
    `so many frames went first: ${waited}`,
  )
  const shares = [1, 3].map((number) => frames.filter((tunnel) => tunnel === number).length)
  assert.ok(Math.abs((shares[0] ?? 0) - (shares[1] ?? 0)) <= 16, `bulk had ${shares} frames`)
})

test('a sign of life ends the doubt at once', async (t) => {
  const { line, allow } = lineOnWire()
  t.after(() => line.destroy())
  const asked = line.check(600_000)
  allow(1, 1)
  assert.equal(await asked, true)
  assert.equal(await line.check(1), false)
})
