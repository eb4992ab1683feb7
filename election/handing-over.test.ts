// A leader that goes of its own accord: to an elector that is much fitter, and not to one that seems so for a while.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { NodeId } from '../overlay/kernel/ids.ts'
import { seededRandom } from '../overlay/kernel/random.ts'
import { ELECTION_TIMINGS, FITTER_MARGIN } from './constants.ts'
import { answer, lan, leader, request, second, self, told as tell, third } from './elector.test-kit.ts'
import { fitnessOf } from './fitness.ts'
import { type ChildFact, childrenFrom, type ElectionInput, type ElectionState } from './state.ts'
import { createWorld, domainOf, QUICK, type World } from './world.test-kit.ts'

const berlin = domainOf('/berlin')
/** As `lan`, in less time. */
const FITTER_MS = 20_000
/** Until every roster has it and the next heartbeat was due. */
const NOTICED_MS = 1_500
const USUAL = 0.5

function grown(seed: number): World {
  const world = createWorld({ seed, clusters: { berlin: 3 }, timing: { ...QUICK, fitterMs: FITTER_MS } })
  world.run(FITTER_MS + NOTICED_MS)
  assert.equal(world.known(leaderOf(world), berlin)?.electors.length, 3)
  return world
}

const leaderOf = (world: World): NodeId => world.agreed(berlin) ?? assert.fail('all agree on a leader')
const anotherOf = (world: World): NodeId => world.all.find((id) => id !== leaderOf(world)) as NodeId
const changes = (world: World): number =>
  world.events.filter(({ name, domain }) => name === 'leadership-transfer' && domain === berlin).length

test('a leader hands over to an elector that was much fitter for long, and that one stays', () => {
  for (let seed = 1; seed <= 3; seed++) {
    const world = grown(seed)
    const [before, fitter] = [leaderOf(world), anotherOf(world)]
    world.setFitness(fitter, USUAL + FITTER_MARGIN)
    world.run(FITTER_MS - NOTICED_MS)
    assert.equal(leaderOf(world), before, 'not before the time')
    world.until('the fitter one leads', () => world.leaders(berlin).join() === fitter, 2 * NOTICED_MS)
    world.run(5 * FITTER_MS)
    assert.equal(leaderOf(world), fitter)
    assert.equal(changes(world), 1)
  }
})

test('a leader that becomes much less fit goes to the fittest of the others', () => {
  const world = grown(4)
  const [before, ...others] = [leaderOf(world), ...world.all.filter((id) => id !== leaderOf(world))]
  world.setFitness(others[1] as NodeId, USUAL + 0.05)
  world.setFitness(before as NodeId, USUAL - FITTER_MARGIN)
  world.run(FITTER_MS + NOTICED_MS)
  assert.equal(leaderOf(world), others[1])
})

test('a leader that has not led for long itself waits', () => {
  const world = grown(5)
  world.kill(leaderOf(world))
  world.until('a new leader', () => world.agreed(berlin) !== null, 5_000)
  const [young, fitter] = [leaderOf(world), world.all.find((id) => world.seat(id) && id !== world.agreed(berlin))]
  world.setFitness(fitter as NodeId, 1)
  world.run(FITTER_MS - NOTICED_MS)
  assert.equal(leaderOf(world), young)
  world.run(2 * NOTICED_MS)
  assert.equal(leaderOf(world), fitter)
})

test('nobody hands over for a difference that is small, that is noise, or that does not last', () => {
  const random = seededRandom(6)
  const cases: Readonly<Record<string, (round: number) => readonly [leader: number, other: number]>> = {
    'equally fit': () => [USUAL, USUAL],
    'a little fitter': () => [USUAL, USUAL + FITTER_MARGIN - 0.01],
    'noise around equal': () => [USUAL + (random.next() - 0.5) / 3, USUAL + (random.next() - 0.5) / 3],
    // Three quarters of the time above the margin, and each time just not for long enough.
    'around the margin': (round) => [USUAL, USUAL + FITTER_MARGIN + (round % 4 === 3 ? -0.01 : 0.1)],
  }
  for (const [what, fitness] of Object.entries(cases)) {
    const world = grown(7)
    const [leader, other] = [leaderOf(world), anotherOf(world)]
    for (let round = 0; round < 40; round++) {
      const [ofLeader, ofOther] = fitness(round)
      world.setFitness(leader, ofLeader)
      world.setFitness(other, ofOther)
      world.run(FITTER_MS / 4)
    }
    assert.equal(changes(world), 0, what)
    assert.equal(leaderOf(world), leader, what)
  }
})

