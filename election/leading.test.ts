// Until when a leader gives orders: as long as a majority has promised, whatever the leader itself has measured.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { seededRandom } from '../overlay/kernel/random.ts'
import type { Millis, UnixMillis } from '../overlay/kernel/time.ts'
import { answer, lan, leader, second, third, told } from './elector.test-kit.ts'
import { beginLeading, onHeartbeatAnswer } from './leading.ts'
import type { HeartbeatAnswer } from './messages.ts'
import { versionOf } from './register.ts'
import { leaseOf } from './timing.ts'
import { createWorld, domainOf, QUICK } from './world.test-kit.ts'

const PROMISE_MS = 1_500
const ANSWERED_MS = 10

test('once a majority has answered, a new leader counts on its promises, not on its own patience', () => {
  const world = createWorld({ seed: 5, clusters: { berlin: 3 }, timing: QUICK })
  world.run(12_000)
  const leader = world.agreed(domainOf('/berlin'))
  const state = leader === null ? null : world.seat(leader)?.state
  assert.ok(state?.role.kind === 'leader' && state.register?.electors.length === 3)
  const now = world.now()
  const at = (ms: Millis) => ({ now: now + ms, wall: (now + ms) as unknown as UnixMillis, random: seededRandom(1) })
  // By what it measured, everybody waits for seconds.
  const slow = { ...state, pace: { ...state.pace, roundTrip: { meanMs: 1_500, deviationMs: 400 } } }
  const begun = beginLeading(slow, state.role.votes, at(0), [])
  assert.ok(begun.role.kind === 'leader' && begun.register !== null)
  assert.ok(begun.role.leaseUntil > now + leaseOf(PROMISE_MS))

  const other = state.register.electors.find(({ child }) => child !== state.self)
  assert.ok(other !== undefined)
  const { domain, epoch, term, register } = begun
  const held = versionOf(register)
  const answer: HeartbeatAnswer = {
    ...{ kind: 'election/heartbeat-answer', domain, line: register.line, epoch, term },
    ...{ ...other, held, echo: now, promiseMs: PROMISE_MS },
  }
  const { role } = onHeartbeatAnswer({ ...begun, durable: held }, answer, at(ANSWERED_MS), [])
  assert.ok(role.kind === 'leader' && role.established)
  assert.equal(role.leaseUntil, now + leaseOf(PROMISE_MS))
})

test('a leader whose connections to a majority close gives way at once', () => {
  const [answered] = told(leader(5_000), 5_010, answer(second, 5_000))
  const [one, meanwhile] = told(answered, 5_020, { kind: 'connection-closed', child: second })
  assert.deepEqual([one.role.kind, meanwhile], ['leader', ''])
  const [none, said] = told(one, 5_030, { kind: 'connection-closed', child: third })
  assert.deepEqual([none.role.kind, said], ['follower', 'unlead'])
  const [opened] = told(one, 5_025, { kind: 'connection-open', child: second })
  assert.equal(told(opened, 5_030, { kind: 'connection-closed', child: third })[0].role.kind, 'leader')
})

test('a leader that too few have answered gives way when its lease ends', () => {
  const state = leader(5_000)
  const { leaseMs } = lan
  assert.equal(told(state, 5_000 + leaseMs - 1, { kind: 'wake' })[0].role.kind, 'leader')
  assert.equal(told(state, 5_000 + leaseMs, { kind: 'wake' })[1], 'unlead')
})
