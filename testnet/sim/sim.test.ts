// Many federations, each disturbed in its own way: nothing forbidden happens in any of them, all of them settle, and
// each takes the same way when it is run again.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { failureLine } from './report.ts'
import { planOf, runSeed } from './run.ts'
import { sizeOf } from './sizes.ts'

const SEEDS = 60
const CHUNK = 6
/** Virtual time of faults: long enough for electors to be promoted (10 s of steadiness) and lost again. */
const FAULTS_MS = 35_000

for (let first = 1; first <= SEEDS; first += CHUNK) {
  test(`seeds ${first} to ${first + CHUNK - 1} break no rule, settle, and take the same way twice`, () => {
    for (let seed = first; seed < first + CHUNK; seed++) {
      const options = { seed, ...sizeOf(seed), faultsMs: FAULTS_MS }
      const once = runSeed(options)
      assert.equal(once.failure, null, failureLine(options, once))
      const again = runSeed(options)
      assert.equal(again.hash, once.hash, `seed ${seed}`)
      assert.deepEqual(again, once)
    }
  })
}

test('another seed takes another way', () => {
  const hashes = [1, 2, 3, 4].map((seed) => runSeed({ seed, nodes: 3, clusters: 1, faultsMs: 5_000 }).hash)
  assert.equal(new Set(hashes).size, hashes.length)
})

test('a fault that is left out of a plan changes the way, and none left out does not', () => {
  const options = { seed: 4, nodes: 4, clusters: 1, faultsMs: FAULTS_MS }
  const all = runSeed(options)
  assert.ok(planOf(options).length > 0)
  assert.equal(runSeed({ ...options, kept: planOf(options).map((_, number) => number) }).hash, all.hash)
  assert.notEqual(runSeed({ ...options, kept: [] }).hash, all.hash)
})
