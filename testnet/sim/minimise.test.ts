// What is left is needed, and what is needed is left.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { minimise } from './minimise.ts'

const hundred = Array.from({ length: 100 }, (_, index) => index)

test('only what the failure needs remains', () => {
  const asked: number[] = []
  const fails = (kept: readonly number[]): boolean => {
    asked.push(kept.length)
    return kept.includes(17) && kept.includes(18) && kept.includes(93)
  }
  assert.deepEqual(minimise(hundred, fails), [17, 18, 93])
  assert.ok(asked.length < 200, `${asked.length} questions`)
})

test('a failure that needs nothing leaves nothing, one that needs all leaves all', () => {
  assert.deepEqual(
    minimise(hundred, () => true),
    [],
  )
  assert.deepEqual(
    minimise(hundred, (kept) => kept.length === 100),
    hundred,
  )
})
