// When an instance counts as unhealthy, and when as healthy again.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { HEALTHY, onProbe } from './health-streak.ts'
import { healthPort } from './health-target.ts'
import { specWith } from './launch-fixture.ts'

test('health turns after so many failures in a row, once, and back at the first success', () => {
  const results = ['x', null, 'x', 'x', 'x', null, null]
  const news: (boolean | null)[] = []
  let streak = HEALTHY
  for (const problem of results) {
    const next = onProbe(streak, problem, { retries: 2, isStarting: false })
    streak = next.streak
    news.push(next.news?.healthy ?? null)
  }
  assert.deepEqual(news, [null, null, null, false, null, true, null])
})

test('failures of the start period do not count, until the first success', () => {
  const during = { retries: 1, isStarting: true }
  const early = onProbe(HEALTHY, 'x', during)
  assert.deepEqual([early.streak.failures, early.news], [0, null])
  const passed = onProbe(early.streak, null, during)
  assert.equal(onProbe(passed.streak, 'x', during).news?.healthy, false)
  assert.equal(onProbe(early.streak, 'x', { retries: 1, isStarting: false }).news?.healthy, false)
})

test('a health check finds its port by its outer number, by its inner one, or takes it literally', () => {
  const ports = [{ declared: 80, internal: 8080, protocol: 'tcp' as const }]
  const endpoint = { host: '127.0.0.1', ports: [{ declared: 80, actual: 3000, protocol: 'tcp' as const }] }
  const at = (port: number) =>
    healthPort(
      specWith({
        ports,
        healthcheck: {
          kind: 'tcp',
          port,
          path: '',
          intervalMs: 100,
          timeoutMs: 100,
          retries: 1,
          command: [],
          startPeriodMs: 0,
        },
      }),
      endpoint,
    )
  assert.deepEqual([at(80), at(8080), at(9000)], [3000, 3000, 9000])
  assert.equal(healthPort(specWith({ ports }), endpoint), null)
})
