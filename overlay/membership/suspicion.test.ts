// The arithmetic of doubt has the shape that Lifeguard gives it.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { HEALTH_SCORE_MAX, MEMBERSHIP_TIMING } from './constants.ts'
import {
  healthAfter,
  healthScore,
  isMajority,
  probeDeadlineMs,
  signsOfDelay,
  smoothed,
  suspicionMs,
} from './suspicion.ts'

const { lan } = MEMBERSHIP_TIMING
const closedBench = (witnesses: number, reachable: number) => ({
  reachable,
  witnesses,
  closed: witnesses,
  defenders: 0,
})

test('all watchers of one mind make the wait as short as it gets', () => {
  for (const reachable of [2, 3, 4]) assert.equal(suspicionMs(lan, closedBench(reachable, reachable)), lan.closed.msMin)
})

test('a witness whom nobody can confirm waits the longest', () => {
  assert.equal(suspicionMs(lan, closedBench(1, 1)), lan.closed.msMax)
  assert.equal(suspicionMs(lan, closedBench(1, 4)), lan.silent.msMax)
})

test('three of four witnesses wait as the formula says', () => {
  const expected = 2_900 - (2_700 * Math.log(3)) / Math.log(4)
  assert.equal(suspicionMs(lan, closedBench(3, 4)), Math.round(expected))
})

test('each witness more makes the wait shorter, within its bounds', () => {
  const property = fc.property(fc.integer({ min: 2, max: 10 }), fc.nat(9), (reachable, extra) => {
    const witnesses = 1 + (extra % (reachable - 1))
    const bench = (count: number) => ({ reachable, witnesses: count, closed: 0, defenders: 0 })
    const [fewer, more] = [suspicionMs(lan, bench(witnesses)), suspicionMs(lan, bench(witnesses + 1))]
    assert.ok(more < fewer && fewer <= lan.silent.msMax && more >= lan.silent.msMin)
  })
  fc.assert(property, { seed: 20261121, numRuns: 200 })
})

test('a closed connection decides the pace only when most of the reachable watchers saw it', () => {
  const mixed = { reachable: 4, witnesses: 4, defenders: 0 }
  assert.equal(suspicionMs(lan, { ...mixed, closed: 3 }), lan.closed.msMin)
  assert.equal(suspicionMs(lan, { ...mixed, closed: 2 }), lan.silent.msMin)
})

test('half is no majority', () => {
  assert.ok(!isMajority(2, 4) && !isMajority(0, 0) && isMajority(3, 4) && isMajority(1, 1))
})

test('a slow watcher gives others more time, and recovers with its own', () => {
  let health = { score: 0, at: 0 }
  for (let sign = 0; sign < 20; sign++) health = healthAfter(health, lan, 0, 1)
  assert.equal(healthScore(health, lan, 0), HEALTH_SCORE_MAX)
  assert.equal(probeDeadlineMs(lan, null, HEALTH_SCORE_MAX), lan.probeTimeoutMs * 9)
  assert.equal(healthScore(health, lan, 3 * lan.probeMs), HEALTH_SCORE_MAX - 3)
  assert.equal(healthScore(health, lan, 60 * lan.probeMs), 0)
  assert.equal(healthScore(healthAfter({ score: 0, at: 0 }, lan, 0, -1), lan, 0), 0)
})

test('a long path stretches the deadline, up to a bound', () => {
  assert.equal(probeDeadlineMs(lan, 10, 0), lan.probeTimeoutMs)
  assert.equal(probeDeadlineMs(lan, 200, 0), 800)
  assert.equal(probeDeadlineMs(lan, 60_000, 0), 2_500)
  assert.equal(smoothed(null, 80), 80)
  assert.equal(smoothed(80, 160), 90)
})

test('a delay of the own event loop counts by its length', () => {
  assert.deepEqual(
    [100, 125, 500, 501, 3_000].map((ms) => signsOfDelay(ms, lan)),
    [0, 1, 1, 2, 6],
  )
})
