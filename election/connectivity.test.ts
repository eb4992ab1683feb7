// Networks in which some pairs can talk and some cannot: the three cases of OmniPaxos (Ng, Haridi and Carbone,
// "Omni-Paxos: Breaking the Barriers of Partial Connectivity", EuroSys 2023, section 2), one-way links, and nodes that
// come back from where they were.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { NodeId } from '../overlay/kernel/ids.ts'
import { checkedBody, withChecksum } from '../overlay/wire/checksum.ts'
import { decodeBounded, encodeCbor } from '../overlay/wire/codec.ts'
import { ELECTION_TIMINGS } from './constants.ts'
import { isElector } from './state.ts'
import { createWorld, domainOf, QUICK, type World } from './world.test-kit.ts'

const { lan } = ELECTION_TIMINGS
const berlin = domainOf('/berlin')
/** DESIGN section 6, Partial connectivity. */
const RECOVERED_MS_MAX = 4 * lan.electionTimeoutMsMax
const SEEDS = [1, 2, 3, 4, 5, 6]

function grown(seed: number, count: number): World {
  const world = createWorld({ seed, clusters: { berlin: count }, timing: QUICK })
  world.run(8_000)
  assert.equal(world.known(leaderOf(world), berlin)?.electors.length, count)
  return world
}

const leaderOf = (world: World): NodeId => world.agreed(berlin) ?? assert.fail('all agree on a leader')
const othersOf = (world: World, ...known: readonly NodeId[]): readonly NodeId[] =>
  world.all.filter((id) => !known.includes(id))
const elections = (world: World): number =>
  world.events.filter(({ name, domain }) => name === 'leader-elected' && domain === berlin).length

const fenceOf = (world: World): string => {
  const [leader] = world.leaders(berlin)
  const { epoch, term } = world.seat(leader as NodeId)?.state ?? assert.fail()
  return `${epoch}.${term}`
}

/** Only these pairs can talk, both ways. */
const linkOnly = (world: World, pairs: readonly (readonly [NodeId, NodeId])[]): void =>
  world.link((from, to) => pairs.some(([a, b]) => (a === from && b === to) || (a === to && b === from)))

/** Until one of those leads and has committed something since; then that it stays so. */
function recovers(world: World, able: readonly NodeId[], what: string): void {
  const isLed = (): boolean => {
    const leaders = world.leaders(berlin)
    return leaders.length === 1 && able.includes(leaders[0] as NodeId)
  }
  world.until(what, isLed, RECOVERED_MS_MAX)
  const before = elections(world)
  const [leader] = world.leaders(berlin)
  world.propose(berlin)
  const promised = world.committed(berlin)
  world.run(15_000)
  assert.deepEqual(world.leaders(berlin), [leader], `${what}: and stays`)
  assert.equal(elections(world), before, `${what}: without another election`)
  assert.ok(world.committed(berlin) > promised, `${what}: and commits`)
}

test('quorum loss: all can only talk to one, which is not the leader', () => {
  for (const seed of SEEDS) {
    const world = grown(seed, 5)
    const leader = leaderOf(world)
    const hub = othersOf(world, leader)[seed % 4] as NodeId
    linkOnly(
      world,
      othersOf(world, hub).map((id) => [hub, id]),
    )
    world.until('the old leader stops', () => !world.leaders(berlin).includes(leader), lan.leaseMs)
    recovers(world, [hub], `the hub leads (seed ${seed})`)
  }
})

test('constrained election: the only one that all can talk to missed what was committed last', () => {
  for (const seed of SEEDS) {
    const world = grown(seed, 5)
    const leader = leaderOf(world)
    const hub = othersOf(world, leader)[seed % 4] as NodeId
    world.link((from, to) => from !== hub && to !== hub)
    for (let round = 0; round < 3; round++) {
      world.propose(berlin)
      world.run(100)
    }
    const committed = world.committed(berlin)
    assert.ok(committed > 0)
    linkOnly(
      world,
      othersOf(world, hub, leader).map((id) => [hub, id]),
    )
    recovers(world, [hub], `the hub leads (seed ${seed})`)
  }
})

test('chained: each can only talk to its neighbours in a row', () => {
  for (const seed of SEEDS.slice(0, 2)) {
    for (const count of [3, 5]) {
      for (let place = 0; place < count; place++) {
        const world = grown(seed, count)
        const leader = leaderOf(world)
        const row = [...othersOf(world, leader)]
        row.splice(place, 0, leader)
        linkOnly(
          world,
          row.slice(1).map((id, index) => [row[index] as NodeId, id]),
        )
        // With three, everybody has a majority around it but for the ends, who have one with their neighbour.
        const able = count === 3 ? row : row.slice(1, -1)
        recovers(world, able, `one of ${able} leads, of ${row} (seed ${seed})`)
      }
    }
  }
})

