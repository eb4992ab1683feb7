// An operator orders a domain to go on without its majority. Nobody can take that back, so it is refused for as long
// as a majority, or a leader, was heard within the last lease.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { NodeId } from '../overlay/kernel/ids.ts'
import { step } from './election.ts'
import {
  answer,
  at,
  berlin,
  elector,
  heartbeat,
  lan,
  leader,
  preVote,
  second,
  third,
  told,
} from './elector.test-kit.ts'
import { recoveryProblem } from './operator-order.ts'
import type { ElectionState } from './state.ts'
import { createWorld, domainOf, QUICK, type World } from './world.test-kit.ts'

/** When it has listened for long enough to know that nobody is there. */
const LISTENED_MS = 10_000

/** A root and one cluster of three, which go on without a majority only where an operator says so. */
const manualWorld = (seed: number): World =>
  createWorld({
    seed,
    clusters: { berlin: 3 },
    autonomy: 'manual',
    timing: { ...QUICK, quorumLossMs: { cluster: 8_000, above: 8_000 } },
  })

test('a domain under manual autonomy waits, and goes on by an operator’s order, but not against a majority', () => {
  const world = manualWorld(2)
  world.run(8_000)
  const leader = world.agreed(berlin) as NodeId
  assert.equal(world.recover(leader, berlin), 'leader-heard')
  const [first, second] = world.all.filter((id) => id !== leader) as [NodeId, NodeId]
  assert.equal(world.recover(first, berlin), 'leader-heard')
  world.cutPower(leader)
  world.cutPower(second)
  world.run(60_000)
  assert.deepEqual(world.leaders(berlin), [])
  assert.equal(world.recover(first, berlin), null)
  world.until('it leads', () => world.leaders(berlin).includes(first), 1_000)
  assert.equal(world.seat(first)?.state.register?.predecessor?.cause, 'order')
})

/** Whether the machine does as `recoveryProblem` says, whichever that is. */
function problemAt(state: ElectionState, now: number): ReturnType<typeof recoveryProblem> {
  const problem = recoveryProblem(state, now)
  const { effects } = step(state, { kind: 'recover' }, at(now))
  assert.equal(
    effects.some((one) => one.kind === 'emit' && one.event.name === 'quorum-recovered'),
    problem === null,
  )
  return problem
}

test('a majority that was heard within the last lease needs no operator, though nobody leads it', () => {
  const [asked] = told(elector(), LISTENED_MS, preVote(third))
  assert.equal(problemAt(asked, LISTENED_MS + 1), 'majority-heard')
  assert.equal(problemAt(asked, LISTENED_MS + lan.leaseMs - 1), 'majority-heard')
  assert.equal(problemAt(asked, LISTENED_MS + lan.leaseMs), null)
})

test('those who are no electors, or of another line, make no majority', () => {
  const stranger = 'berlin-9' as NodeId
  const [asked] = told(elector(), LISTENED_MS, preVote(stranger, { ticket: '' }), preVote(third, { line: 'line-b' }))
  assert.equal(problemAt(asked, LISTENED_MS + 1), null)
})

test('a leader that was heard a moment ago counts, also when its connection has closed and others are asked', () => {
  const [led] = told(elector(), LISTENED_MS, heartbeat(second, { term: 1 }))
  const [asking] = told(led, LISTENED_MS + 100, { kind: 'connection-closed', child: second })
  assert.equal(problemAt(asking, LISTENED_MS + 101), 'leader-heard')
  const [alone] = told(asking, LISTENED_MS + 200, { kind: 'wake' })
  assert.equal(alone.role.kind, 'pre-candidate')
  assert.equal(problemAt(alone, LISTENED_MS + 201), 'majority-heard', 'it was the second of three')
  assert.equal(problemAt(alone, LISTENED_MS + lan.leaseMs), null)
})

test('a leader that gives way heard its electors until then', () => {
  const [answered] = told(leader(LISTENED_MS), LISTENED_MS + 501, answer(third, LISTENED_MS + 500))
  assert.equal(problemAt(answered, LISTENED_MS + 502), 'leader-heard')
  const closed = [second, third].map((child) => ({ kind: 'connection-closed', child }) as const)
  const [alone] = told(answered, LISTENED_MS + 600, ...closed)
  assert.equal(alone.role.kind, 'follower')
  assert.equal(problemAt(alone, LISTENED_MS + 601), 'majority-heard')
  assert.equal(problemAt(alone, LISTENED_MS + 500 + lan.leaseMs), null)
})

test('where the network is slow the last lease is as long as it was promised for', () => {
  const roundTrip = { meanMs: 3_000, deviationMs: 0 }
  const [led] = told(elector(), LISTENED_MS, heartbeat(second, { term: 1, roundTrip }))
  const leaseMs = 0.8 * (lan.heartbeatMs + roundTrip.meanMs)
  assert.equal(problemAt(led, LISTENED_MS + leaseMs - 1), 'leader-heard')
  assert.equal(problemAt(led, LISTENED_MS + leaseMs), null)
})

test('who has just started has not listened yet, and goes nowhere by an order', () => {
  assert.equal(problemAt(elector(), lan.leaseMs - 1), 'just-started')
  assert.equal(problemAt(elector(), lan.leaseMs), null)
})

test('a root whose only elector went on without its majority goes on by an order too', () => {
  const world = manualWorld(3)
  const root = domainOf('/')
  world.until('a root', () => world.agreed(root) !== null, 15_000)
  world.run(8_000)
  const [first, second, third] = world.all as [NodeId, NodeId, NodeId]
  world.cutPower(second)
  world.cutPower(third)
  world.run(20_000)
  assert.equal(world.recover(first, berlin), null)
  world.until('it leads', () => world.leaders(berlin).includes(first), 1_000)
  world.run(20_000)
  assert.deepEqual(world.leaders(root), [])
  assert.equal(world.recover(first, root), null)
  world.until('it leads the root', () => world.leaders(root).includes(first), 1_000)
})
