// What is said of many seeds, and how a failing one is shown again.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createTally, failureLine } from './report.ts'
import type { RunResult } from './run.ts'

const HOUR_MS = 3_600_000
const result = (seed: number, change: Partial<RunResult> = {}): RunResult => ({
  seed,
  failure: null,
  virtualMs: HOUR_MS,
  settledMs: 5_000,
  faults: { kill: 2, pause: 1 },
  elections: 10,
  leaderlessMs: [100, 300, 900],
  nodes: 2,
  specs: 3,
  evictions: 0,
  idle: null,
  messages: 8_000,
  bytes: 4_000_000,
  hash: '',
  ...change,
})

test('the sums of many seeds: pace, hours, faults, elections, times to a leader, traffic of a node and hour', () => {
  const tally = createTally()
  tally.add(result(1))
  tally.add(result(2, { faults: { kill: 1 }, leaderlessMs: [2_000], settledMs: 9_000 }))
  const said = new Map(tally.lines(500).map((line) => [line.slice(0, 13).trim(), line.slice(13)]))
  assert.equal(said.get('seeds'), '2 in 0.5 s: 4.0 per second')
  assert.equal(said.get('virtual time'), '2.00 hours')
  assert.equal(said.get('faults'), '3 kill, 1 pause')
  assert.equal(said.get('elections'), '20')
  assert.equal(said.get('leaderless'), '4 times, for 0.9 s (median), 2.0 s (worst)')
  assert.equal(said.get('an hour has'), '4000 messages and 2000 KB of each node')
  assert.equal(said.get('settled'), 'after 9.0 s (median), 9.0 s (worst)')
  assert.match(said.get('failures') ?? '', /^0, at commit /)
})

test('a failing seed is shown with the command that repeats it', () => {
  const failed = result(7, { failure: { rule: 'one-leader', what: 'one-leader: two', at: 12_300 } })
  const tally = createTally()
  tally.add(failed)
  assert.deepEqual(tally.failures, [failed])
  const line = failureLine({ seed: 7, nodes: 5, clusters: 2, faultsMs: 20_000, kept: [1, 4] }, failed)
  assert.match(line, /seed 7, at 12\.3 s: one-leader: two/)
  assert.match(line, /npm run sim -- --seed 7 --nodes 5 --clusters 2 --seconds 20 --only 1,4$/)
})