test('a follower that the leader cannot reach, though it reaches everybody, changes nothing', () => {
  for (const seed of SEEDS) {
    const world = grown(seed, seed % 2 === 0 ? 3 : 5)
    const leader = leaderOf(world)
    const deaf = othersOf(world, leader)[0]
    const before = fenceOf(world)
    world.link((from, to) => !(from === leader && to === deaf))
    world.run(20_000)
    assert.deepEqual(world.leaders(berlin), [leader])
    assert.equal(fenceOf(world), before)
  }
})

test('a leader that hears nobody any more gives way, and does not disturb by what it still says', () => {
  for (const seed of SEEDS) {
    const world = grown(seed, seed % 2 === 0 ? 3 : 5)
    const leader = leaderOf(world)
    world.link((_from, to) => to !== leader)
    world.until('it stops', () => !world.leaders(berlin).includes(leader), lan.leaseMs)
    recovers(world, othersOf(world, leader), `another leads (seed ${seed})`)
  }
})

test('a leader that nobody hears any more is replaced, and follows whoever leads', () => {
  for (const seed of SEEDS) {
    const world = grown(seed, seed % 2 === 0 ? 3 : 5)
    const leader = leaderOf(world)
    world.link((from) => from !== leader)
    recovers(world, othersOf(world, leader), `another leads (seed ${seed})`)
    assert.equal(world.seat(leader)?.state.leader?.child, world.leaders(berlin)[0])
  }
})

// What pre-vote and check-quorum broke in etcd before they were made to work together.

test('a leader that was cut off comes back as a follower, and the one that leads by then goes on', () => {
  for (const seed of SEEDS) {
    const world = grown(seed, 5)
    const leader = leaderOf(world)
    const away = [leader, ...othersOf(world, leader).slice(0, seed % 2)]
    world.part(away, othersOf(world, ...away))
    recovers(world, othersOf(world, ...away), `another leads (seed ${seed})`)
    const [next, before] = [world.leaders(berlin)[0], fenceOf(world)]
    world.heal()
    world.run(5_000)
    assert.equal(leaderOf(world), next)
    assert.equal(fenceOf(world), before)
  }
})

test('an elector that was replaced while it was away gives its vote up when it comes back, and nobody minds', () => {
  for (const seed of SEEDS) {
    const world = createWorld({ seed, clusters: { berlin: 4 }, electorsMax: 3, timing: QUICK })
    world.run(8_000)
    const leader = leaderOf(world)
    const electors = world.known(leader, berlin)?.electors ?? []
    const removed = electors.find((id) => id !== leader) as NodeId
    world.part(othersOf(world, removed), [removed])
    world.run(8_000)
    assert.ok(!world.known(leader, berlin)?.electors.includes(removed), 'it was replaced')
    const before = fenceOf(world)
    // At first it only meets a follower, who cannot tell it; it asks for votes all the time.
    const follower = world.known(leader, berlin)?.electors.find((id) => id !== leader)
    world.link((from, to) => [from, to].every((id) => id !== removed) || [from, to].includes(follower as NodeId))
    world.run(10_000)
    assert.deepEqual([leaderOf(world), fenceOf(world)], [leader, before])
    world.heal()
    world.run(5_000)
    assert.deepEqual([leaderOf(world), fenceOf(world)], [leader, before])
    const state = world.seat(removed)?.state ?? assert.fail()
    assert.ok(!isElector(state) && state.role.kind === 'follower', 'it no longer asks')
  }
})

test('an elector that is in a later term than all others comes back, at the cost of one election', () => {
  for (const seed of SEEDS) {
    const world = grown(seed, seed % 2 === 0 ? 3 : 5)
    const stuck = othersOf(world, leaderOf(world))[0] as NodeId
    const before = elections(world)
    world.damage(stuck, (saved) => {
      const body = checkedBody(saved)
      const read = decodeBounded(body.ok ? body.value : new Uint8Array())
      assert.ok(read.ok)
      return withChecksum(encodeCbor({ ...(read.value as object), term: 40, votedFor: null }))
    })
    world.run(3_000)
    world.restart(stuck)
    const isBack = (): boolean => world.agreed(berlin) !== null && (world.seat(stuck)?.state.term ?? 0) > 40
    world.until('a leader in a term above', isBack, lan.electionTimeoutMsMin)
    world.run(10_000)
    assert.ok(isBack())
    assert.equal(elections(world), before + 1)
  }
})
