// Docker's multiplexed log stream, cut anywhere.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { createFrameReader } from './docker-frames.ts'

const frame = (text: Uint8Array): Uint8Array => {
  const framed = new Uint8Array(8 + text.length)
  framed[0] = 1
  new DataView(framed.buffer).setUint32(4, text.length)
  framed.set(text, 8)
  return framed
}

test('whatever way the stream is cut, the same text comes out', () => {
  const pieces = fc.array(fc.uint8Array({ maxLength: 20 }), { maxLength: 8 })
  fc.assert(
    fc.property(pieces, fc.integer({ min: 1, max: 13 }), (texts, cut) => {
      const stream = Buffer.concat(texts.map(frame))
      const reader = createFrameReader()
      const read: Uint8Array[] = []
      for (let at = 0; at < stream.length; at += cut) read.push(...reader.read(stream.subarray(at, at + cut)))
      assert.deepEqual(Buffer.concat(read), Buffer.concat(texts))
    }),
    { seed: 5, numRuns: 300 },
  )
})
