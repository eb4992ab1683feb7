// Two levels of the tree: three clusters, and the root whose electors they are.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { DomainPath, NodeId } from '../overlay/kernel/ids.ts'
import { randomInt, seededRandom, shuffled } from '../overlay/kernel/random.ts'
import { ELECTION_TIMINGS } from './constants.ts'
import { step, wakeAt } from './election.ts'
import type { Announcement } from './messages.ts'
import { childrenFrom, createElection } from './state.ts'
import { createWorld, domainOf, QUICK, type World } from './world.test-kit.ts'

// The same machine one level up: the electors of `/` are three clusters, and each of them votes through whoever leads
// it.

const root = domainOf('/')
const berlin = domainOf('/berlin')
const { lan } = ELECTION_TIMINGS

function federation(seed: number): World {
  const world = createWorld({ seed, clusters: { berlin: 3, paris: 3, rome: 3 }, timing: QUICK })
  world.until('a root leader', () => world.agreed(root) !== null, 8_000)
  const electors = (): number =>
    world.seat(world.agreed(root) ?? ('' as NodeId), root)?.state.register?.electors.length ?? 0
  world.until('three clusters that vote', () => world.agreed(root) !== null && electors() === 3, 12_000)
  world.run(2_000)
  return world
}

test('the leaders of three clusters elect one of them, and every node of the federation can check it', () => {
  const world = federation(1)
  for (const id of world.all) {
    const { electors, votes } = world.known(id, root) ?? assert.fail()
    assert.deepEqual(electors.toSorted(), ['/berlin', '/paris', '/rome'])
    assert.ok(votes.every((vote) => vote.message.speaker?.message.node === vote.from))
  }
})

test('when the root leader dies its cluster and the root have a new one within a few round trips', () => {
  for (let seed = 1; seed <= 6; seed++) {
    const world = federation(seed)
    const before = world.agreed(root) as NodeId
    world.kill(before)
    const tookMs = world.until('a new root leader', () => world.agreed(root) !== null, 10_000)
    assert.ok(tookMs < 250, `${tookMs} ms with seed ${seed}`)
    assert.notEqual(world.agreed(root), before)
  }
})

test('however late each node notices a death, no cluster waits for a timeout, nor its root for all it writes', () => {
  for (let seed = 1; seed <= 25; seed++) {
    const options = { clusters: { berlin: 5 }, timing: QUICK, persistMsMax: 20, noticeMsMax: 30 }
    const world = createWorld({ seed, ...options })
    world.run(25_000)
    for (let death = 1; death <= 3; death++) {
      const gone = world.agreed(root) as NodeId
      world.kill(gone)
      const clusterMs = world.until('a leader of the cluster', () => world.agreed(berlin) !== null, 5_000)
      const rootMs = clusterMs + world.until('a leader of the root', () => world.agreed(root) !== null, 5_000)
      assert.ok(clusterMs < 110, `the cluster took ${clusterMs} ms (seed ${seed}, death ${death})`)
      assert.ok(rootMs < 140, `the root took ${rootMs} ms (seed ${seed}, death ${death})`)
      world.restart(gone)
      world.run(12_000)
    }
  }
})

test('when the root leader falls silent the root has a new one within two election timeouts', () => {
  for (let seed = 1; seed <= 3; seed++) {
    const world = federation(seed)
    world.cutPower(world.agreed(root) as NodeId)
    world.until('a new root leader', () => world.agreed(root) !== null, 2 * lan.electionTimeoutMsMax)
  }
})

test('a cluster that changes its leader keeps its seat, its vote and its term above', () => {
  const world = federation(4)
  const rootLeader = world.agreed(root) as NodeId
  const other = ['/berlin', '/paris', '/rome'].map(domainOf).find((domain) => !rootLeader.startsWith(domain.slice(1)))
  assert.ok(other !== undefined)
  const before = world.agreed(other) as NodeId
  const state = world.seat(before, root)?.state
  world.kill(before)
  world.until('a new leader', () => world.agreed(other) !== null, 1_000)
  world.run(1_000)
  const after = world.seat(world.agreed(other) as NodeId, root)?.state
  assert.ok(state !== undefined && after !== undefined)
  assert.equal(after.ticket, state.ticket)
  assert.deepEqual([after.epoch, after.term, after.votedFor], [state.epoch, state.term, state.votedFor])
  assert.equal(world.agreed(root), rootLeader)
})

