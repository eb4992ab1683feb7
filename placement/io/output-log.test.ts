// Reading logs that grow, rotate and are followed meanwhile.

import assert from 'node:assert/strict'
import { appendFile, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { collect } from './driver-bench.ts'
import { createOutputLogs, lastLine, openOutput } from './output-log.ts'

const SMALL = { bytesMax: 20, filesMax: 3 }
const all = { follow: false, tail: null, sinceMs: null, signal: new AbortController().signal }

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
  for await (const piece of logs.read(file, { follow: true, tail: null, sinceMs: null, signal: reading.signal })) {
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

test('what was written in the last so many ms is read, to the mark before, also over a rotation', async (t) => {
  const file = await logFileIn(t)
  let now = 1_000_000
  const logs = createOutputLogs(SMALL, () => now)
  const write = async (text: string): Promise<void> => {
    await appendFile(file, text)
    await logs.rotate(file)
    now += 1_000
  }
  await write('one\n')
  await write('two\n')
  await write('a line that rotates\n')
  await write('four\n')
  const since = (sinceMs: number) => collect(logs.read(file, { ...all, sinceMs }))
  // Each was noted at the beginning of its second.
  assert.equal(await since(1_500), 'four\n')
  assert.equal(await since(2_500), 'a line that rotates\nfour\n')
  assert.equal(await since(60_000), 'one\ntwo\na line that rotates\nfour\n')
  assert.equal(await collect(logs.read(file, { ...all, sinceMs: 3_500, tail: 1 })), 'four\n')
  assert.equal(await since(0), '')
})

test('a log that was removed and begun again while it is followed is read from its beginning', async (t) => {
  const file = await logFileIn(t)
  await writeFile(file, 'the old copy\n')
  const logs = createOutputLogs(SMALL)
  const reading = new AbortController()
  let said = ''
  for await (const piece of logs.read(file, { ...all, follow: true, signal: reading.signal })) {
    const isFirst = said === ''
    said += Buffer.from(piece).toString()
    if (!isFirst) break
    await rm(file)
    await writeFile(file, 'the new copy says more\n')
  }
  reading.abort()
  assert.equal(said, 'the old copy\nthe new copy says more\n')
})
