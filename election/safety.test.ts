// Many seeds of crashes, losses and partitions, for what must hold in all of them.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { NodeId } from '../overlay/kernel/ids.ts'
import { type Random, randomInt, seededRandom, shuffled } from '../overlay/kernel/random.ts'
import { createWorld, domainOf, QUICK, type World } from './world.test-kit.ts'

// The world itself checks at every step that no elector votes twice in a term, that no term has two leaders, and that
// a leader begins with all that was committed in its line; these tests only see to it that there is enough to check.

const berlin = domainOf('/berlin')

const oneOf = (world: World, random: Random): NodeId => world.all[randomInt(random, 0, world.all.length)] as NodeId

/** Lets everybody be there and hear each other, and demands that this is enough. */
function settle(world: World, down: Iterable<NodeId>): void {
  world.heal()
  for (const id of down) world.restart(id)
  world.until('agreement', () => world.agreed(berlin) !== null, 20_000)
  const before = world.committed(berlin)
  world.propose(berlin)
  world.until('a commit', () => world.committed(berlin) > before, 5_000)
}

test('nobody votes twice in a term, and no term has two leaders, wherever in an election nodes crash', () => {
  let votes = 0
  for (let seed = 1; seed <= 10; seed++) {
    const random = seededRandom(seed)
    const world = createWorld({ seed, clusters: { berlin: 3 + 2 * (seed % 2) }, timing: QUICK, persistMsMax: 20 })
    world.run(5_000)
    for (let round = 0; round < 15; round++) {
      const [leader = oneOf(world, random)] = world.leaders(berlin)
      world.kill(leader)
      // An election takes a few tens of milliseconds: the next crash falls into the middle of it.
      for (let crash = 0; crash < 3; crash++) {
        world.run(random.next() * 30)
        world.restart(oneOf(world, random))
      }
      world.restart(leader)
      world.run(random.next() * 200)
    }
    settle(world, [])
    votes += world.votes.length
  }
  assert.ok(votes > 500, `${votes} votes`)
})

test('what was committed survives any crash, with one message in ten lost', () => {
  let committed = 0
  for (let seed = 1; seed <= 10; seed++) {
    const random = seededRandom(seed)
    const world = createWorld({ seed, clusters: { berlin: 3 }, timing: QUICK, loss: 0.1, persistMsMax: 20 })
    world.run(6_000)
    for (let round = 0; round < 8; round++) {
      const changes = randomInt(random, 1, 4)
      for (let change = 0; change < changes; change++) {
        world.propose(berlin)
        world.run(random.next() * 30)
      }
      const [leader] = world.leaders(berlin)
      const victim = round % 2 === 0 && leader !== undefined ? leader : oneOf(world, random)
      world.kill(victim)
      world.run(random.next() * 2_000)
      world.restart(victim)
      world.run(random.next() * 500)
    }
    settle(world, [])
    committed += world.committed(berlin)
  }
  assert.ok(committed > 80, `${committed} commits`)
})

test('crashes, power cuts, lost disks, partitions and hand-overs in any order end in one leader for all', () => {
  for (let seed = 1; seed <= 12; seed++) {
    const random = seededRandom(seed)
    const count = [3, 4, 5, 7][seed % 4] as number
    const world = createWorld({ seed, clusters: { berlin: count }, timing: QUICK, loss: 0.05, persistMsMax: 40 })
    const down = new Set<NodeId>()
    let diskMayFail = true
    world.run(6_000)
    for (let round = 0; round < 15; round++) {
      world.propose(berlin)
      world.run(random.next() * 1_500)
      const node = oneOf(world, random)
      const [leader] = world.leaders(berlin)
      const what = randomInt(random, 0, 6)
      if (what <= 1 && down.size < (count - 1) / 2) {
        if (what === 0) world.kill(node)
        else world.cutPower(node)
        down.add(node)
      } else if (what === 2) {
        world.restart(node, diskMayFail)
        diskMayFail = false
        down.delete(node)
      } else if (what === 3) {
        const order = shuffled(random, world.all)
        const cut = randomInt(random, 0, count)
        world.part(order.slice(0, cut), order.slice(cut))
      } else if (what === 4) world.heal()
      else if (leader !== undefined) world.transfer(leader, berlin)
    }
    settle(world, down)
  }
})

test('a node that crashes right after it gave its vote, or promised to remember, keeps the promise', () => {
  let crashes = 0
  for (let seed = 1; seed <= 12; seed++) {
    const random = seededRandom(seed)
    let isCruel = false
    const crash = (): boolean => {
      const isNow = isCruel && random.next() < 0.3
      if (isNow) crashes += 1
      return isNow
    }
    const world = createWorld({ seed, clusters: { berlin: 3 }, timing: QUICK, loss: 0.2, persistMsMax: 40, crash })
    world.run(6_000)
    isCruel = true
    for (let round = 0; round < 12; round++) {
      const [leader] = world.leaders(berlin)
      world.propose(berlin)
      world.run(random.next() * 100)
      if (leader !== undefined && random.next() < 0.5) world.restart(leader)
      world.run(random.next() * 1_500)
    }
    isCruel = false
    settle(world, [])
  }
  assert.ok(crashes > 50, `${crashes} crashes`)
})

test('one seed decides everything', () => {
  const story = (): string => {
    const world = createWorld({ seed: 11, clusters: { berlin: 5 }, timing: QUICK, loss: 0.1 })
    world.run(6_000)
    for (const id of world.leaders(berlin)) world.cutPower(id)
    world.run(6_000)
    return JSON.stringify([world.events, world.votes])
  }
  assert.equal(story(), story())
})
