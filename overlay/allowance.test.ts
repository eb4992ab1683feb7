// What a member may make this node do: so much in the long run, whatever it tries.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { ACCOUNTS_MAX, createAllowances } from './allowance.ts'
import { nodeId } from './kernel/ids.ts'
import type { Millis } from './kernel/time.ts'

const LIMITS = { perSecond: 100, burst: 500 }
const [flooder, other] = [nodeId('flooder'), nodeId('other')]

test('whoever waits as long as it is told never gets more than its pace and one burst', () => {
  fc.assert(
    fc.property(fc.array(fc.record({ amount: fc.nat(800), pauseMs: fc.nat(3_000) }), { maxLength: 60 }), (asked) => {
      const allowances = createAllowances(LIMITS)
      let now: Millis = 0
      let taken = 0
      for (const { amount, pauseMs } of asked) {
        now += pauseMs + allowances.take(flooder, amount, now + pauseMs)
        taken += amount
        assert.ok(taken <= LIMITS.burst + (now * LIMITS.perSecond) / 1_000 + 1, `${taken} after ${now} ms`)
      }
    }),
    { seed: 20261122, numRuns: 300 },
  )
})

test('what is dropped beyond the allowance costs nobody else anything', () => {
  const allowances = createAllowances(LIMITS)
  let passed = 0
  for (let at = 0; at < 10_000; at++) if (allowances.tryTake(flooder, 1, at)) passed += 1
  assert.equal(passed, LIMITS.burst + Math.floor((9_999 * LIMITS.perSecond) / 1_000))
  assert.equal(allowances.tryTake(other, LIMITS.burst, 10_000), true)
})

test('accounts are bounded: the one unused for longest is forgotten', () => {
  const allowances = createAllowances(LIMITS)
  assert.ok(allowances.tryTake(flooder, LIMITS.burst, 0))
  for (let number = 0; number < ACCOUNTS_MAX; number++) allowances.take(nodeId(`n${number}`), 1, 0)
  assert.ok(allowances.tryTake(flooder, LIMITS.burst, 0), 'a new account')
})
