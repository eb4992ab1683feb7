// What happens when a majority is gone or was never there: lines that begin, meet, and become one again.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { ChildId, NodeId } from '../overlay/kernel/ids.ts'
import type { StepContext } from '../overlay/kernel/machine.ts'
import { seededRandom } from '../overlay/kernel/random.ts'
import type { Millis, UnixMillis } from '../overlay/kernel/time.ts'
import { ELECTION_TIMINGS } from './constants.ts'
import { step, wakeAt } from './election.ts'
import { at, lan, leader, options, register, self, third } from './elector.test-kit.ts'
import { type LineSide, survives } from './recovery.ts'
import { electorIds } from './register.ts'
import { encodeSaved } from './saved.ts'
import { type Autonomy, childrenFrom, createElection, type ElectionState } from './state.ts'
import { announcementBy } from './wire.test-kit.ts'
import { createWorld, domainOf, QUICK, type World } from './world.test-kit.ts'

const berlin = domainOf('/berlin')
const QUORUM_LOSS_MS = 8_000
const timing = { ...QUICK, quorumLossMs: { cluster: QUORUM_LOSS_MS, above: QUORUM_LOSS_MS } }

const stateOf = (world: World, id: string): ElectionState => {
  const seat = world.seat(id as NodeId)
  assert.ok(seat !== null)
  return seat.state
}
const linesOf = (world: World, ids: readonly NodeId[] = world.all): readonly string[] => [
  ...new Set(ids.flatMap((id) => stateOf(world, id).register?.line ?? [])),
]
const epochsOf = (world: World): readonly number[] => world.all.map((id) => stateOf(world, id).epoch)

function meet(world: World): void {
  const highest = Math.max(...epochsOf(world))
  const before = new Map(world.all.map((id) => [id, stateOf(world, id).register?.line]))
  world.heal()
  world.until('one leader for all', () => world.agreed(berlin) !== null, 20_000)
  world.run(10_000)
  assert.equal(linesOf(world).length, 1)
  const leader = world.agreed(berlin)
  assert.ok(leader !== null && stateOf(world, leader).epoch >= highest, 'fences only grow')
  const line = stateOf(world, leader).register?.line
  for (const id of world.all) {
    const { meeting } = stateOf(world, id)
    if (before.get(id) !== line) assert.ok(meeting !== null, `${id} knows that it left a line`)
  }
}

test('nodes that found a cluster out of each other’s sight end in one line, above all that were', () => {
  for (let seed = 1; seed <= 6; seed++) {
    const world = createWorld({ seed, clusters: { berlin: 2 + (seed % 3) }, timing })
    world.part(...world.all.map((id) => [id]))
    world.run(6_000)
    assert.deepEqual(world.leaders(berlin), world.all)
    assert.equal(new Set(epochsOf(world)).size, world.all.length, 'no two of them share a fence')
    meet(world)
    assert.ok(electorIds(stateOf(world, world.leaders(berlin)[0] as string).register).length >= 2)
  }
})

test('the survivors of a lost majority go on after the domain’s patience, and take each other in', () => {
  const world = createWorld({ seed: 3, clusters: { berlin: 5 }, timing })
  world.run(8_000)
  const before = stateOf(world, 'berlin-1')
  for (const id of ['berlin-1', 'berlin-2', 'berlin-3']) world.cutPower(id as NodeId)
  const tookMs = world.until('a new leader', () => world.agreed(berlin) !== null, 30_000)
  assert.ok(tookMs > QUORUM_LOSS_MS && tookMs < QUORUM_LOSS_MS + 8_000, `${tookMs} ms`)
  world.run(QUORUM_LOSS_MS)
  const after = stateOf(world, world.leaders(berlin)[0] as string)
  assert.deepEqual(electorIds(after.register).toSorted(), ['berlin-4', 'berlin-5'])
  assert.ok(after.epoch > before.epoch)
  assert.equal(after.register?.predecessor?.line, before.register?.line)
})

test('the majority goes on when it returns, even though the rest had given it up for lost', () => {
  for (let seed = 1; seed <= 6; seed++) {
    const world = createWorld({ seed, clusters: { berlin: 3 }, timing })
    world.run(8_000)
    const { line } = stateOf(world, 'berlin-1').register ?? assert.fail()
    const lonely = world.all.slice(seed % 3, (seed % 3) + 1)
    world.part(
      world.all.filter((id) => !lonely.includes(id)),
      lonely,
    )
    world.run(QUORUM_LOSS_MS + 6_000)
    assert.equal(world.leaders(berlin).length, 2)
    assert.notDeepEqual(linesOf(world, lonely), [line])
    meet(world)
    assert.deepEqual(linesOf(world), [line])
  }
})