test('no cluster votes twice in a term of the root, however its nodes come, go and lose each other', () => {
  for (let seed = 1; seed <= 6; seed++) {
    const random = seededRandom(seed)
    const quorumLossMs = { cluster: 6_000, above: 8_000 }
    const world = createWorld({
      seed,
      clusters: seed % 2 === 0 ? { berlin: 3, paris: 3, rome: 3 } : { berlin: 1, oslo: 2, paris: 3, rome: 3 },
      timing: { ...QUICK, quorumLossMs },
      loss: 0.05,
      persistMsMax: 30,
    })
    const down = new Set<NodeId>()
    world.run(8_000)
    for (let round = 0; round < 10; round++) {
      world.run(random.next() * 2_500)
      const node = world.all[randomInt(random, 0, world.all.length)] as NodeId
      const [leader] = world.leaders(root)
      const what = randomInt(random, 0, 6)
      const isEnough = down.size >= 2
      if (what === 0 && !isEnough) down.add(node) && world.kill(node)
      else if (what === 1 && !isEnough && leader !== undefined) down.add(leader) && world.cutPower(leader)
      else if (what === 2) down.delete(node) && world.restart(node)
      else if (what === 3) {
        const order = shuffled(random, world.all)
        const cut = randomInt(random, 0, order.length)
        world.part(order.slice(0, cut), order.slice(cut))
      } else if (what === 4) world.heal()
      else if (leader !== undefined) world.transfer(leader, root)
    }
    world.heal()
    for (const id of down) world.restart(id)
    world.until('a root leader', () => world.agreed(root) !== null && world.agreed(berlin) !== null, 60_000)
  }
})

test('a part of a cluster that recovers alone has no vote above until the root gives it one', () => {
  const world = createWorld({
    seed: 9,
    clusters: { berlin: 3, paris: 3, rome: 3 },
    timing: { ...QUICK, quorumLossMs: { cluster: 5_000, above: 60_000 } },
  })
  world.run(12_000)
  const rootLeader = world.agreed(root) as NodeId
  const cluster = world.all.filter((id) => id.startsWith(rootLeader.split('-')[0] as string))
  const lonely = cluster.find((id) => id !== rootLeader) as NodeId
  const ticket = world.seat(rootLeader, root)?.state.ticket
  world.part(
    world.all.filter((id) => id !== lonely),
    [lonely],
  )
  world.until('it recovers alone', () => world.seat(lonely, root) !== null, 30_000)
  const above = world.seat(lonely, root)?.state
  assert.ok(above !== undefined && ticket !== undefined)
  assert.notEqual(above.ticket, ticket)
  assert.ok(above.register === null || above.register.electors.every((elector) => elector.ticket !== above.ticket))
})

test('a cluster whose halves each founded it, and the root with it, soon has one line of both when they meet', () => {
  for (let seed = 1; seed <= 12; seed++) {
    const world = createWorld({ seed, clusters: { berlin: 2 + (seed % 2) }, timing: QUICK })
    world.part(...world.all.map((id) => [id]))
    world.until('as many roots as nodes', () => world.leaders(root).length === world.all.length, 10_000)
    world.run(seed * 700)
    world.heal()
    world.until('one root', () => world.agreed(root) !== null && world.agreed(berlin) !== null, 20_000)
    world.run(10_000)
    assert.equal(world.agreed(root), world.agreed(berlin))
  }
})

