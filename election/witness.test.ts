// A domain that lost its majority, and the parent that saw which side was left.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { DomainPath, NodeId } from '../overlay/kernel/ids.ts'
import { ELECTION_TIMINGS } from './constants.ts'
import { grantsOf } from './grants.ts'
import { electorIds } from './register.ts'
import type { ElectionState } from './state.ts'
import { createWorld, domainOf, QUICK, type World, type WorldOptions } from './world.test-kit.ts'

const root = domainOf('/')
const berlin = domainOf('/berlin')
const WITHIN_MS = 3 * ELECTION_TIMINGS.lan.electionTimeoutMsMax

/** `/berlin` of two or more nodes, and enough other clusters for the root to go on without it. */
function federation(seed: number, options: Partial<WorldOptions> = {}): World {
  const clusters = { berlin: 2, oslo: 1, paris: 1, rome: 1 }
  const world = createWorld({ seed, clusters, timing: QUICK, ...options })
  const all = Object.keys(options.clusters ?? clusters).map((name) => `/${name}` as DomainPath)
  const isWhole = (): boolean => [root, ...all].every((domain) => world.agreed(domain) !== null)
  world.until('a leader of every domain', isWhole, 15_000)
  world.run(12_000)
  // The parent is up: another cluster leads it, or its own election would come first.
  if (world.agreed(root)?.startsWith('berlin')) world.transfer(world.agreed(root) as NodeId, root)
  world.run(1_000)
  assert.ok(!world.agreed(root)?.startsWith('berlin'))
  return world
}

const stateOf = (world: World, id: NodeId, domain?: DomainPath): ElectionState =>
  world.seat(id, domain)?.state ?? assert.fail(`${id} has no seat`)
const lineOf = (world: World, id: NodeId): string | undefined => stateOf(world, id).register?.line
const grantedBy = (world: World) => {
  const [leader] = world.leaders(root)
  return leader === undefined ? [] : grantsOf(stateOf(world, leader, root).register)
}
/** Whether all of `/berlin` know a leader of a line that the root granted. */
function isGranted(world: World): boolean {
  const leader = world.agreed(berlin)
  return leader !== null && stateOf(world, leader).register?.predecessor?.cause === 'grant'
}
const inBerlin = (world: World): readonly NodeId[] => world.all.filter((id) => id.startsWith('berlin'))

test('a site of two that loses one leads again within three election timeouts, whichever it loses and however', () => {
  for (let seed = 1; seed <= 8; seed++) {
    const world = federation(seed)
    const leader = world.agreed(berlin) as NodeId
    const lost = seed % 2 === 0 ? leader : (inBerlin(world).find((id) => id !== leader) as NodeId)
    if (seed % 4 < 2) world.cutPower(lost)
    else world.kill(lost)
    world.until('the rest leads by a grant', () => isGranted(world), WITHIN_MS)
    assert.notEqual(world.agreed(berlin), lost)
  }
})

test('a site that has no vote in its parent is granted as quickly as one that has', () => {
  for (let seed = 1; seed <= 4; seed++) {
    const world = federation(seed, {
      electorsMax: 3,
      clusters: { amsterdam: 1, bern: 1, berlin: 2, celle: 1, oslo: 1 },
    })
    const electors = electorIds(stateOf(world, world.agreed(root) as NodeId, root).register)
    if (electors.includes(berlin)) continue
    const lost = world.agreed(berlin) as NodeId
    world.cutPower(lost)
    world.until('the rest leads by a grant', () => isGranted(world), WITHIN_MS)
  }
})

test('of parts that all reach the parent, and none of them a majority, one is granted and leads when they meet', () => {
  for (let seed = 1; seed <= 6; seed++) {
    const count = seed % 2 === 0 ? 5 : 2
    const world = federation(seed, { clusters: { berlin: count, oslo: 1, paris: 1, rome: 1 } })
    const nodes = inBerlin(world)
    const before = lineOf(world, nodes[0] as NodeId)
    const others = world.all.filter((id) => !nodes.includes(id))
    const cuts = count === 2 ? [0, 1, 2] : [0, 2, 4, 5]
    const parts = cuts.slice(1).map((end, at) => nodes.slice(cuts[at], end))
    world.part(others, ...parts.map((part) => [...part, ...others]))
    world.until('one part is granted', () => grantedBy(world).length === 1, WITHIN_MS)
    world.run(20_000)
    const [granted] = grantedBy(world)
    assert.equal(granted?.of, before)
    const led = world.leaders(berlin).map((id) => lineOf(world, id))
    assert.deepEqual(led, [granted?.line])
    world.heal()
    world.run(15_000)
    assert.equal(grantedBy(world).length, 1)
    for (const id of nodes) assert.equal(world.known(id, berlin)?.line, granted?.line)
    assert.ok(world.agreed(berlin) !== null)
  }
})

test('nobody is granted anything while the leader of the domain is heard', () => {
  const world = federation(3, { clusters: { berlin: 3, oslo: 1, paris: 1, rome: 1 } })
  const leader = world.agreed(berlin) as NodeId
  const lonely = inBerlin(world).find((id) => id !== leader) as NodeId
  const others = world.all.filter((id) => !id.startsWith('berlin'))
  world.part(
    world.all.filter((id) => id !== lonely),
    [lonely, ...others],
  )
  world.run(30_000)
  assert.deepEqual(grantedBy(world), [])
  assert.deepEqual(world.leaders(berlin), [leader])
})

test('a grant is remembered by the next leaders of the parent, so that the other half never gets one', () => {
  for (let seed = 1; seed <= 6; seed++) {
    const world = federation(seed, { clusters: { berlin: 2, graz: 1, oslo: 1, paris: 1, rome: 1 } })
    const nodes = inBerlin(world)
    const others = world.all.filter((id) => !nodes.includes(id))
    const [first, second] = (seed % 2 === 0 ? nodes : nodes.toReversed()) as [NodeId, NodeId]
    world.part([first, ...others], [second])
    const isFirstGranted = (): boolean => stateOf(world, first).register?.predecessor?.cause === 'grant'
    world.until('the first is granted', isFirstGranted, WITHIN_MS)
    const line = lineOf(world, first)
    world.part([second, ...others], [first])
    const before = world.leaders(root).find((id) => others.includes(id)) as NodeId
    world.kill(before)
    world.until('another root leader', () => others.some((id) => world.leaders(root).includes(id)), 30_000)
    world.run(20_000)
    assert.deepEqual(world.leaders(berlin), [first])
    world.restart(before)
    world.heal()
    const isOne = (): boolean => world.all.every((id) => world.known(id, berlin)?.line === line)
    world.until('all know the granted line', isOne, 30_000)
    assert.equal(world.agreed(berlin), first)
  }
})

test('the side that was granted leads even where it holds fewer of the last electors', () => {
  const world = federation(5, { clusters: { berlin: 3, oslo: 1, paris: 1, rome: 1 } })
  const leader = world.agreed(berlin) as NodeId
  const lonely = inBerlin(world).find((id) => id !== leader) as NodeId
  const others = world.all.filter((id) => !id.startsWith('berlin'))
  world.part(
    inBerlin(world).filter((id) => id !== lonely),
    [lonely, ...others],
  )
  world.until('it is granted', () => world.leaders(berlin).includes(lonely), 20_000)
  const line = lineOf(world, lonely)
  assert.equal(world.leaders(berlin).length, 2, 'the majority has not heard of it')
  world.heal()
  world.run(15_000)
  for (const id of inBerlin(world)) assert.equal(world.known(id, berlin)?.line, line)
})
