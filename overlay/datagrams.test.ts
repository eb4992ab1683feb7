// Datagrams keep their bounds, however a tunnel cuts its bytes.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { createDatagramReader, DATAGRAM_BYTES_MAX, frameDatagram } from './datagrams.ts'

test('whatever datagrams go in come out, wherever the bytes are cut', () => {
  const some = fc.array(fc.uint8Array({ maxLength: 300 }), { maxLength: 8 })
  const property = fc.property(some, fc.integer({ min: 1, max: 50 }), (datagrams, cutBytes) => {
    const bytes = Buffer.concat(datagrams.map((one) => frameDatagram(one) ?? assert.fail('too long')))
    const reader = createDatagramReader()
    const found: Uint8Array[] = []
    for (let at = 0; at < bytes.length; at += cutBytes) {
      const read = reader.push(bytes.subarray(at, at + cutBytes))
      assert.ok(read.ok)
      found.push(...read.value)
    }
    assert.deepEqual(
      found.map((one) => [...one]),
      datagrams.map((one) => [...one]),
    )
  })
  fc.assert(property, { seed: 20261122, numRuns: 300 })
})

test('the longest datagram passes, a longer one is neither made nor read', () => {
  const longest = new Uint8Array(DATAGRAM_BYTES_MAX).fill(7)
  const framed = frameDatagram(longest)
  assert.ok(framed)
  const read = createDatagramReader().push(framed)
  assert.ok(read.ok)
  assert.equal(read.value[0]?.length, DATAGRAM_BYTES_MAX)
  assert.equal(frameDatagram(new Uint8Array(DATAGRAM_BYTES_MAX + 1)), null)
  assert.equal(createDatagramReader().push(new Uint8Array([255, 255])).ok, false)
})
