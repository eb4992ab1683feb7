// Small tunnels stay out of the way of bulk, and there are no more lines than that takes.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { chooseLine, LINES_PER_PEER_MAX, type LineLoad, wantsAnother } from './line-choice.ts'

const line = (tunnels: number, load: Partial<LineLoad> = {}): LineLoad => ({
  tunnels,
  isBulky: false,
  isDoubted: false,
  ...load,
})
const bulky = (tunnels: number): LineLoad => line(tunnels, { isBulky: true })

test('a tunnel goes where there is no bulk, however many others are there', () => {
  assert.equal(chooseLine([bulky(1), line(500), line(7), bulky(1)]), 2)
})

test('where all carry bulk, it goes where there are fewest', () => {
  assert.equal(chooseLine([bulky(3), bulky(1), bulky(2)]), 1)
})

test('a line that may be broken is not chosen', () => {
  assert.equal(chooseLine([line(0, { isDoubted: true }), bulky(9)]), 1)
  assert.equal(chooseLine([line(0, { isDoubted: true })]), null)
  assert.equal(chooseLine([]), null)
})

test('another line is wanted as soon as all carry bulk, up to the limit', () => {
  assert.ok(!wantsAnother([]))
  assert.ok(!wantsAnother([bulky(1), line(0)]))
  assert.ok(wantsAnother([bulky(1), bulky(1)]))
  assert.ok(!wantsAnother(Array.from({ length: LINES_PER_PEER_MAX }, () => bulky(1))))
})
