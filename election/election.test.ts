// One cluster and its everyday life: founding, growing, losing a leader, handing over, starting again.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { NodeId } from '../overlay/kernel/ids.ts'
import { ELECTION_TIMINGS } from './constants.ts'
import { electorIds } from './register.ts'
import { isElector } from './state.ts'
import { createWorld, domainOf, QUICK, type World } from './world.test-kit.ts'

const { lan } = ELECTION_TIMINGS
const berlin = domainOf('/berlin')
/** A few messages there and back, and the writes between them, in the network and on the disks of the test. */
const FEW_ROUND_TRIPS_MS = 150

const leaderOf = (world: World): NodeId => {
  const leader = world.agreed(berlin)
  assert.ok(leader !== null, 'all agree on a leader')
  return leader
}
const electorsOf = (world: World): readonly string[] =>
  electorIds(world.seat(leaderOf(world))?.state.register ?? null).toSorted()
const fenceOf = (world: World): string => {
  const { epoch, term } = world.seat(leaderOf(world))?.state ?? {}
  return `${epoch}.${term}`
}

function grown(seed: number, count: number): World {
  const world = createWorld({ seed, clusters: { berlin: count }, timing: QUICK })
  world.run(8_000)
  assert.equal(electorsOf(world).length, count)
  return world
}

test('a new cluster is led by its lowest node as soon as nobody answered for long enough', () => {
  const world = createWorld({ seed: 1, clusters: { berlin: 3 } })
  const tookMs = world.until('a leader', () => world.agreed(berlin) !== null, 5_000)
  assert.ok(tookMs >= lan.formationMs && tookMs <= 2 * lan.formationMs + FEW_ROUND_TRIPS_MS, `${tookMs} ms`)
  assert.equal(leaderOf(world), 'berlin-1')
})

test('children become electors after ten steady seconds: three of three, and of six an odd five', () => {
  for (const [count, electors] of [
    [3, 3],
    [6, 5],
  ] as const) {
    const world = createWorld({ seed: 2, clusters: { berlin: count } })
    world.run(lan.steadyMs - 500)
    assert.equal(electorsOf(world).length, 1)
    world.run(2_500)
    assert.equal(electorsOf(world).length, electors)
  }
})

test('who leads a cluster and the domain above it speaks in both at the same moments, and as often', () => {
  const world = createWorld({ seed: 5, clusters: { berlin: 3, paris: 3 }, timing: QUICK })
  world.run(8_000)
  const [leader] = world.leaders(domainOf('/'))
  assert.ok(leader !== undefined)
  const beats = () =>
    ['/', leader.startsWith('berlin') ? '/berlin' : '/paris'].map((path) => {
      const role = world.seat(leader, domainOf(path))?.state.role
      assert.ok(role?.kind === 'leader')
      return role.heartbeatAt
    })
  for (let look = 0; look < 20; look++) {
    const [above, below] = beats()
    assert.equal(above, below)
    assert.equal((above ?? Number.NaN) % lan.heartbeatMs, 0)
    world.run(37)
    const [next = Number.NaN] = beats()
    assert.ok(next - (above ?? Number.NaN) <= lan.heartbeatMs)
  }
})

test('electors that came after the election vouch for the leader, so its announcements prove themselves', () => {
  const world = grown(3, 5)
  const { electors, votes, term } = world.known('berlin-5' as NodeId, berlin) ?? assert.fail()
  assert.equal(electors.length, 5)
  assert.equal(term, 1, 'under the very first leader')
  assert.deepEqual(votes.map((vote) => vote.message.voter).toSorted(), electors.toSorted())
})

test('a leader whose process dies is replaced within a few round trips, whoever that is', () => {
  for (let seed = 1; seed <= 4; seed++) {
    const world = grown(seed, seed % 2 === 0 ? 3 : 5)
    world.kill(leaderOf(world))
    const tookMs = world.until('a new leader', () => world.agreed(berlin) !== null, 10_000)
    assert.ok(tookMs < FEW_ROUND_TRIPS_MS, `${tookMs} ms with seed ${seed}`)
  }
})

