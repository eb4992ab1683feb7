// When a connection is asked whether anybody is there, by what came over it otherwise.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isAskedNow } from './liveness.ts'

const INTERVAL_MS = 5_000

/** When it is asked in a minute, looked at each second; `hears` says at which moments something comes otherwise. */
function asked(hears: (ms: number) => boolean): readonly number[] {
  const at: number[] = []
  let heardAt: number | undefined
  for (let now = 0; now < 60_000; now += 1_000) {
    if (hears(now)) heardAt = now
    if (isAskedNow({ askedAt: at.at(-1), heardAt }, INTERVAL_MS, now)) at.push(now)
  }
  return at.map((ms) => ms / 1_000)
}

test('a connection that says nothing is asked at once and at the interval', () => {
  assert.deepEqual(
    asked(() => false),
    [0, 5, 10, 15, 20, 25, 30, 35, 40, 45, 50, 55],
  )
})

test('one over which something comes is asked a third as often', () => {
  assert.deepEqual(
    asked(() => true),
    [0, 15, 30, 45],
  )
})

test('one that falls silent is asked an interval later, however it was before', () => {
  assert.deepEqual(asked((ms) => ms < 22_000).slice(0, 4), [0, 15, 26, 31])
  assert.deepEqual(asked((ms) => ms < 16_000).slice(0, 4), [0, 15, 20, 25])
})
