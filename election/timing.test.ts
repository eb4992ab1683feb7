// What is measured of the network, what follows from it for an election timeout, and a bad network that changes no
// leader.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { NodeId } from '../overlay/kernel/ids.ts'
import { randomInt, seededRandom, shuffled } from '../overlay/kernel/random.ts'
import { ELECTION_TIMINGS, STRETCH_MAX } from './constants.ts'
import { patienceOf } from './state.ts'
import {
  type Pace,
  recounted,
  shortestTimeoutMs,
  stretchedMsMax,
  UNANSWERED,
  UNMEASURED,
  withAnswer,
  withHeartbeat,
  withSample,
} from './timing.ts'
import { CALM, createWorld, domainOf, QUICK, type World } from './world.test-kit.ts'

const { lan } = ELECTION_TIMINGS
const berlin = domainOf('/berlin')

/** After heartbeats with these numbers arrived. */
const after = (numbers: readonly number[], before: Pace = UNMEASURED): Pace =>
  numbers.reduce((pace, sequence) => withHeartbeat(pace, sequence, null), before)
const upTo = (count: number, keep: (one: number) => boolean = () => true): readonly number[] =>
  Array.from({ length: count }, (_, index) => index + 1).filter(keep)

test('gaps in the numbers of the heartbeats are losses, counted over a window', () => {
  assert.equal(after(upTo(100)).loss, 0)
  assert.equal(after(upTo(64, (one) => one % 4 !== 0)).loss, 1 - 48 / 63, 'the last one was not missed yet')
  const bad = after(upTo(100, (one) => one % 2 === 0))
  assert.equal(bad.loss, 0.5)
  assert.equal(after(upTo(200).slice(100), bad).loss, 0, 'what is older is forgotten')
  assert.equal(after(upTo(10, (one) => one % 2 === 0)).loss, 0, 'ten are too few to tell')
})

test('a heartbeat that comes twice counts once, and a late one is not lost', () => {
  const swapped = upTo(40).flatMap((one) => (one % 2 === 0 ? [one, one - 1, one] : []))
  assert.equal(after(swapped).loss, 0)
})

test('a long silence is an outage and not loss', () => {
  const pace = after([...upTo(30), ...upTo(30).map((one) => one + 100)])
  assert.equal(pace.loss, 0)
})

test('under a new leader the old measurements stand until there are enough new ones', () => {
  const bad = recounted(after(upTo(100, (one) => one % 2 === 0)))
  assert.equal(after(upTo(10), bad).loss, 0.5)
  assert.equal(after(upTo(16), bad).loss, 0)
})

test('a round trip’s mean and deviation follow the samples', () => {
  const steady = upTo(100).reduce((trip) => withSample(trip, 80), withSample(null, 200))
  assert.ok(Math.abs(steady.meanMs - 80) < 1 && steady.deviationMs < 1, JSON.stringify(steady))
})

/** Answers to heartbeats as [when the heartbeat left, when the answer came]. */
const answered = (pairs: readonly (readonly [number, number])[]) =>
  pairs.reduce((before, [from, to]) => withAnswer(before, to - from, to, lan.heartbeatMs), UNANSWERED)
const beats = (count: number, fromMs: number) =>
  Array.from({ length: count }, (_, index) => fromMs + index * lan.heartbeatMs)

test('what a peer that stood still answers at once does not pass for a long way to it', () => {
  const steady = beats(20, 0).map((at) => [at, at + 2] as const)
  const wokenAt = 5_000 + 12 * lan.heartbeatMs
  const piledUp = beats(12, 5_000).map((at, index) => [at, wokenAt + index / 10] as const)
  const { roundTrip } = answered([...steady, ...piledUp])
  assert.equal(shortestTimeoutMs(lan, { ...UNMEASURED, roundTrip }), lan.electionTimeoutMsMin)
})

test('a way that has become long is measured as long', () => {
  const near = beats(20, 0).map((at) => [at, at + 2] as const)
  const far = beats(40, 5_000).map((at) => [at, at + 2_000] as const)
  const { roundTrip } = answered([...near, ...far])
  assert.ok(shortestTimeoutMs(lan, { ...UNMEASURED, roundTrip }) > 2_000, JSON.stringify(roundTrip))
})