test('a leader that falls silent is replaced within one election timeout', () => {
  for (let seed = 1; seed <= 4; seed++) {
    const world = grown(seed, 5)
    world.cutPower(leaderOf(world))
    const tookMs = world.until('a new leader', () => world.agreed(berlin) !== null, 10_000)
    assert.ok(tookMs > lan.leaseMs, 'its lease is honoured')
    assert.ok(tookMs < lan.electionTimeoutMsMax + FEW_ROUND_TRIPS_MS, `${tookMs} ms with seed ${seed}`)
  }
})

test('a follower that was cut off does not disturb the leader when it returns', () => {
  const world = grown(5, 3)
  const [leader, fence] = [leaderOf(world), fenceOf(world)]
  const away = world.all.filter((id) => id !== leader)[0] as NodeId
  world.part(
    world.all.filter((id) => id !== away),
    [away],
  )
  world.run(10_000)
  world.heal()
  world.run(5_000)
  assert.equal(leaderOf(world), leader)
  assert.equal(fenceOf(world), fence)
  assert.equal(world.seat(away)?.state.leader?.child, leader)
})

test('a follower that starts again does not disturb the leader either', () => {
  const world = grown(6, 3)
  const [leader, fence] = [leaderOf(world), fenceOf(world)]
  for (const follower of world.all.filter((id) => id !== leader)) {
    world.restart(follower)
    world.run(4_000)
  }
  assert.equal(leaderOf(world), leader)
  assert.equal(fenceOf(world), fence)
})

test('a leader that is cut off from the majority stops within one lease, before there can be another', () => {
  for (let seed = 1; seed <= 4; seed++) {
    const world = grown(seed, 3)
    const leader = leaderOf(world)
    world.part(
      [leader],
      world.all.filter((id) => id !== leader),
    )
    const stoppedMs = world.until('the old leader stops', () => !world.leaders(berlin).includes(leader), 10_000)
    assert.ok(stoppedMs <= lan.leaseMs, `${stoppedMs} ms`)
    assert.deepEqual(world.leaders(berlin), [])
    world.until('another leads', () => world.leaders(berlin).length === 1, lan.electionTimeoutMsMax)
  }
})

test('leadership is handed over without a wait', () => {
  for (let seed = 1; seed <= 4; seed++) {
    const world = grown(seed, 5)
    const before = leaderOf(world)
    world.transfer(before, berlin)
    world.until('the old leader gives way', () => world.leaders(berlin).length === 0, 1_000)
    const gapMs = world.until('the new one leads', () => world.leaders(berlin).length === 1, 1_000)
    assert.ok(gapMs < FEW_ROUND_TRIPS_MS / 2, `${gapMs} ms`)
    world.until('all know', () => world.agreed(berlin) !== null, 1_000)
    assert.notEqual(leaderOf(world), before)
  }
})

test('a node that is a cluster by itself leads again at once when it starts again, under a higher fence', () => {
  const world = createWorld({ seed: 7, clusters: { berlin: 1 } })
  world.run(4_000)
  const term = world.seat(leaderOf(world))?.state.term ?? 0
  world.restart('berlin-1' as NodeId)
  const tookMs = world.until('it leads', () => world.leaders(berlin).length === 1, 1_000)
  assert.ok(tookMs < 50, `${tookMs} ms`)
  assert.equal(world.seat(leaderOf(world))?.state.term, term + 1)
})

test('a whole cluster that starts again after a power cut has its leader back within one election timeout', () => {
  const world = grown(8, 5)
  for (const id of world.all) world.cutPower(id)
  world.run(5_000)
  for (const id of world.all) world.restart(id)
  world.until('a leader', () => world.agreed(berlin) !== null, lan.electionTimeoutMsMax + FEW_ROUND_TRIPS_MS)
  assert.equal(electorsOf(world).length, 5)
})

