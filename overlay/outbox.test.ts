// What waits to be sent to a peer is bounded, batched, and dropped oldest first.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { decode } from 'it-length-prefixed'
import { BATCH_BYTES_MAX, createOutbox, OUTBOX_AGE_MS_MAX, OUTBOX_BYTES_MAX, OUTBOX_MESSAGES_MAX } from './outbox.ts'

/** Packing has its own test. */
const AS_IT_IS = { pack: (frame: Uint8Array): Uint8Array => frame }

const messagesIn = (batch: Uint8Array | null): number[] =>
  batch === null ? [] : [...decode([batch])].map((bytes) => bytes.subarray()[0] ?? -1)

test('what was pushed together leaves together and in order', () => {
  const outbox = createOutbox()
  for (const value of [1, 2, 3]) outbox.push(new Uint8Array([value]), 0)
  assert.deepEqual(messagesIn(outbox.takeBatch(AS_IT_IS)), [1, 2, 3])
  assert.equal(outbox.takeBatch(AS_IT_IS), null)
})

test('a batch ends before it grows too large, but one message always fits', () => {
  const outbox = createOutbox()
  for (const value of [1, 2, 3]) outbox.push(new Uint8Array(BATCH_BYTES_MAX / 2).fill(value), 0)
  assert.deepEqual(messagesIn(outbox.takeBatch(AS_IT_IS)), [1])
  outbox.push(new Uint8Array(BATCH_BYTES_MAX).fill(4), 0)
  assert.deepEqual(
    [outbox, outbox, outbox].flatMap((one) => messagesIn(one.takeBatch(AS_IT_IS))),
    [2, 3, 4],
  )
})

test('at its limits the oldest goes first and is counted', () => {
  const outbox = createOutbox()
  let dropped = 0
  for (let i = 0; i < OUTBOX_MESSAGES_MAX + 5; i++) dropped += outbox.push(new Uint8Array([i % 256]), 0)
  assert.equal(dropped, 5)
  assert.equal(messagesIn(outbox.takeBatch(AS_IT_IS))[0], 5)

  const large = createOutbox()
  const half = OUTBOX_BYTES_MAX / 2
  assert.deepEqual(
    [half, half, half].map((length) => large.push(new Uint8Array(length), 0)),
    [0, 0, 1],
  )
  assert.equal(large.clear(), 2)
  assert.equal(large.push(new Uint8Array(OUTBOX_BYTES_MAX), 0), 0)
})

test('what waited too long is dropped and counted', () => {
  const outbox = createOutbox()
  outbox.push(new Uint8Array([1]), 0)
  outbox.push(new Uint8Array([2]), OUTBOX_AGE_MS_MAX)
  assert.equal(outbox.dropOld(OUTBOX_AGE_MS_MAX + 1), 1)
  assert.deepEqual(messagesIn(outbox.takeBatch(AS_IT_IS)), [2])
})
