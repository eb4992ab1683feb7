// Seeds on several threads: the same results in the same order as on one.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { runSeeds } from './pool.ts'
import type { RunOptions, RunResult } from './run.ts'
import { sizeOf } from './sizes.ts'

const plans = Array.from({ length: 7 }, (_, index) => ({ seed: index + 1, ...sizeOf(index + 1), faultsMs: 5_000 }))

async function all(some: readonly RunOptions[], jobs: number): Promise<readonly RunResult[]> {
  const results: RunResult[] = []
  for await (const result of runSeeds(some, jobs)) results.push(result)
  return results
}

test('the number of threads changes neither a result nor the order of the results', async () => {
  assert.deepEqual(await all(plans, 3), await all(plans, 1))
})

test('a thread that fails is an error, not a result that is missing', async () => {
  const impossible = { seed: 1, nodes: -1, clusters: 1.5, faultsMs: 1_000 }
  await assert.rejects(all([...plans, impossible], 2))
})
