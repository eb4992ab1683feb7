// Frames come out as they went in, however the bytes between were cut; a length that makes no sense ends it.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { encode } from 'it-length-prefixed'
import { createFrameReader, type FrameReader } from './frame-reader.ts'

const BYTES_MAX = 300

function drain(reader: FrameReader): readonly Uint8Array[] {
  const frames: Uint8Array[] = []
  for (;;) {
    const next = reader.next()
    assert.ok(next.ok)
    if (next.value === null) return frames
    frames.push(next.value)
  }
}

test('frames come out whole and in order, in whatever pieces their bytes come', () => {
  const frames = fc.array(fc.uint8Array({ maxLength: BYTES_MAX }), { maxLength: 12 })
  fc.assert(
    fc.property(frames, fc.array(fc.integer({ min: 1, max: 64 }), { minLength: 1 }), (sent, cuts) => {
      const bytes = Buffer.concat(sent.map((one) => encode.single(one).subarray()))
      const reader = createFrameReader(BYTES_MAX)
      const received: Uint8Array[] = []
      for (let at = 0, turn = 0; at < bytes.length; turn++) {
        const end = at + (cuts[turn % cuts.length] as number)
        reader.add(bytes.subarray(at, end))
        received.push(...drain(reader))
        at = end
      }
      assert.deepEqual(
        received.map((one) => [...one]),
        sent.map((one) => [...one]),
      )
      assert.equal(reader.size, 0)
    }),
  )
})

test('a frame longer than allowed is refused by its length alone', () => {
  const reader = createFrameReader(BYTES_MAX)
  reader.add(encode.single(new Uint8Array(BYTES_MAX + 1)).subarray(0, 2))
  assert.equal(reader.next().ok, false)
})

test('a length without end is refused', () => {
  const reader = createFrameReader(BYTES_MAX)
  reader.add(new Uint8Array(4).fill(0x80))
  assert.deepEqual(reader.next(), { ok: true, value: null })
  reader.add(new Uint8Array([0x80]))
  assert.equal(reader.next().ok, false)
})

test('what waits is counted', () => {
  const reader = createFrameReader(BYTES_MAX)
  reader.add(new Uint8Array([3, 1, 2]))
  assert.deepEqual(reader.next(), { ok: true, value: null })
  assert.equal(reader.size, 3)
})
