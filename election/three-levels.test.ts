// Three levels of the tree by the code that two have: clusters, the countries and continents above them, and the root.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type DomainPath, type NodeId, parentOf } from '../overlay/kernel/ids.ts'
import { ELECTION_TIMINGS } from './constants.ts'
import { createWorld, domainOf, QUICK, type World, type WorldOptions } from './world.test-kit.ts'

const { lan } = ELECTION_TIMINGS
const root = domainOf('/')
const eu = domainOf('/eu')
const us = domainOf('/us')
const clusters = ['/eu/berlin', '/eu/paris', '/us/nyc'].map(domainOf)
const domains = [root, eu, us, ...clusters]

const electorsOf = (world: World, domain: DomainPath): readonly string[] =>
  (world.known(world.all[0] as NodeId, domain)?.electors ?? []).toSorted()
const isWhole = (world: World): boolean =>
  domains.every((domain) => world.agreed(domain) !== null) &&
  electorsOf(world, root).length === 2 &&
  electorsOf(world, eu).length === 2

function federation(seed: number, options: Partial<WorldOptions> = {}): World {
  const world = createWorld({
    seed,
    clusters: { 'eu/berlin': 3, 'eu/paris': 3, 'us/nyc': 3 },
    timing: QUICK,
    ...options,
  })
  world.until('a whole tree', () => isWhole(world), 30_000)
  world.run(3_000)
  return world
}

/** The state of the seat through which a domain votes in its parent. */
const seatAbove = (world: World, domain: DomainPath) => {
  const speaker = world.agreed(domain)
  const seat = speaker === null ? null : world.seat(speaker, parentOf(domain) ?? root)
  return seat?.state ?? null
}

test('clusters elect the leaders of what is above them, those elect the root, and every node can check it', () => {
  const world = federation(1)
  for (const id of world.all) {
    assert.deepEqual((world.known(id, root)?.electors ?? []).toSorted(), ['/eu', '/us'])
    const { votes } = world.known(id, root) ?? assert.fail()
    const speakers = votes.map((vote) => vote.message.speaker?.message ?? assert.fail())
    // The proof of the root stands on those of the middle, which stand on those of the clusters.
    assert.ok(speakers.every(({ votes: below }) => below.every((vote) => vote.message.speaker !== null)))
  }
  assert.deepEqual(electorsOf(world, eu), ['/eu/berlin', '/eu/paris'])
  assert.deepEqual(electorsOf(world, us), ['/us/nyc'])
  const leader = world.agreed(root) as NodeId
  const chain = domains.filter((domain) => world.agreed(domain) === leader)
  assert.equal(chain.length, 3, 'who leads the root leads the domains below it on its way')
})

test('when the root leader dies all three levels that it led have a new leader within one election timeout', () => {
  for (let seed = 1; seed <= 4; seed++) {
    const world = federation(seed)
    world.kill(world.agreed(root) as NodeId)
    world.until(`all levels (seed ${seed})`, () => domains.every((domain) => world.agreed(domain)), 1_500)
  }
})

test('when the root leader falls silent all three levels have one again within two election timeouts', () => {
  for (let seed = 1; seed <= 3; seed++) {
    const world = federation(seed)
    world.cutPower(world.agreed(root) as NodeId)
    const isLed = (): boolean => domains.every((domain) => world.agreed(domain) !== null)
    world.until(`all levels (seed ${seed})`, isLed, 2 * lan.electionTimeoutMsMax)
  }
})

test('a domain that changes its leader keeps its seat, its vote and its term above, at every level', () => {
  for (const domain of [...clusters, eu, us]) {
    const world = federation(5)
    const before = seatAbove(world, domain)
    const speaker = world.agreed(domain) as NodeId
    world.kill(speaker)
    world.until(`a new leader of ${domain}`, () => world.agreed(domain) !== null, lan.electionTimeoutMsMax)
    world.run(2_000)
    const after = seatAbove(world, domain)
    assert.ok(before !== null && after !== null)
    assert.notEqual(world.agreed(domain), speaker)
    assert.equal(after.ticket, before.ticket, `${domain} is the same elector`)
    assert.equal(after.epoch, before.epoch)
    assert.ok(after.term >= before.term)
    if (after.term === before.term) assert.equal(after.votedFor, before.votedFor)
  }
})

test('who spoke for a domain and dies right after its vote takes no second one along, at every level', () => {
  const levels = [...clusters, eu, us, root]
  for (const level of levels) {
    for (let seed = 1; seed <= 3; seed++) {
      let isArmed = false
      let crashes = 0
      const world = federation(seed, {
        persistMsMax: 20,
        crash: (_node, promise, domain) => {
          const isHit = isArmed && promise === 'vote' && domain === level && crashes < 6
          if (isHit) crashes += 1
          return isHit
        },
      })
      isArmed = true
      // Each of these makes the domain vote anew; the checks of the world know every vote that was ever given.
      for (let round = 0; round < 4; round++) {
        const leader = world.leaders(level)[0]
        if (leader !== undefined && round % 2 === 0) world.transfer(leader, level)
        else if (leader !== undefined) world.restart(leader)
        world.run(3_000)
      }
      isArmed = false
      assert.ok(crashes > 0, `somebody crashed in ${level}`)
      world.until(`a whole tree after crashes in ${level}, seed ${seed}`, () => isWhole(world), 120_000)
    }
  }
})
