// Docker's multiplexed log stream, cut anywhere.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { createFrameReader, type FrameText } from './docker-frames.ts'

const frame = ({ text, stream }: { readonly text: Uint8Array; readonly stream: number }): Uint8Array => {
  const framed = new Uint8Array(8 + text.length)
  framed[0] = stream
  new DataView(framed.buffer).setUint32(4, text.length)
  framed.set(text, 8)
  return framed
}

test('whatever way the stream is cut, the same text comes out', () => {
  const pieces = fc.array(fc.record({ text: fc.uint8Array({ maxLength: 20 }), stream: fc.constantFrom(1, 2) }), {
    maxLength: 8,
  })
  fc.assert(
    fc.property(pieces, fc.integer({ min: 1, max: 13 }), (texts, cut) => {
      const stream = Buffer.concat(texts.map(frame))
      const reader = createFrameReader()
      const read: FrameText[] = []
      for (let at = 0; at < stream.length; at += cut) read.push(...reader.read(stream.subarray(at, at + cut)))
      for (const [number, name] of [
        [1, 'out'],
        [2, 'err'],
      ] as const) {
        const said = texts.filter((one) => one.stream === number).map((one) => one.text)
        const heard = read.filter((one) => one.stream === name).map((one) => one.text)
        assert.deepEqual(Buffer.concat(heard), Buffer.concat(said))
      }
    }),
    { seed: 5, numRuns: 300 },
  )
})
