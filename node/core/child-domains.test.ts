// Since when a child domain counts as steady: nobody gives a vote to one that comes and goes.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ELECTION_TIMINGS, type LeaderBookView } from '../../election/index.ts'
import type { DomainPath } from '../../overlay/kernel/ids.ts'
import type { Millis } from '../../overlay/kernel/time.ts'
import { createChildDomains } from './child-domains.ts'

const { lan } = ELECTION_TIMINGS
const [root, child, own] = ['/', '/b', '/a'] as [DomainPath, DomainPath, DomainPath]

test('a child domain is steady since it was first heard of without a break in which it counted as gone', () => {
  let heardAt: Millis = 0
  const known = () => ({ heardAt, announcement: { fitness: 0.5 } })
  const book = { domains: () => [child, '/b/c'], leaderOf: known } as unknown as LeaderBookView
  const domains = createChildDomains(book, lan, () => ({ fitness: 1 }))
  const hear = (now: Millis): void => {
    heardAt = now
    domains.onProven(child, now)
  }
  const factAt = (now: Millis) => domains.factsIn(root, own, now).map(({ alive, steadySince }) => [alive, steadySince])
  for (let now = 1_000; now <= 61_000; now += lan.announceMs) hear(now)
  assert.deepEqual(factAt(62_000), [[true, 1_000]])
  hear(61_000 + 3 * lan.announceMs - 1)
  assert.deepEqual(factAt(91_000), [[true, 1_000]], 'two announcements may be missed')
  assert.deepEqual(factAt(200_000), [[false, 1_000]])
  hear(200_000)
  assert.deepEqual(factAt(200_001), [[true, 200_000]])
})