test('the timeout is the preset’s on a good network, and gives losses and delays their time on a bad one', () => {
  const timeout = (loss: number, meanMs: number, deviationMs = 0): number =>
    shortestTimeoutMs(lan, { ...UNMEASURED, loss, roundTrip: { meanMs, deviationMs } })
  assert.equal(timeout(0, 20, 10), lan.electionTimeoutMsMin)
  assert.equal(timeout(0.05, 20, 10), lan.electionTimeoutMsMin)
  // Of a heartbeat and its answer 51 % are lost at 30 %; 0.51^11 is the first power below 0.001.
  assert.equal(timeout(0.3, 300, 10), 11 * lan.heartbeatMs + 340)
  assert.equal(timeout(0, 2_000, 100), lan.heartbeatMs + 2_400)
  assert.equal(timeout(1, 20), STRETCH_MAX * lan.electionTimeoutMsMin)
})

test('whatever is measured, the timeout lies between the preset and its limit', () => {
  const heard = fc.array(fc.nat(300), { maxLength: 200 })
  fc.assert(
    fc.property(heard, fc.double({ min: 0, max: 1e6, noNaN: true }), (numbers, sampleMs) => {
      const pace = { ...after(numbers), roundTrip: withSample(null, sampleMs) }
      assert.ok(pace.loss >= 0 && pace.loss <= 1, `${pace.loss}`)
      for (const timing of Object.values(ELECTION_TIMINGS)) {
        const ms = shortestTimeoutMs(timing, pace)
        assert.ok(ms >= timing.electionTimeoutMsMin && ms <= stretchedMsMax(timing))
        assert.ok(ms <= STRETCH_MAX * timing.electionTimeoutMsMin)
      }
    }),
    { seed: 20261122, numRuns: 300 },
  )
})

function grown(seed: number): World {
  const world = createWorld({ seed, clusters: { berlin: 5 }, timing: QUICK })
  world.run(8_000)
  assert.equal(world.known('berlin-1' as NodeId, berlin)?.electors.length, 5)
  return world
}
const elections = (world: World): number =>
  world.events.filter(({ name, domain }) => name === 'leader-elected' && domain === berlin).length
const patience = (world: World): readonly number[] =>
  world.all.flatMap((id) => {
    const state = world.seat(id)?.state
    return state === undefined || state.role.kind === 'leader' ? [] : [patienceOf(state)]
  })

test('at 30 % loss and round trips of 300 ms `lan` keeps its leader, and is quick again afterwards', () => {
  for (let seed = 1; seed <= 2; seed++) {
    const world = grown(seed)
    // It gets worse at once; what is measured is behind for as long as the window is.
    world.setWeather({ loss: 0.1, latencyMs: { min: 100, max: 150 } })
    world.run(20_000)
    world.setWeather({ loss: 0.3, latencyMs: { min: 140, max: 160 } })
    world.run(20_000)
    const before = elections(world)
    world.run(300_000)
    assert.equal(elections(world), before, `seed ${seed}`)
    assert.ok(Math.min(...patience(world)) > lan.electionTimeoutMsMin)
    world.setWeather(CALM)
    world.run(20_000)
    assert.deepEqual(new Set(patience(world)), new Set([lan.electionTimeoutMsMin]))
    assert.equal(elections(world), before)
  }
})

test('ten minutes at 5 % loss changes no leader', () => {
  const world = grown(4)
  world.setWeather({ loss: 0.05 })
  const before = elections(world)
  world.run(600_000)
  assert.equal(elections(world), before)
})

/** How many heartbeats are answered in a minute, of each hundred that an elector was sent. */
function answeredInAMinute(world: World): readonly number[] {
  const seen = new Map<string, Set<number>>()
  const end = world.now() + 60_000
  const look = (): boolean => {
    const role = world.all.map((id) => world.seat(id)?.state.role).find((one) => one?.kind === 'leader')
    for (const [child, { heardOf }] of role?.kind === 'leader' ? role.progress : [])
      seen.set(child, (seen.get(child) ?? new Set()).add(heardOf))
    return world.now() >= end
  }
  world.until('a minute is over', look, 61_000)
  return [...seen.values()].map(({ size }) => (size * lan.heartbeatMs) / 600)
}

