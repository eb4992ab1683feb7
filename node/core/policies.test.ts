// A policy reaches all devices of its operator, and no other device.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createWorld } from './world.test-kit.ts'

test('a policy goes from device to device of its operator, across clusters, and nobody else hears of it', () => {
  const world = createWorld([
    ['a1', '/a'],
    ['a2', '/a'],
    ['a3', '/a'],
    ['b1', '/b'],
    ['c1', '/c', 'another'],
    ['c2', '/c', 'another'],
  ])
  world.run(5_000)
  const statement = 'signed by the operator'
  // What keeps the policy is not in this world: each device that is shown one takes it.
  for (const node of world.nodes) node.onPolicy = (shown) => give(node, shown)
  const give = (node: (typeof world.nodes)[number], shown: string): void =>
    node.host.input({ kind: 'policy', version: 1, statement: shown, policy: { hold: {} } })
  give(world.node('a3'), statement)
  world.run(2_000)
  const holds = world.nodes.filter(({ shown }) => shown.length > 0).map(({ facts }) => facts.node.slice(9))
  assert.deepEqual(holds.sort(), ['a1', 'a2', 'b1'])
  for (const name of ['c1', 'c2']) {
    const heard = world.node(name).received.map((bytes) => Buffer.from(bytes).toString('latin1'))
    assert.ok(heard.length > 0 && !heard.some((frame) => frame.includes('policy/signed') || frame.includes(statement)))
  }
  assert.equal(world.node('b1').core.view.summaryOf(world.node('b1').facts.node)?.others?.open, false)
})
