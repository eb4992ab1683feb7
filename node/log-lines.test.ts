// Lines with their owner's number, whatever way the bytes are cut.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { LINE_BYTES_MAX, prefixed } from './log-lines.ts'

async function linesOf(text: string, cut: number): Promise<string> {
  const bytes = Buffer.from(text)
  const pieces = async function* () {
    for (let at = 0; at < bytes.length; at += cut) yield bytes.subarray(at, at + cut)
  }
  const said: Uint8Array[] = []
  for await (const line of prefixed('#1 | ', pieces())) said.push(line)
  return Buffer.concat(said).toString()
}

test('each line has the prefix and nothing is lost, whatever way the bytes are cut', async () => {
  const word = fc.string({ maxLength: 9 }).map((text) => text.replaceAll('\n', ''))
  await fc.assert(
    fc.asyncProperty(fc.array(word, { maxLength: 6 }), fc.integer({ min: 1, max: 7 }), async (words, cut) => {
      const text = words.map((line) => `${line}\n`).join('')
      assert.equal(await linesOf(text, cut), words.map((line) => `#1 | ${line}\n`).join(''))
    }),
    { seed: 3, numRuns: 200 },
  )
})

test('a last line without its end gets one, and a line without end is cut', async () => {
  assert.equal(await linesOf('one\ntwo', 2), '#1 | one\n#1 | two\n')
  const long = await linesOf('x'.repeat(2 * LINE_BYTES_MAX + 1), 10_000)
  assert.deepEqual(
    long.split('\n').map((line) => line.length),
    [LINE_BYTES_MAX + 5, LINE_BYTES_MAX + 5, 1 + 5, 0],
  )
})
