// The checkers can see: each planted bug is caught within a few seeds, by a rule that has to do with it.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { CANARIES } from './canaries.ts'
import { catches, hunt } from './canary-hunt.ts'

/** Within so many seeds a planted bug has to show, whatever became of the one that showed it before. */
const SEEDS_MAX = 60

for (const canary of CANARIES) {
  test(`a planted bug is noticed: ${canary.name}`, async () => {
    const first = canary.caughtBy ?? 1
    const seeds = Array.from({ length: SEEDS_MAX }, (_, index) => first + index)
    const found = await hunt(canary, seeds, { once: true })
    const last = found.answers.at(-1)
    assert.ok(catches(found).length > 0, `after ${found.answers.length} seeds: ${last?.what || 'nothing broke'}`)
  })
}

test('a passage that is not there cannot be replaced', async () => {
  const mutation = { file: 'election/leading.ts', find: 'no such line', replace: '' }
  await assert.rejects(hunt({ name: 'a canary out of date', mutation, rules: [] }, [1], { once: true }), /0 times/)
})
