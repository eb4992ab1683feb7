// The checkers can see: each planted bug is caught within a few seeds, by a rule that has to do with it.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { CANARIES } from './canaries.ts'
import { runSeed } from './run.ts'

/** Within so many seeds a planted bug has to show. */
const SEEDS_MAX = 60

for (const { name, defects, rules } of CANARIES) {
  test(`${name} is noticed`, () => {
    for (let seed = 1; seed <= SEEDS_MAX; seed++) {
      const { failure } = runSeed({ seed, nodes: 5, clusters: 1, defects })
      if (failure === null) continue
      assert.ok(rules.includes(failure.rule), `seed ${seed} broke ${failure.rule}: ${failure.what}`)
      return
    }
    assert.fail(`no rule was broken in ${SEEDS_MAX} seeds`)
  })
}