test('of two heartbeats one is answered where nothing gets lost and answers are quick, and else each', () => {
  const world = grown(6)
  world.run(20_000)
  for (const share of answeredInAMinute(world)) assert.ok(share > 45 && share < 56, `${share} % on a good network`)
  world.setWeather({ loss: 0.05 })
  world.run(20_000)
  for (const share of answeredInAMinute(world)) assert.ok(share > 75, `${share} % where some get lost`)
  world.setWeather({ loss: 0, latencyMs: { min: 5, max: 60 } })
  world.run(20_000)
  for (const share of answeredInAMinute(world)) assert.ok(share > 80, `${share} % where answers take their time`)
  assert.equal(elections(world), 1)
})

/** What the one leader said to its electors within a minute, in heartbeats. */
function beatsInAMinute(world: World): number {
  const said = (): number => {
    const role = world.all.map((id) => world.seat(id)?.state.role).find((one) => one?.kind === 'leader')
    return role?.kind === 'leader' ? role.heartbeats : Number.NaN
  }
  const before = said()
  world.run(60_000)
  return said() - before
}

test('a leader leaves every other heartbeat out where each was answered soon, and no other one', () => {
  const world = grown(7)
  world.run(20_000)
  const whole = 60_000 / lan.heartbeatMs
  assert.equal(beatsInAMinute(world), whole / 2)
  world.setWeather({ loss: 0.05 })
  world.run(20_000)
  assert.ok(beatsInAMinute(world) > whole * 0.95, 'some get lost')
  world.setWeather({ loss: 0, latencyMs: { min: 5, max: 60 } })
  world.run(20_000)
  assert.ok(beatsInAMinute(world) > whole * 0.95, 'answers take their time')
  world.setWeather(CALM)
  world.run(60_000)
  assert.equal(beatsInAMinute(world), whole / 2)
  world.kill(world.all.find((id) => !world.leaders(berlin).includes(id)) as NodeId)
  assert.ok(beatsInAMinute(world) > whole * 0.6, 'an elector that is away brings them all back')
  assert.equal(elections(world), 1)
})

test('a leader that leaves heartbeats out is missed as soon as any other, and stays through what it did before', () => {
  for (let seed = 1; seed <= 10; seed++) {
    const world = grown(seed)
    world.run(20_000 + seed * 37)
    const [leader] = world.leaders(berlin)
    assert.ok(leader !== undefined)
    world.part(
      [leader],
      world.all.filter((id) => id !== leader),
    )
    world.run(2 * lan.heartbeatMs)
    world.heal()
    world.run(20_000)
    assert.equal(elections(world), 1, `seed ${seed}`)
    world.cutPower(leader)
    const isReplaced = (): boolean => ![null, leader].includes(world.agreed(berlin))
    const tookMs = world.until('another leader', isReplaced, 10_000)
    assert.ok(tookMs < lan.electionTimeoutMsMax, `${tookMs} ms, seed ${seed}`)
  }
})

test('at no moment do two leaders hold a lease, however bad the network is and whatever was measured of it', () => {
  for (let seed = 1; seed <= 5; seed++) {
    const random = seededRandom(seed)
    const world = grown(seed)
    for (let round = 0; round < 30; round++) {
      const order = shuffled(random, world.all)
      const cut = randomInt(random, 0, 4)
      if (random.next() < 0.5) world.part(order.slice(0, cut), order.slice(cut))
      else world.heal()
      const maxMs = random.next() * 200
      world.setWeather({ loss: random.next() * 0.4, latencyMs: { min: maxMs / 2, max: maxMs } })
      const until = world.now() + 500 + random.next() * 5_000
      // A leader is one in its own eyes for as long as its lease lasts, and no longer.
      const areOne = (): boolean => world.all.filter((id) => world.seat(id)?.state.role.kind === 'leader').length <= 1
      world.until('the next change of the network', () => !areOne() || world.now() >= until, 10_000)
      assert.ok(areOne(), `seed ${seed}, round ${round}`)
    }
  }
})