test('three parts of which none has a majority each recover, and become one again when they meet', () => {
  for (let seed = 1; seed <= 6; seed++) {
    const world = createWorld({ seed, clusters: { berlin: 5 }, timing })
    world.run(8_000)
    const [a, b, c, d, e] = world.all as readonly [NodeId, NodeId, NodeId, NodeId, NodeId]
    world.part([a, b], [c], [d, e])
    world.run(4 * QUORUM_LOSS_MS)
    assert.equal(world.leaders(berlin).length, 3)
    meet(world)
  }
})

test('a node that lost its memory is no elector until it is made one again, under a new ticket', () => {
  const world = createWorld({ seed: 4, clusters: { berlin: 3 }, timing })
  world.run(8_000)
  const leader = world.agreed(berlin) as NodeId
  const fence = stateOf(world, leader).term
  const forgetful = world.all.find((id) => id !== leader) as NodeId
  const ticketOf = (): string | undefined =>
    stateOf(world, leader).register?.electors.find(({ child }) => child === forgetful)?.ticket
  const before = ticketOf()
  const votesBefore = world.votes.length
  world.restart(forgetful, true)
  world.until('it is replaced', () => ticketOf() === undefined, 2_000)
  assert.deepEqual(world.votes.slice(votesBefore), [])
  world.until('it is an elector again', () => ticketOf() !== undefined, 5_000)
  assert.notEqual(ticketOf(), before)
  assert.equal(stateOf(world, leader).term, fence, 'and nobody had to be elected for it')
})

test('a learner that misses the leader does not found a line beside the one it knows of', () => {
  const world = createWorld({ seed: 5, clusters: { berlin: 4 }, electorsMax: 3, timing: QUICK })
  world.run(8_000)
  const leader = world.agreed(berlin) as NodeId
  const learner = world.all.find((id) => !electorIds(stateOf(world, leader).register).includes(id)) as NodeId
  const { line } = stateOf(world, leader).register ?? assert.fail()
  world.part(
    world.all.filter((id) => id !== learner),
    [learner],
  )
  world.restart(learner)
  world.run(45_000)
  assert.deepEqual(world.leaders(berlin), [leader])
  world.heal()
  world.run(5_000)
  assert.equal(stateOf(world, leader).register?.line, line)
  assert.equal(world.agreed(berlin), leader)
})

/** When a newcomer that hears of nobody founds a cluster, if each of its wake-ups comes so late. */
function foundedAfter(lateMs: Millis): Millis | null {
  const self = 'berlin-1' as NodeId
  const { lan } = ELECTION_TIMINGS
  const random = seededRandom(8)
  const seat = { domain: berlin, self, timing: lan, electorsMax: 5, autonomy: 'automatic' as const, fitness: 0.5 }
  const from = (now: Millis): StepContext => ({ now, wall: now as number as UnixMillis, random })
  const fact = { child: self, alive: true, steadySince: 0, fitness: 0.5, canLead: true }
  let { state } = createElection({ ...seat, speaker: null, saved: null }, from(0))
  state = step(state, { kind: 'start' }, from(0)).state
  state = step(state, { kind: 'children', children: childrenFrom([fact]) }, from(0)).state
  for (let due = wakeAt(state); due !== null && due < 10 * lan.quorumLossMs.cluster; due = wakeAt(state)) {
    const { state: next, effects } = step(state, { kind: 'wake' }, from(due + lateMs))
    state = next
    if (effects.some((one) => one.kind === 'emit' && one.event.name === 'domain-founded')) return due + lateMs
  }
  return null
}

test('who hears of no line founds one, but not because it stood still for as long as it meant to listen', () => {
  const { formationMs, heartbeatMs, quorumLossMs } = ELECTION_TIMINGS.lan
  const inTime = foundedAfter(heartbeatMs / 2)
  assert.ok(inTime !== null && inTime <= 2 * formationMs + heartbeatMs, `after ${inTime} ms`)
  const late = foundedAfter(4 * heartbeatMs)
  assert.ok(late !== null && late >= quorumLossMs.cluster, `after ${late} ms`)
})

test('who leads the line that goes on knows which one it met, whether that was above it or below', () => {
  const branch = { line: 'branch', electors: [third], votes: [], leader: third }
  const met = (epoch: number, now: number): ElectionState => {
    const predecessor = { line: 'line-a', epoch: 7, electors: electorIds(register), cause: 'silence' as const }
    const { message: announcement } = announcementBy(third, { ...branch, epoch, predecessor })
    return step(leader(5_000), { kind: 'announced', announcement, granted: null }, at(now)).state
  }
  for (const epoch of [6, 9]) {
    const { meeting, role } = met(epoch, 8_000)
    assert.deepEqual([meeting?.kept, meeting?.left], ['line-a', 'branch'])
    assert.equal(role.kind, epoch === 9 ? 'candidate' : 'leader', 'it has to move only above what is above it')
  }
})

