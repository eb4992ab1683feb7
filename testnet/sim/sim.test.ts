// Hundreds of federations, each disturbed in its own way: nothing forbidden happens in any of them, and all of them
// settle.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { failureLine } from './report.ts'
import { runSeed } from './run.ts'
import { sizeOf } from './sizes.ts'

const SEEDS = 200
const CHUNK = 20
/** Virtual time of faults: long enough for electors to be promoted (10 s of steadiness) and lost again. */
const FAULTS_MS = 35_000

for (let first = 1; first <= SEEDS; first += CHUNK) {
  test(`seeds ${first} to ${first + CHUNK - 1} break no rule and settle`, () => {
    for (let seed = first; seed < first + CHUNK; seed++) {
      const options = { seed, ...sizeOf(seed), faultsMs: FAULTS_MS }
      const result = runSeed(options)
      assert.equal(result.failure, null, failureLine(options, result))
    }
  })
}

test('the same seed takes the same way twice', () => {
  for (const seed of [1, 4, 7, 13, 24]) {
    const options = { seed, ...sizeOf(seed), faultsMs: FAULTS_MS }
    const [once, again] = [runSeed(options), runSeed(options)]
    assert.equal(again.hash, once.hash, `seed ${seed}`)
    assert.deepEqual(again, once)
  }
})

test('another seed takes another way', () => {
  const hashes = [1, 2, 3, 4].map((seed) => runSeed({ seed, nodes: 3, clusters: 1, faultsMs: 5_000 }).hash)
  assert.equal(new Set(hashes).size, hashes.length)
})
