// Nodes that measure each other in virtual time find out where they are, and say so.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { predictedMs } from '../../overlay/coordinates/vivaldi.ts'
import type { DomainPath } from '../../overlay/kernel/ids.ts'
import { createWorld, READING } from './world.test-kit.ts'

const NODES = [
  ['a1', '/a', 0],
  ['a2', '/a', 3],
  ['a3', '/a', 40],
  ['b1', '/b', 60],
  ['b2', '/b', 62],
] as const
/** How soon coordinates settle is a matter of chance: with other draws two thirds of these rounds were too few. */
const ROUNDS = 120
/** On a line, and 1 ms of access at each end. */
const trueMs = (a: number, b: number): number => Math.abs(a - b) + 2

test('coordinates are learned from round trips, said in summaries, and summed up for the domain above', () => {
  const world = createWorld(NODES.map(([name, domain]) => [name, domain] as const))
  world.run(20_000)
  for (let round = 0; round < ROUNDS; round++) {
    for (const [name, , at] of NODES) {
      const { host, core } = world.node(name)
      for (const [other, , there] of NODES) {
        const peer = world.node(other).facts.node
        if (other !== name && core.view.isConnected(peer)) {
          host.input({ kind: 'round-trip', peer, ms: trueMs(at, there) })
        }
      }
      host.input({ kind: 'reading', reading: READING, loopDelayMs: 1 })
    }
    world.run(5_000)
  }
  const coordinateOf = (name: string) => {
    const { core, facts } = world.node(name)
    const { coordinate } = core.view.summaryOf(facts.node) ?? {}
    assert.ok(coordinate, name)
    return coordinate
  }
  const off = (a: number, b: number): number => {
    const [one, other] = [NODES[a], NODES[b]]
    assert.ok(one && other)
    return Math.abs(predictedMs(coordinateOf(one[0]), coordinateOf(other[0])) - trueMs(one[2], other[2]))
  }
  assert.ok(off(0, 1) < 6 && off(0, 2) < 6 && off(1, 2) < 6, [off(0, 1), off(0, 2), off(1, 2)].join())
  const aggregates = world.sealed.flatMap(({ message }) =>
    message.kind === 'placement/aggregate' && message.child === ('/a' as DomainPath) ? [message.aggregate] : [],
  )
  const network = aggregates.at(-1)?.network
  assert.ok(network && network.radiusMs > 15 && network.radiusMs < 40, JSON.stringify(network))
  for (const name of ['a1', 'a2', 'a3']) assert.equal(world.node(name).dropped.length, 0)
})
