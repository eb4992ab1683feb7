// Whom an election listens to: electors as before, everybody else ever more rarely, and two leaders of one term not at
// all.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { NodeId } from '../overlay/kernel/ids.ts'
import { seededRandom } from '../overlay/kernel/random.ts'
import type { Millis, UnixMillis } from '../overlay/kernel/time.ts'
import { DISTURBANCE_FORGOTTEN_MS, DISTURBANCE_PAUSE_MS_MAX, DISTURBERS_MAX, disturbedBy } from './credibility.ts'
import { step } from './election.ts'
import type { ElectionEffect, ElectionState } from './state.ts'
import { announcementBy, voteBy } from './wire.test-kit.ts'
import { createWorld, domainOf, QUICK } from './world.test-kit.ts'

const berlin = domainOf('/berlin')

/** A leader of three, as it stands. */
function leading(): { readonly state: ElectionState; readonly now: Millis } {
  const world = createWorld({ seed: 5, clusters: { berlin: 3 }, timing: QUICK })
  world.run(12_000)
  const leader = world.agreed(berlin)
  const seat = leader === null ? null : world.seat(leader)
  assert.ok(seat?.state.role.kind === 'leader' && seat.state.register?.electors.length === 3)
  return { state: seat.state, now: world.now() }
}

test('who disturbs again and again is heard once in ten minutes in the end, and others are meanwhile', () => {
  let { state, now } = leading()
  let heard = 0
  const began = now
  for (; now < began + 10 * DISTURBANCE_PAUSE_MS_MAX; now += 500) {
    const noted = disturbedBy(state, 'liar' as NodeId, now)
    if (noted === null) continue
    heard += 1
    state = noted
  }
  // Ten pauses that double from 1.5 s to ten minutes, then one every ten minutes.
  assert.ok(heard >= 10 && heard <= 20, `${heard} times in 100 minutes`)
  assert.equal(disturbedBy(state, 'liar' as NodeId, now), null)
  assert.notEqual(disturbedBy(state, 'honest' as NodeId, now), null)
  const later = disturbedBy(state, 'liar' as NodeId, now + DISTURBANCE_FORGOTTEN_MS)
  assert.equal(later?.disturbances.get('liar' as NodeId)?.pauseMs, state.timing.electionTimeoutMsMin)
})

test('disturbers are remembered up to a limit', () => {
  let { state, now } = leading()
  for (let number = 0; number < 3 * DISTURBERS_MAX; number++)
    state = disturbedBy(state, `liar-${number}` as NodeId, now) ?? assert.fail()
  assert.equal(state.disturbances.size, DISTURBERS_MAX)
})

test('a leader that hears of another one of its own term gives way, and names who voted for both', () => {
  const { state, now } = leading()
  const { epoch, term, register, role } = state
  assert.ok(role.kind === 'leader' && register !== null)
  const voters = role.votes.map(({ message }) => message.voter).filter((voter) => voter !== state.self)
  const liar = voters[0] as NodeId
  const other = register.electors.map(({ child }) => child).find((child) => child !== state.self && child !== liar)
  const of = { line: register.line, epoch, term, candidate: other as NodeId }
  const votes = [voteBy(other as NodeId, of), voteBy(liar, of)]
  const electors = register.electors.map(({ child }) => child)
  const twin = announcementBy(other as NodeId, { ...of, leader: other as NodeId, electors, votes }).message
  const context = { now, wall: now as unknown as UnixMillis, random: seededRandom(1) }
  const stepped = step(state, { kind: 'announced', announcement: twin, granted: null }, context)
  assert.equal(stepped.state.role.kind, 'follower')
  assert.ok(stepped.effects.some(({ kind }: ElectionEffect) => kind === 'unlead'))
  const [told] = stepped.effects.flatMap((effect) => (effect.kind === 'emit' ? [effect.event] : []))
  assert.deepEqual([told?.name, told?.level], ['elector-voted-twice', 'warn'])
  assert.ok(`${told?.fields.voters}`.split(', ').includes(liar))
})
