// A few seconds of what `npm run fuzz` does for hours.

import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { allTargets } from './all-targets.ts'
import { OWN_READERS } from './own-readers.ts'
import { watchReaders } from './reached.ts'
import { growthMb, runFuzz } from './run.ts'
import type { Target } from './target.ts'

const MESSAGES = 4_000

const describe = ({ findings }: Awaited<ReturnType<typeof runFuzz>>): string =>
  findings
    .map(({ target, batch, what, input }) => `${target} ${batch}: ${what} ${Buffer.from(input).toString('base64')}`)
    .join('\n')

test('changed messages neither end a node nor hold it up, whoever signs them, and every reader gets some', async () => {
  const options = { seed: 7, messages: MESSAGES, targets: allTargets(), batchMessages: 500 }
  const { result, unreached } = await watchReaders(() => runFuzz(options), Object.keys(OWN_READERS))
  assert.equal(describe(result), '')
  assert.deepEqual(unreached, [], 'readers of what comes from outside that no target calls')
  for (const { name, messages, refused } of result.targets) {
    assert.ok(messages > 0, name)
    assert.ok(name.endsWith('frames') || name === 'datagrams' || refused > 0, `${name} refuses nothing`)
  }
})

test('a reader that nothing calls is found, and those that read their own are still there', async () => {
  const { unreached } = await watchReaders(async () => null, Object.keys(OWN_READERS))
  assert.ok(unreached.includes('placement/spec.ts#decodeSpec') && unreached.length > 30)
  for (const file of Object.keys(OWN_READERS)) assert.ok(existsSync(join(import.meta.dirname, '../..', file)), file)
})

test('a target that throws is a finding with its input, and its batch is the same the next time', async () => {
  const open = (): Awaited<ReturnType<Target['open']>> => ({
    fire: (random, onInput) => {
      const byte = Math.floor(random.next() * 256)
      onInput(Uint8Array.of(byte))
      if (byte === 7) throw new Error('seven')
      return { refused: false }
    },
    end: () => undefined,
  })
  const target: Target = { name: 'sevens', weight: 1, open }
  const options = { seed: 3, messages: 4_000, targets: [target], batchMessages: 2_000 }
  const [found] = (await runFuzz(options)).findings
  assert.match(found?.what ?? '', /seven/)
  assert.deepEqual(found?.input, Uint8Array.of(7))
  const again = await runFuzz({ ...options, onlyBatch: found?.batch })
  assert.equal(again.findings[0]?.message, found?.message)
})

test('a thread that is kept for too long is a finding, and memory that is kept is seen', async () => {
  const kept: Uint8Array[] = []
  const slow: Target = {
    name: 'slow',
    weight: 1,
    open: () => ({
      fire: () => {
        const until = process.threadCpuUsage().user + 150_000
        while (process.threadCpuUsage().user < until);
        return { refused: false }
      },
      end: () => undefined,
    }),
  }
  const { findings } = await runFuzz({ seed: 1, messages: 1, targets: [slow], batchMessages: 1 })
  assert.match(findings[0]?.what ?? '', /took \d{3,} ms/)
  const leak: Target = {
    name: 'leak',
    weight: 1,
    open: () => ({
      fire: () => {
        kept.push(new Uint8Array(0))
        for (let entry = 0; entry < 1_000; entry++) kept.push(new Uint8Array(1))
        return { refused: false }
      },
      end: () => undefined,
    }),
  }
  const { heapMb } = await runFuzz({ seed: 1, messages: 800, targets: [leak], batchMessages: 50 })
  assert.ok(growthMb(heapMb) > 16, `${growthMb(heapMb)} MB after ${kept.length} arrays`)
})
