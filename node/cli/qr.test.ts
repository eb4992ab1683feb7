// What is drawn is a QR code of the line, or a word on why there is none.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { drawQr } from './qr.ts'

/** What `drawQr` says of a line. */
async function drawn(line: string): Promise<string> {
  const said: string[] = []
  const unused = (): never => assert.fail('a picture is neither an answer nor a question')
  await drawQr({ dataDir: '', json: false, client: unused, answer: unused, say: (text) => void said.push(text) }, line)
  return said.join('\n')
}

test('the three corners that a scanner looks for are there, and other lines look different', async () => {
  const picture = await drawn('coppice1:abc')
  const [top = ''] = picture.split('\n').filter((row) => row.includes('▄▄▄▄▄'))
  assert.equal(top.match(/█ ▄▄▄▄▄ █/g)?.length, 2)
  assert.notEqual(picture, await drawn('coppice1:abd'))
})

test('a line that no code can hold is told', async () => {
  assert.match(await drawn('x'.repeat(3_000)), /too long/)
})