test('a dead elector gives its place to a steady learner, and comes back as a learner', () => {
  const world = createWorld({ seed: 9, clusters: { berlin: 4 }, electorsMax: 3, timing: QUICK })
  world.run(8_000)
  const leader = leaderOf(world)
  const lost = electorsOf(world).find((id) => id !== leader) as NodeId
  world.kill(lost)
  world.run(6_000)
  assert.equal(electorsOf(world).length, 3)
  assert.ok(!electorsOf(world).includes(lost))
  const fence = fenceOf(world)
  world.restart(lost)
  world.run(10_000)
  assert.equal(fenceOf(world), fence)
  assert.equal(world.seat(lost)?.state.role.kind, 'follower')
  assert.ok(!electorsOf(world).includes(lost))
})

test('a cluster has as many electors as its setting says, also when one dies, and children that are enough', () => {
  for (const [electorsMax, count, wanted] of [
    [3, 9, 3],
    [5, 9, 5],
    [7, 9, 7],
    [7, 4, 3],
    [3, 2, 2],
    [3, 1, 1],
    [5, 40, 5],
  ] as const) {
    const world = createWorld({ seed: 12, clusters: { berlin: count }, electorsMax, timing: QUICK })
    world.run(8_000)
    assert.equal(electorsOf(world).length, wanted)
    const lost = electorsOf(world).find((id) => id !== leaderOf(world))
    if (lost === undefined || count <= electorsMax) continue
    world.kill(lost as NodeId)
    world.run(6_000)
    assert.equal(electorsOf(world).length, wanted, `of ${count}`)
    assert.ok(!electorsOf(world).includes(lost))
  }
})

test('an elector that lost its disk comes back under another ticket, as a learner first', () => {
  const world = grown(13, 3)
  const lost = electorsOf(world).find((id) => id !== leaderOf(world)) as NodeId
  const leader = leaderOf(world)
  const ticketOf = (): string | undefined =>
    world.seat(leader)?.state.register?.electors.find(({ child }) => child === lost)?.ticket
  const before = ticketOf()
  world.restart(lost, true)
  world.until('it loses its vote', () => ticketOf() === undefined, 2_000)
  assert.ok(!isElector(world.seat(lost)?.state ?? assert.fail()))
  world.until('it has a vote again', () => ticketOf() !== undefined, 10_000)
  assert.notEqual(ticketOf(), before)
})

test('an elector whose memory is damaged has no vote before it is made an elector again', () => {
  const damages: Readonly<Record<string, (saved: Uint8Array) => Uint8Array>> = {
    'cut short': (saved) => saved.slice(0, saved.length / 2),
    empty: () => new Uint8Array(),
    'all bits flipped': (saved) => saved.map((byte) => byte ^ 0xff),
    zeroes: (saved) => new Uint8Array(saved.length),
  }
  for (const [what, change] of Object.entries(damages)) {
    const world = grown(14, 3)
    const [leader, fence] = [leaderOf(world), fenceOf(world)]
    const victim = electorsOf(world).find((id) => id !== leader) as NodeId
    const ticket = world.seat(victim)?.state.ticket
    world.damage(victim, change)
    world.restart(victim)
    assert.ok(
      world.events.some(({ name, node }) => name === 'vote-memory-damaged' && node === victim),
      what,
    )
    assert.notEqual(world.seat(victim)?.state.ticket, ticket, what)
    assert.ok(!isElector(world.seat(victim)?.state ?? assert.fail()), what)
    world.run(8_000)
    assert.deepEqual([leaderOf(world), fenceOf(world)], [leader, fence], `${what}: and nobody is disturbed`)
    assert.equal(electorsOf(world).length, 3, what)
  }
})

test('of five electors that lose two the other three are a set of their own, and may lose one more', () => {
  const world = grown(10, 5)
  const leader = leaderOf(world)
  const others = world.all.filter((id) => id !== leader)
  for (const id of others.slice(0, 2)) world.cutPower(id)
  world.run(8_000)
  assert.equal(electorsOf(world).length, 3)
  world.cutPower(others[2] as NodeId)
  world.run(4_000)
  assert.equal(leaderOf(world), leader)
})