/** Whether a child goes on, or founds, by itself, with nobody there and all the time in the world. */
function goesOn(autonomy: Autonomy, memory: { readonly isElector: boolean; readonly hasRegister: boolean }): boolean {
  const { ticket, register: kept } = memory.isElector
    ? { ticket: `ticket of ${self}`, register }
    : { ticket: 'lost', register }
  const saved = encodeSaved({ epoch: 7, term: 1, votedFor: null, ticket, register: memory.hasRegister ? kept : null })
  let { state } = createElection({ ...options, autonomy, saved }, at(0))
  const children = childrenFrom([{ child: self, alive: true, steadySince: 0, fitness: 0.5, canLead: true }])
  for (const input of [{ kind: 'start' }, { kind: 'children', children }] as const)
    state = step(state, input, at(0)).state
  for (let now = 0; now < 10 * lan.quorumLossMs.cluster; now = wakeAt(state) ?? assert.fail()) {
    const { state: next, effects } = step(state, { kind: 'wake' }, at(now))
    state = next
    const names = effects.flatMap((one) => (one.kind === 'emit' ? [one.event.name] : []))
    if (names.includes('quorum-recovered') || names.includes('domain-founded')) return true
  }
  return false
}

test('under manual autonomy nobody goes on alone: no elector, no learner, nobody that only heard of a line', () => {
  const memories = [
    { isElector: true, hasRegister: true },
    { isElector: false, hasRegister: true },
    { isElector: false, hasRegister: false },
  ]
  assert.deepEqual(
    memories.map((memory) => goesOn('automatic', memory)),
    [true, true, true],
  )
  assert.deepEqual(
    memories.map((memory) => goesOn('manual', memory)),
    [false, false, false],
  )
})

const side = fc.record({
  line: fc.constantFrom('p', 'q', 'r', 's'),
  electors: fc.uniqueArray(fc.constantFrom('1', '2', '3', '4', '5') as fc.Arbitrary<ChildId>, { minLength: 1 }),
  predecessor: fc.option(
    fc.record({
      line: fc.constantFrom('o', 'p', 'q'),
      electors: fc.uniqueArray(fc.constantFrom('1', '2', '3', '4', '5') as fc.Arbitrary<ChildId>),
    }),
  ),
})

test('of two lines that meet exactly one goes on, whichever of them is asked', () => {
  fc.assert(
    fc.property(side, side, fc.constantFrom(null, 'p', 'q', 'z'), (own: LineSide, other: LineSide, granted) => {
      fc.pre(own.line !== other.line)
      assert.notEqual(survives(own, other, granted), survives(other, own, granted))
    }),
    { seed: 20261121, numRuns: 500 },
  )
})

test('a branch does not outlive the line that it broke off from, while the majority is still there', () => {
  const before = ['1', '2', '3'] as readonly string[] as readonly ChildId[]
  const trunk: LineSide = { line: 'z', electors: before.slice(0, 2), predecessor: null }
  const electors = ['3', '4', '5', '6'] as readonly string[] as readonly ChildId[]
  assert.equal(survives(trunk, { line: 'a', electors, predecessor: { line: 'z', electors: before } }, null), true)
})

test('whoever calls a line of its own by the name of the one that was left takes nothing over', () => {
  const before = ['1', '2', '3'] as readonly string[] as readonly ChildId[]
  const branch: LineSide = { line: 'a', electors: before.slice(1), predecessor: { line: 'z', electors: before } }
  const electors = ['liar'] as readonly string[] as readonly ChildId[]
  assert.equal(survives(branch, { line: 'z', electors, predecessor: null }, null), true)
})

test('of two that broke off, more of the last common electors count first, then more electors, then the name', () => {
  const sideOf = (line: string, electors: string, common: string | null = null): LineSide => ({
    line,
    electors: [...electors] as readonly string[] as readonly ChildId[],
    predecessor:
      common === null ? null : { line: 'o', electors: [...common] as readonly string[] as readonly ChildId[] },
  })
  const cases: readonly (readonly [LineSide, LineSide])[] = [
    [sideOf('b', '12', '123'), sideOf('a', '3789', '123')],
    [sideOf('b', '12', '1235'), sideOf('a', '5678', '4125')],
    [sideOf('b', '12'), sideOf('a', '3')],
    [sideOf('b', '178', '123'), sideOf('a', '29', '123')],
    [sideOf('a', '12'), sideOf('b', '34')],
  ]
  for (const [own, other] of cases)
    assert.equal(survives(own, other, null), true, `${own.electors} against ${other.electors}`)
})
