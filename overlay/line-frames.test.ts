// Frames of a line: whatever is written is read again, however the bytes are cut up; nonsense ends the reading.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { concat } from 'uint8arrays/concat'
import {
  createFrameReader,
  FRAME_BYTES_MAX,
  FRAME_HEAD_BYTES,
  type FrameKind,
  readCredit,
  TUNNEL_NUMBER_MAX,
  writeCredit,
  writeHead,
} from './line-frames.ts'

interface Frame {
  readonly kind: FrameKind
  readonly tunnel: number
  readonly bytes: Uint8Array
}

const tunnel = fc.integer({ min: 0, max: TUNNEL_NUMBER_MAX })
const frames: fc.Arbitrary<readonly Frame[]> = fc.array(
  fc.oneof(
    fc.record({ kind: fc.constant<FrameKind>('credit'), tunnel, bytes: fc.uint8Array({ minLength: 4, maxLength: 4 }) }),
    fc.record({ kind: fc.constant<FrameKind>('data'), tunnel, bytes: fc.uint8Array({ minLength: 1, maxLength: 90 }) }),
    fc.record({
      kind: fc.constantFrom<FrameKind>('end', 'cut', 'ping'),
      tunnel,
      bytes: fc.constant(new Uint8Array(0)),
    }),
  ),
  { maxLength: 20 },
)

const bytesOf = (all: readonly Frame[]): Uint8Array =>
  concat(all.flatMap(({ kind, tunnel: number, bytes }) => [writeHead(kind, number, bytes.length), bytes]))

/** What a reader hands on, pieces of `data` joined again as far as they belong to one frame. */
function readAll(bytes: Uint8Array, cuts: readonly number[]): readonly Frame[] {
  const read: Frame[] = []
  const reader = createFrameReader((kind, number, piece) => {
    read.push({ kind, tunnel: number, bytes: piece.slice() })
  })
  let at = 0
  for (const cut of [...cuts, bytes.length]) {
    const until = Math.min(bytes.length, at + cut)
    assert.deepEqual(reader.take(bytes.subarray(at, until)), { ok: true, value: null })
    at = until
  }
  return read
}

/** Runs of `data` of one tunnel as one. */
function joined(all: readonly Frame[]): readonly Frame[] {
  const runs: Frame[] = []
  for (const frame of all) {
    const last = runs.at(-1)
    if (last?.kind === 'data' && frame.kind === 'data' && last.tunnel === frame.tunnel) {
      runs[runs.length - 1] = { ...last, bytes: concat([last.bytes, frame.bytes]) }
    } else runs.push(frame)
  }
  return runs
}

test('what is written is read again, however it is cut up', () => {
  fc.assert(
    fc.property(frames, fc.array(fc.nat(50), { maxLength: 60 }), (all, cuts) => {
      assert.deepEqual(joined(readAll(bytesOf(all), cuts)), joined(all.map((frame) => ({ ...frame }))))
    }),
  )
})

test('a whole data frame is handed on as the very bytes that came', () => {
  const bytes = new Uint8Array(FRAME_BYTES_MAX).fill(7)
  const seen: Uint8Array[] = []
  const reader = createFrameReader((_kind, _tunnel, piece) => void seen.push(piece))
  reader.take(writeHead('data', 1, bytes.length))
  reader.take(bytes)
  assert.equal(seen.length, 1)
  assert.equal(seen[0], bytes)
})

test('a kind that does not exist and a frame that is too long are refused', () => {
  const reader = () => createFrameReader(() => assert.fail('nothing was read'))
  const unknown = writeHead('data', 1, 5)
  unknown[0] = 99
  assert.equal(reader().take(unknown).ok, false)
  for (const kind of ['data', 'end', 'credit', 'cut', 'ping', 'pong'] as const) {
    assert.equal(reader().take(writeHead(kind, 1, FRAME_BYTES_MAX + 1)).ok, false, kind)
  }
  assert.equal(writeHead('end', 1, 0).length, FRAME_HEAD_BYTES)
})

test('a credit is read as it was written, and what is no credit as none', () => {
  assert.equal(readCredit(writeCredit(4_000_000_000)), 4_000_000_000)
  assert.equal(readCredit(new Uint8Array(3)), null)
})