test('two that are each in turn the fitter one change places no more often than once in that time', () => {
  const world = grown(8)
  const [one, other] = [leaderOf(world), anotherOf(world)]
  const periodMs = FITTER_MS + 2 * NOTICED_MS
  for (let round = 0; round < 10; round++) {
    world.setFitness(one, round % 2 === 0 ? 0.2 : 0.8)
    world.setFitness(other, round % 2 === 0 ? 0.8 : 0.2)
    world.run(periodMs)
  }
  const at = world.events
    .filter(({ name, domain }) => name === 'leadership-transfer' && domain === berlin)
    .map((event) => event.at)
  assert.ok(at.length >= 2 && at.length <= 10, `${at.length} changes`)
  for (const [index, moment] of at.entries()) assert.ok(index === 0 || moment - (at[index - 1] ?? 0) >= FITTER_MS)
})

test('mains instead of a battery makes a leader, a longer uptime alone does not', () => {
  const usual = { cores: 4, memoryFreeMb: 2_000, loopDelayMs: 5, uptimeHours: 48, onBattery: false, isReachable: true }
  const best = fitnessOf(usual)
  assert.ok(best - fitnessOf({ ...usual, onBattery: true }) >= FITTER_MARGIN)
  assert.ok(best - fitnessOf({ ...usual, uptimeHours: 0 }) < FITTER_MARGIN)
  assert.ok(best - fitnessOf({ ...usual, isReachable: false }) < FITTER_MARGIN)
  assert.ok(ELECTION_TIMINGS.lan.fitterMs >= 600_000, 'a long time is minutes, not seconds')
})

const NOW = 5_000
const fact = (child: NodeId, fitness: number, change: Partial<ChildFact> = {}): ChildFact => ({
  ...{ child, alive: true, steadySince: 0, fitness, canLead: true },
  ...change,
})
const told = (state: ElectionState, now: number, ...inputs: readonly ElectionInput[]): string =>
  tell(state, now, ...inputs)[1]
const facts = (...children: readonly ChildFact[]): ElectionInput => ({
  kind: 'children',
  children: childrenFrom([fact(self, USUAL), ...children]),
})

test('the heir is the fittest of those that are connected and hold what was committed', () => {
  const [alone] = tell(leader(NOW), NOW, facts(fact(second, 1), fact(third, 0)))
  assert.equal(told(alone, NOW, { kind: 'transfer' }), 'stand-now>3', 'the second lacks the register')
  const [both] = tell(alone, NOW, answer(second, NOW))
  assert.equal(told(both, NOW, { kind: 'transfer' }), 'stand-now>2')
  const [cut] = tell(both, NOW, { kind: 'connection-closed', child: second })
  assert.equal(told(cut, NOW, { kind: 'transfer' }), 'stand-now>3')
})

test('who hands over leaves it to the others to vote where they are enough, and votes where they are not', () => {
  const asked: ElectionInput = request(third, { term: 3, transfer: true, register: { epoch: 7, term: 2, index: 5 } })
  const [few] = tell(leader(NOW), NOW, { kind: 'transfer' })
  assert.equal(told(few, NOW + 1, asked), 'unlead persist[vote>3]')
  const fitter = facts(fact(third, 1))
  const [enough] = tell(leader(NOW), NOW, fitter, answer(second, NOW), { kind: 'transfer' })
  const [leading, meanwhile] = tell(enough, NOW + 1, asked)
  assert.deepEqual([leading.role.kind, meanwhile], ['leader', ''])
  assert.equal(told(leading, NOW + lan.electionTimeoutMsMin, asked), 'unlead persist[vote>3]', 'not for ever')
})

test('nobody is handed anything who is not there, or is not to lead', () => {
  const after = (child: ChildFact): string => {
    const [noted] = tell(leader(NOW), NOW, facts(child))
    return told(noted, NOW + lan.fitterMs, facts(child))
  }
  assert.equal(after(fact(third, 1)), 'stand-now>3')
  assert.equal(after(fact(third, 1, { canLead: false })), '')
  assert.equal(after(fact(third, 1, { alive: false })), '')
  assert.equal(after(fact(second, 1)), '', 'nor who lacks the register')
})
