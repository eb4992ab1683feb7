// What is packed comes out as it was, and what is said again costs next to nothing.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { createPacker, createUnpacker, REFERENCE_BYTES_MAX, REFERENCES_MAX } from './frame-delta.ts'
import { MESSAGE_BYTES_MAX } from './wire/codec.ts'

const textBytes = (text: string): Uint8Array => new TextEncoder().encode(text)

/** Frames that resemble one another, as those of a stream do: variations of a few themes. */
const variation = fc
  .tuple(
    fc.constantFrom(
      'heartbeat of a leader, with its clock: ',
      'an answer that is quite another thing, ',
      '',
      'xx'.repeat(900),
    ),
    fc.nat({ max: 100_000 }),
    fc.constantFrom(' and a long tail that never changes', '', ' 123', 'x'.repeat(300)),
    fc.nat({ max: 9 }),
  )
  .map(([start, count, end, last]) => textBytes(`${start}${count}${end}${last}`))
const frames = fc.array(fc.oneof(variation, fc.uint8Array({ maxLength: 80 })), { maxLength: 60 })

test('every frame comes out as it went in, and packing costs one byte at most', () => {
  fc.assert(
    fc.property(frames, (sent) => {
      const packer = createPacker()
      const unpacker = createUnpacker()
      for (const frame of sent) {
        const packed = packer.pack(frame)
        const unpacked = unpacker.unpack(packed)
        assert.ok(unpacked.ok && packed.length <= frame.length + 1)
        assert.deepEqual(unpacked.value, frame)
      }
    }),
  )
})

test('what changes in a few bytes costs a few bytes, also when several kinds take turns', () => {
  const packer = createPacker()
  const kinds = Array.from({ length: REFERENCES_MAX }, (_, kind) => `${'what is always said '.repeat(8)} ${kind} `)
  const packedLength = (kind: string, count: number): number =>
    packer.pack(textBytes(`${kind}${String(count).padStart(6, '0')} once more`)).length
  for (const kind of kinds) packedLength(kind, 0)
  for (let count = 1; count < 50; count++) for (const kind of kinds) assert.ok(packedLength(kind, count) <= 10)
})

test('two changes far from each other are two small parts', () => {
  const packer = createPacker()
  const frame = (a: number, b: number): Uint8Array =>
    textBytes(`${'start '.repeat(20)}${a}${'middle '.repeat(20)}${b}${'end '.repeat(20)}`)
  packer.pack(frame(1, 1))
  assert.ok(packer.pack(frame(2, 2)).length <= 12)
})

test('frames that are too long to be kept are sent as they are, and confuse nobody', () => {
  const packer = createPacker()
  const unpacker = createUnpacker()
  const long = new Uint8Array(MESSAGE_BYTES_MAX).fill(7)
  for (const frame of [
    long,
    textBytes('short'),
    long,
    new Uint8Array(REFERENCE_BYTES_MAX).fill(1),
    textBytes('short'),
  ]) {
    assert.deepEqual(unpacker.unpack(packer.pack(frame)), { ok: true, value: frame })
  }
})

test('nonsense is refused and never unpacks to more than a message', () => {
  fc.assert(
    fc.property(frames, fc.array(fc.uint8Array({ maxLength: 40 }), { maxLength: 20 }), (sent, nonsense) => {
      const packer = createPacker()
      const unpacker = createUnpacker()
      for (const frame of sent) unpacker.unpack(packer.pack(frame))
      for (const bytes of nonsense) {
        const unpacked = unpacker.unpack(bytes)
        assert.ok(!unpacked.ok || unpacked.value.length <= MESSAGE_BYTES_MAX)
      }
    }),
  )
  const unpacker = createUnpacker()
  assert.equal(unpacker.unpack(new Uint8Array(0)).ok, false)
  assert.equal(unpacker.unpack(Uint8Array.of(1, 0)).ok, false, 'there is no frame to differ from yet')
  unpacker.unpack(Uint8Array.of(0, 1, 2, 3))
  assert.equal(unpacker.unpack(Uint8Array.of(1, 9)).ok, false, 'the end is longer than the frame')
  assert.equal(unpacker.unpack(Uint8Array.of(1, 0, 0, 5, 1)).ok, false, 'five new bytes are announced, one comes')
  assert.equal(unpacker.unpack(Uint8Array.of(1, 0, 0xff, 0xff, 0xff, 0xff, 0)).ok, false, 'a count without end')
  assert.equal(unpacker.unpack(Uint8Array.of(9, 0)).ok, false)
})
