// What many nodes and many domains cost each of them, in messages and in virtual time.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { DomainPath } from '../../overlay/kernel/ids.ts'
import { createWorld, type World } from './world.test-kit.ts'

const FORMING_MS = 40_000
const ROOT = '/' as DomainPath

const rootLeaderOf = (world: World): string | undefined =>
  world.nodes[0]?.core.view.leaders().leaderOf(ROOT)?.announcement.node

/** How many messages of a kind a node received since it had received so many. */
function heardBy(world: World, index: number, kind: string, since: number): number {
  const bytes = new Set(world.sealed.filter(({ message }) => message.kind === kind).map((said) => said.bytes))
  return world.nodes[index]?.received.slice(since).filter((frame) => bytes.has(frame)).length ?? 0
}

test('of twelve domains all hear one aggregate a second together, and the leader each at the pace of few', () => {
  const world = createWorld(Array.from({ length: 12 }, (_, index) => [`n${index}`, `/c${index}`] as const))
  world.run(FORMING_MS)
  const leader = world.nodes.findIndex(({ facts }) => facts.node === rootLeaderOf(world))
  const marks = world.nodes.map(({ received }) => received.length)
  world.run(60_000)
  assert.ok(leader >= 0)
  for (const [index, mark] of marks.entries()) {
    const heard = heardBy(world, index, 'placement/aggregate', mark)
    // Eleven others, each every five seconds, or every twelve.
    if (index === leader) assert.ok(heard >= 11 * 11, `the leader heard ${heard}`)
    else assert.ok(heard <= 66, `another one heard ${heard}`)
  }
})

test('of twelve domains those hear each leader’s signs of life who vote above, the others what is new', () => {
  const names = Array.from({ length: 24 }, (_, index) => [`n${index}`, `/c${index % 12}`] as const)
  const world = createWorld(names)
  world.run(2 * FORMING_MS)
  const marks = world.nodes.map(({ received }) => received.length)
  const root = world.nodes[0]?.core.view.leaders().leaderOf(ROOT)?.announcement
  const leaderOf = (domain: DomainPath) => world.nodes[0]?.core.view.leaders().leaderOf(domain)?.announcement.node
  const speakers = root?.electors.map((child) => leaderOf(child as DomainPath)) ?? []
  world.run(60_000)
  assert.equal(speakers.length, 5)
  for (const [index, mark] of marks.entries()) {
    const [told, handed] = [
      heardBy(world, index, 'election/announcement', mark),
      heardBy(world, index, 'election/proof', mark),
    ]
    const { node } = world.nodes[index]?.facts ?? {}
    // Eleven others, each every ten seconds.
    if (speakers.includes(node)) assert.ok(handed >= 11 * 5, `${node} votes above and heard ${handed}`)
    else assert.equal(handed, 0, `${node} does not vote above`)
    // The leaders of its own cluster and of the root every ten seconds, each other one once in that time at most.
    assert.ok(told <= 6 + 6 + 12, `${node} was told ${told} times`)
  }
})

test('of five domains everybody hears each aggregate', () => {
  const world = createWorld(Array.from({ length: 5 }, (_, index) => [`n${index}`, `/c${index}`] as const))
  world.run(FORMING_MS)
  const marks = world.nodes.map(({ received }) => received.length)
  world.run(60_000)
  for (const [index, mark] of marks.entries()) {
    const heard = heardBy(world, index, 'placement/aggregate', mark)
    assert.ok(heard >= 4 * 11, `${heard} aggregates`)
  }
})

test('news of another cluster’s leader that gossip brings is not passed on by hand as well', () => {
  const names = Array.from({ length: 12 }, (_, index) => [`n${index}`, index % 2 === 0 ? '/a' : '/b'] as const)
  const world = createWorld(names)
  world.run(FORMING_MS)
  const [before] = [world.sealed.length]
  const leader = world.nodes[1]?.core.view.leaders().leaderOf('/b' as DomainPath)?.announcement.name ?? ''
  world.kill(leader)
  world.run(5_000)
  const proofs = world.sealed.slice(before).filter(({ message }) => message.kind === 'election/proof')
  assert.notEqual(world.nodes[0]?.core.view.leaders().leaderOf('/b' as DomainPath)?.announcement.name, leader)
  assert.ok(proofs.length <= 24, `${proofs.length} proofs were sent by hand`)
})

const bytesOf = ({ bytes }: { readonly bytes: Uint8Array }): Uint8Array => bytes

test('of forty nodes that were switched on together all hear each summary, and not all of them at once', () => {
  const world = createWorld(Array.from({ length: 40 }, (_, index) => [`n${index}`, '/a'] as const))
  world.run(FORMING_MS)
  // The first time they were told together, so it shows in the next.
  const marks = [world.nodes[0]?.received.length ?? 0]
  for (let second = 0; second < 60; second++) {
    world.run(1_000)
    marks.push(world.nodes[0]?.received.length ?? 0)
  }
  const summaries = new Set(world.sealed.filter(({ message }) => message.kind === 'placement/summary').map(bytesOf))
  const heardIn = marks.slice(1).map((end, second) => {
    const frames = world.nodes[0]?.received.slice(marks[second], end) ?? []
    return frames.filter((frame) => summaries.has(frame)).length
  })
  const heard = heardIn.reduce((sum, count) => sum + count, 0)
  assert.ok(heard >= 30 && heard <= 90, `${heard} summaries in 60 seconds`)
  assert.ok(Math.max(...heardIn) <= 8, `${Math.max(...heardIn)} summaries in one second`)
})
