// Gossip about records between shipping cores: several in one message, and one alone as every version has said it.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { DomainPath } from '../../overlay/kernel/ids.ts'
import { serviceIdOf } from '../../placement/index.ts'
import { specOf } from '../../placement/placement-fixtures.ts'
import type { GossipMessage } from '../../services-registry/index.ts'
import { createWorld, FEDERATION, type World } from './world.test-kit.ts'

const A = '/a' as DomainPath
const FORMING_MS = 20_000
/** Far less than until the next round of anti-entropy, which would bring what gossip did not. */
const SOON_MS = 800
const SPEC = specOf({ replicas: 12, vcpus: 0.1, memoryMb: 10 })
const SERVICE = serviceIdOf(SPEC)

function withTwelve(): World {
  const world = createWorld([
    ['a1', '/a'],
    ['a2', '/a'],
    ['a3', '/a'],
  ])
  world.run(FORMING_MS)
  world.node('a1').host.input({ kind: 'submit', domain: A, service: SERVICE, spec: SPEC })
  world.run(SOON_MS)
  return world
}

const storeOf = (world: World, name: string) =>
  world
    .node(name)
    .core.view.stores()
    .find(({ domain }) => domain === A)

test('of many instances everybody hears within moments, and most of it in messages that bring several', () => {
  const world = withTwelve()
  for (const { facts } of world.nodes) {
    const store = storeOf(world, facts.node.slice(9))
    const running = store?.instances(SERVICE).filter(({ message }) => message.state === 'running') ?? []
    assert.equal(running.length, 12, facts.node)
    assert.equal(store?.placements(SERVICE).length, 12, facts.node)
  }
  const gathered = world.sealed.filter(({ message }) => message.kind === 'registry/gossip')
  const brought = gathered.reduce((sum, { message }) => sum + (message as GossipMessage).records.length, 0)
  assert.ok(brought >= 2 * gathered.length && brought >= 12, `${brought} in ${gathered.length}`)
})

test('a record that comes alone, in the envelope of its owner, is taken in as ever', () => {
  const [giver, taker] = [
    withTwelve(),
    createWorld([
      ['a1', '/a'],
      ['a2', '/a'],
    ]),
  ]
  taker.run(FORMING_MS)
  const [record] = storeOf(giver, 'a1')?.instances(SERVICE) ?? []
  assert.ok(record !== undefined)
  taker.node('a2').host.receive(record.bytes, taker.node('a1').facts.node, `/coppice/${FEDERATION}/a/record`)
  assert.deepEqual(storeOf(taker, 'a2')?.instances(SERVICE)[0]?.bytes, record.bytes)
})