test('a root of one cluster is led again as soon as the cluster went on without its majority', () => {
  const quorumLossMs = { cluster: 8_000, above: 300_000 }
  for (let seed = 1; seed <= 4; seed++) {
    const world = createWorld({ seed, clusters: { berlin: 3 }, timing: { ...QUICK, quorumLossMs } })
    world.run(10_000)
    const survivor = world.all[seed % 3] as NodeId
    for (const id of world.all) if (id !== survivor) world.cutPower(id)
    world.until('it leads its cluster', () => world.leaders(berlin).includes(survivor), 30_000)
    // As long as the lost leader's last announcement is worth, and an election.
    world.until('and the root', () => world.agreed(root) === survivor, 3 * 2_000 + lan.electionTimeoutMsMax)
  }
})

test('a root that nobody can lead any more, since too few votes are left, is not waited for', () => {
  const quorumLossMs = { cluster: 6_000, above: 300_000 }
  for (let seed = 1; seed <= 4; seed++) {
    const world = createWorld({ seed, clusters: { berlin: 2, paris: 2 }, timing: { ...QUICK, quorumLossMs } })
    world.run(15_000)
    const halves = ['/berlin', '/paris'].map(domainOf).map((domain) => world.agreed(domain) ?? assert.fail())
    const goesOnWithout = (domain: DomainPath, half: NodeId): void => {
      world.cutPower(half)
      world.until(`${domain} goes on without its vote`, () => world.leaders(domain).length === 1, 20_000)
    }
    goesOnWithout(domainOf('/paris'), halves[1] as NodeId)
    assert.equal(world.agreed(root), null, 'and its vote was the other half')
    if (seed % 2 === 0) goesOnWithout(berlin, halves[0] as NodeId)
    const tookMs = world.until('a root leader', () => world.agreed(root) !== null, quorumLossMs.above)
    assert.ok(tookMs < 20_000, `${tookMs} ms with seed ${seed}`)
    world.run(10_000)
    assert.equal(world.leaders(root).length, 1)
  }
})

/** When `/berlin` founds a root of which it has only heard, whose electors are these and whose leader fell silent. */
function foundAfter(electors: readonly string[]): number | null {
  const random = seededRandom(1)
  const at = (now: number) => ({ now, wall: now, random })
  const options = { domain: root, self: berlin, electorsMax: 5, autonomy: 'automatic' as const, fitness: 0.5 }
  let { state } = createElection({ ...options, timing: lan, speaker: null, saved: null }, at(0))
  const fact = (child: DomainPath, alive: boolean) => ({ child, alive, steadySince: 0, fitness: 0.5, canLead: true })
  const announcement: Announcement = {
    kind: 'election/announcement',
    domain: root,
    line: 'of a twin',
    epoch: 7,
    term: 1,
    leader: berlin,
    node: 'berlin-1' as NodeId,
    name: 'berlin-1',
    electors: electors.map(domainOf),
    predecessor: null,
    grants: [],
    established: true,
    votes: [],
    addresses: [],
    sequence: 1,
    fitness: 0.5,
  }
  const children = childrenFrom([fact(berlin, true), fact(domainOf('/paris'), false)])
  for (const input of [
    { kind: 'start' as const },
    { kind: 'children' as const, children },
    { kind: 'announced' as const, announcement, granted: null },
  ]) {
    state = step(state, input, at(1)).state
  }
  for (let now = wakeAt(state); now !== null && now < 2 * lan.quorumLossMs.above; now = wakeAt(state)) {
    const { state: next, effects } = step(state, { kind: 'wake' }, at(now))
    state = next
    const isFounded = effects.some((effect) => effect.kind === 'emit' && effect.event.name === 'domain-founded')
    if (isFounded) return now
  }
  return null
}

test('a root whose only elector was a line of this very cluster that is gone is founded again, and no other', () => {
  const ms = foundAfter(['/berlin'])
  assert.ok(ms !== null && ms <= 1 + 2 * lan.formationMs, `after ${ms} ms`)
  assert.equal(foundAfter(['/berlin', '/paris']), null)
})
