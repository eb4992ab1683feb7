// The checkers can see: each planted bug is caught within a few seeds, by a rule that has to do with it.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { CANARIES } from './canaries.ts'
import { catches, hunt } from './canary-hunt.ts'

/** Within so many seeds a planted bug has to show. */
const SEEDS_MAX = 60
const SEEDS = Array.from({ length: SEEDS_MAX }, (_, index) => index + 1)

for (const canary of CANARIES) {
  test(`a planted bug is noticed: ${canary.name}`, async () => {
    const found = await hunt(canary, SEEDS, { once: true })
    const last = found.answers.at(-1)
    assert.ok(catches(found).length > 0, `after ${found.answers.length} seeds: ${last?.what || 'nothing broke'}`)
  })
}

test('a passage that is not there cannot be replaced', async () => {
  const mutation = { file: 'election/leading.ts', find: 'no such line', replace: '' }
  await assert.rejects(hunt({ name: 'a canary out of date', mutation, rules: [] }, [1], { once: true }), /0 times/)
})
