// Which instances a placement is about: its own number, or all that are numbered below it.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { CHILDREN_PER_NUMBER, INSTANCE_NUMBER_MAX } from './record.ts'
import { isNumberOf } from './view.ts'

test('a placement is about the instance of its own number and about no other', () => {
  assert.ok(isNumberOf({ number: 5 }, 5))
  assert.ok(!isNumberOf({ number: 5 }, 5_003))
})

test('the placement of a daemon is about all that are numbered below it, at any depth', () => {
  const of = { number: 5, each: true }
  assert.ok(isNumberOf(of, 5 * CHILDREN_PER_NUMBER))
  assert.ok(isNumberOf(of, 5 * CHILDREN_PER_NUMBER + 999))
  assert.ok(isNumberOf(of, 5_003 * CHILDREN_PER_NUMBER + 7))
  for (const other of [4_999, 6_000, 50, 15_003, 0]) assert.ok(!isNumberOf(of, other), `${other}`)
})

test('three levels of daemons fit below the highest number', () => {
  const last = CHILDREN_PER_NUMBER - 1
  assert.ok((last * CHILDREN_PER_NUMBER + last) * CHILDREN_PER_NUMBER + last <= INSTANCE_NUMBER_MAX)
})
