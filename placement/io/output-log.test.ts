// Reading logs that grow, rotate and are followed meanwhile.

import assert from 'node:assert/strict'
import { appendFile, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { collect } from './driver-bench.ts'
import { createOutputLogs, lastLine, openOutput } from './output-log.ts'

const SMALL = { bytesMax: 20, filesMax: 3 }
const all = { follow: false, tail: null, signal: new AbortController().signal }

async function logFileIn(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'coppice-'))
  t.after(() => rm(folder, { recursive: true }))
  return join(folder, 'output.log')
}

test('a log that an instance holds open is rotated under it, and the oldest piece goes', async (t) => {
  const file = await logFileIn(t)
  const logs = createOutputLogs(SMALL)
  const output = await openOutput(file)
  for (const line of [
    'the first long line',
    'the second long line',
    'the third long line',
    'the fourth long line',
    'last',
  ]) {
    await output.write(`${line}\n`)
    await logs.rotate(file)
  }
  await output.close()
  assert.equal(await readFile(file, 'utf8'), 'last\n')
  assert.equal(await collect(logs.read(file, all)), 'the third long line\nthe fourth long line\nlast\n')
  assert.equal(await collect(logs.read(file, { ...all, tail: 2 })), 'the fourth long line\nlast\n')
  assert.equal(await lastLine(file), 'last')
})

test('the last lines are found however long the log is', async (t) => {
  const file = await logFileIn(t)
  const logs = createOutputLogs(SMALL)
  const lines = Array.from({ length: 20_000 }, (_, index) => `line ${index}`)
  await writeFile(file, `${lines.join('\n')}\n`)
  for (const tail of [1, 10, 9_000]) {
    assert.equal(await collect(logs.read(file, { ...all, tail })), `${lines.slice(-tail).join('\n')}\n`)
  }
})

test('who follows a log loses nothing that was written before it was rotated', async (t) => {
  const file = await logFileIn(t)
  const logs = createOutputLogs(SMALL)
  await writeFile(file, 'one\n')
  const reading = new AbortController()
  let text = ''
  for await (const piece of logs.read(file, { follow: true, tail: null, signal: reading.signal })) {
    text += Buffer.from(piece).toString('utf8')
    if (text === 'one\n') {
      await appendFile(file, 'two, a line that fills it\n')
      await logs.rotate(file)
      await appendFile(file, 'three\n')
    }
    if (text.endsWith('three\n')) reading.abort()
  }
  assert.equal(text, 'one\ntwo, a line that fills it\nthree\n')
})

test('a log that is not there is empty', async (t) => {
  const file = await logFileIn(t)
  const logs = createOutputLogs(SMALL)
  assert.equal(await collect(logs.read(file, { ...all, follow: true, tail: 5 })), '')
  assert.equal(await lastLine(file), '')
})
