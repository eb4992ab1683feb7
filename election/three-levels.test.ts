// Three levels of the tree by the code that two have: clusters, the countries and continents above them, and the root.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type ChildId, type DomainPath, isDomain, type NodeId, parentOf } from '../overlay/kernel/ids.ts'
import { ELECTION_TIMINGS } from './constants.ts'
import type { Vote } from './messages.ts'
import type { Seat } from './node.test-kit.ts'
import { voteRequestOf } from './proving.ts'
import { createWorld, domainOf, QUICK, type World } from './world.test-kit.ts'

const { lan } = ELECTION_TIMINGS
const root = domainOf('/')
const eu = domainOf('/eu')
const us = domainOf('/us')
const clusters = ['/eu/berlin', '/eu/paris', '/us/nyc'].map(domainOf)
const domains = [root, eu, us, ...clusters]

const electorsOf = (world: World, domain: DomainPath): readonly ChildId[] =>
  (world.known(world.all[0] as NodeId, domain)?.electors ?? []).toSorted()
const isWhole = (world: World): boolean =>
  domains.every((domain) => world.agreed(domain) !== null) &&
  electorsOf(world, root).length === 2 &&
  electorsOf(world, eu).length === 2

function federation(seed: number): World {
  const world = createWorld({
    seed,
    clusters: { 'eu/berlin': 3, 'eu/paris': 3, 'us/nyc': 3 },
    timing: QUICK,
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

test('who speaks for a domain and dies right after its vote leaves the vote behind, at every level', () => {
  for (const level of [root, eu, domainOf('/eu/berlin')]) {
    const tried = [1, 2, 3, 4].filter((seed) => voteAndDie(level, seed))
    assert.ok(tried.length > 0, `a voter of ${level} died`)
  }
})

/** False where the only child that could lose its speaker leads the level. */
function voteAndDie(level: DomainPath, seed: number): boolean {
  const wide = { 'asia/tokyo': 1, 'eu/berlin': 3, 'eu/paris': 3, 'eu/rome': 3, 'us/nyc': 1 }
  const world = createWorld({ seed, clusters: wide, timing: QUICK, persistMsMax: 20 })
  const electors = (): readonly ChildId[] => electorsOf(world, level)
  const isReady = (): boolean => world.agreed(level) !== null && electors().length === 3
  world.until(`three electors of ${level}`, isReady, 40_000)
  world.run(5_000)
  const leader = world.known(world.all[0] as NodeId, level)?.leader
  const speakerOf = (child: ChildId): NodeId => (isDomain(child) ? world.agreed(child) : child) as NodeId
  // Of the children that do not lead, one votes: the one whose own electors are three, where it has any.
  const others = electors().filter((child) => child !== leader)
  const voter = others.find((child) => !isDomain(child) || electorsOf(world, child).length === 3)
  if (voter === undefined) return false
  const [first, second] = electors().filter((child) => child !== voter)
  const speaker = speakerOf(voter)
  const state = world.seat(speaker, level)?.state ?? assert.fail()
  const ask = (candidate: ChildId): void => {
    const own = world.seat(speakerOf(candidate), level)?.state ?? assert.fail()
    const request = voteRequestOf({ ...own, term: state.term + 1 }, voter, true)
    world.say(speakerOf(candidate), speakerOf(voter), request)
  }
  const isGiven = (): boolean => world.votes.some((vote) => isOfTerm(vote) && vote.voter === voter)
  const isOfTerm = ({ domain, epoch, term }: Vote): boolean =>
    domain === level && epoch === state.epoch && term === state.term + 1
  ask(first as ChildId)
  world.until(`the vote of ${voter} (seed ${seed})`, isGiven, 1_000)
  // Whatever it said besides, and is not there yet, is lost with it.
  world.link((from) => from !== speaker)
  if (isDomain(voter)) world.kill(speaker)
  else world.restart(speaker)
  // As soon as it is there: a moment later it may have voted again, in a later term.
  const heirs = isDomain(voter) ? world.all.filter((id) => id !== speaker) : [speaker]
  const seat = (): Seat | null => heirs.map((id) => world.seat(id, level)).find((one) => one?.self === voter) ?? null
  world.until(`another speaker of ${voter} (seed ${seed})`, () => seat() !== null, 5_000)
  const remembered = seat()?.state
  world.heal()
  assert.equal(remembered?.term, state.term + 1, `${voter} is still in that term (seed ${seed})`)
  assert.equal(remembered.votedFor, first, `${voter} remembers its vote (seed ${seed})`)
  world.until(`who speaks for ${voter} (seed ${seed})`, () => speakerOf(voter) !== null, 5_000)
  ask(second as ChildId)
  world.run(50)
  assert.ok(world.votes.filter(isOfTerm).every((vote) => vote.voter !== voter || vote.candidate === first))
  world.until(`a leader of ${level}`, () => world.agreed(level) !== null, 30_000)
  return true
}
