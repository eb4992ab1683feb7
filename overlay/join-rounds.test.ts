// A guest comes back at its pace whoever is away, gives who is busy more time, and ends at some time.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  beginRounds,
  isOver,
  JOIN_ABSENT_MS_MAX,
  JOIN_MS_MAX,
  JOIN_PATIENCE_MS_MAX,
  JOIN_PATIENCE_MS_MIN,
  JOIN_PAUSE_MS_MAX,
  JOIN_PAUSE_MS_MIN,
  onRound,
  patienceMs,
  pauseMs,
} from './join-rounds.ts'
import { seededRandom } from './kernel/random.ts'

test('a guest that finds nobody comes back soon, as often as before, and gives up after two minutes', () => {
  const random = seededRandom(1)
  let rounds = beginRounds(0)
  let now = 0
  let count = 0
  while (!isOver(rounds, now)) {
    rounds = onRound(rounds, false, now)
    assert.equal(patienceMs(rounds), JOIN_PATIENCE_MS_MIN)
    const pause = pauseMs(rounds, random)
    assert.ok(pause >= JOIN_PAUSE_MS_MIN / 2 && pause <= JOIN_PAUSE_MS_MIN * 1.5, String(pause))
    now += pause
    count += 1
  }
  assert.ok(now >= JOIN_ABSENT_MS_MAX && now < JOIN_ABSENT_MS_MAX + JOIN_PAUSE_MS_MIN * 1.5)
  assert.ok(count > 40, String(count))
})

test('a guest gives a busy device more time in each round, and is not put off by two minutes of that', () => {
  let rounds = beginRounds(0)
  let now = 0
  const patience: number[] = []
  while (!isOver(rounds, now)) {
    now += patienceMs(rounds)
    patience.push(patienceMs(rounds))
    rounds = onRound(rounds, true, now)
  }
  assert.deepEqual(patience.slice(0, 5), [10_000, 20_000, 40_000, 80_000, 80_000])
  assert.ok(now >= JOIN_MS_MAX && now < JOIN_MS_MAX + JOIN_PATIENCE_MS_MAX)
})

test('whatever the rounds were, waits stay within their bounds and there is an end', () => {
  fc.assert(
    fc.property(fc.array(fc.boolean(), { minLength: 1 }), fc.integer(), (busy, seed) => {
      const random = seededRandom(seed)
      let rounds = beginRounds(0)
      let now = 0
      for (let round = 0; !isOver(rounds, now); round++) {
        rounds = onRound(rounds, busy[round % busy.length] ?? false, now)
        const pause = pauseMs(rounds, random)
        assert.ok(pause >= JOIN_PAUSE_MS_MIN / 2 && pause <= JOIN_PAUSE_MS_MAX * 1.5)
        assert.ok(patienceMs(rounds) >= JOIN_PATIENCE_MS_MIN && patienceMs(rounds) <= JOIN_PATIENCE_MS_MAX)
        now += pause
      }
      assert.ok(now < JOIN_MS_MAX + JOIN_PAUSE_MS_MAX * 1.5)
    }),
  )
})
