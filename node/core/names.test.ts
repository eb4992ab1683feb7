// Names of devices reach all devices of their operator, and no other device.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { DomainPath, NodeId } from '../../overlay/kernel/ids.ts'
import { nameOf } from '../view.ts'
import type { CoreEffect } from './effects.ts'
import { NAMES_PER_MESSAGE_MAX } from './messages.ts'
import { createNames, NAMES_MAX } from './names.ts'
import { createWorld, factsOf, type World } from './world.test-kit.ts'

const SETTLED_MS = 40_000
const called = (id: string): string => `called-${id}`
const idOf = (name: string): NodeId => factsOf(name, '/').node

/** Two clusters of one operator, one of another; in each more devices than vote. */
function federation(more: readonly (readonly [string, string, string?])[] = []): World {
  const of = (cluster: string, operator?: string) =>
    [1, 2, 3, 4, 5, 6, 7].map((number) => [`${cluster}${number}`, `/${cluster}`, operator] as [string, string, string?])
  return createWorld([...of('a'), ...of('b'), ...of('c', 'another'), ...more], { nameOf: called })
}

const unnamed = (world: World, viewer: string, cluster: string): readonly string[] =>
  world.nodes
    .map(({ facts }) => facts)
    .filter(({ domain }) => domain === `/${cluster}`)
    .filter(({ node }) => nameOf(world.node(viewer).core.view, node) !== called(node.slice(9)))
    .map(({ node }) => node.slice(9))

test('each device calls those of its operator by their names, wherever they are, and no other ones', () => {
  const world = federation()
  world.run(SETTLED_MS)
  for (const viewer of ['a1', 'a7', 'b1', 'b4']) {
    for (const cluster of ['a', 'b']) assert.deepEqual(unnamed(world, viewer, cluster), [], `${viewer}, /${cluster}`)
    assert.equal(unnamed(world, viewer, 'c').length, 7, 'of the other operator no device has a name here')
  }
  for (const { facts, received } of world.nodes.filter((one) => one.facts.operator === 'another')) {
    const heard = received.map((bytes) => Buffer.from(bytes).toString('latin1'))
    assert.ok(heard.length > 0 && !heard.some((one) => /called-[ab]/.test(one)), facts.node)
  }
})

test('where there is one operator nothing is said of names, until another one is admitted', () => {
  const world = createWorld(
    ['a1', 'a2', 'b1', 'b2'].map((name) => [name, `/${name[0]}`] as [string, string]),
    { nameOf: called },
  )
  world.run(SETTLED_MS)
  const said = (): number => world.sealed.filter(({ message }) => message.kind === 'node/names').length
  assert.equal(said(), 0)
  for (const { host } of world.nodes) host.input({ kind: 'operators', count: 2 })
  world.run(1_000)
  assert.ok(said() > 0)
})

/** A device of `/a` that is connected to two of its operator and one of another. */
function alone() {
  const self = factsOf('a1', '/a')
  const [kin, other, stranger] = [factsOf('b1', '/b'), factsOf('b2', '/b'), { ...factsOf('c1', '/c') }]
  const elsewhere = factsOf('d1', '/d')
  const connected = new Map(
    [kin, other, elsewhere, { ...stranger, operator: 'another' as never }].map((one) => [one.node, one]),
  )
  const names = createNames({
    self,
    name: 'a1',
    incarnation: 1,
    roster: { view: () => new Map() as never },
    inventories: { summaryOf: () => null },
    neighbours: { connected: () => connected },
  })
  names.onShared(true, [])
  const hear = (from: NodeId, all: readonly (readonly [string, string, number])[]): CoreEffect[] => {
    const out: CoreEffect[] = []
    const named = all.map(([id, name, incarnation]) => ({
      node: idOf(id),
      name,
      domain: '/b' as DomainPath,
      incarnation,
    }))
    const signer = connected.get(from)
    assert.ok(signer)
    names.onMessage({ from, signer, message: { kind: 'node/names', names: named }, bytes: new Uint8Array() }, out)
    return out
  }
  return { names, kin: kin.node, other: other.node, elsewhere: elsewhere.node, stranger: stranger.node, hear }
}

test('what is news is handed on to the others of the operator, once; a later start has the last word', () => {
  const { names, kin, other, elsewhere, hear } = alone()
  const handedTo = (out: readonly CoreEffect[]): readonly string[] =>
    out.flatMap((effect) => (effect.kind === 'send' ? [effect.to] : []))
  assert.deepEqual(handedTo(hear(kin, [['b7', 'pi', 2]])), [other, elsewhere])
  assert.deepEqual(handedTo(hear(kin, [['b7', 'pi', 2]])), [])
  assert.deepEqual(handedTo(hear(kin, [['b7', 'old', 1]])), [])
  assert.equal(names.nameOf(idOf('b7')), 'pi')
  hear(kin, [['b7', 'new', 3]])
  assert.equal(names.nameOf(idOf('b7')), 'new')
  assert.deepEqual([...names.nodes()], [idOf('b7')], 'people may call it by its name')
  assert.equal(names.domainOf(idOf('b7')), '/b')
})

test('a device of another operator names nobody, and nobody names this one', () => {
  const { names, stranger, kin, hear } = alone()
  assert.deepEqual(hear(stranger, [['b7', 'mallory', 9]]), [])
  assert.equal(names.nameOf(idOf('b7')), null)
  assert.deepEqual(hear(kin, [['a1', 'mallory', 9]]), [])
  assert.equal(names.nameOf(idOf('a1')), null)
})

test('so many names are kept, and they are told in messages that fit', () => {
  const { names, kin, other, hear } = alone()
  for (let number = 0; number < NAMES_MAX + 10; number++) hear(kin, [[`x${number}`, 'n', 1]])
  assert.equal(names.nameOf(idOf('x9')), null)
  assert.equal(names.nameOf(idOf('x10')), 'n')
  assert.equal(names.nameOf(idOf(`x${NAMES_MAX + 9}`)), 'n')
  const out: CoreEffect[] = []
  names.onConnected(other, factsOf('b2', '/b'), out)
  const sizes = out.map((effect) =>
    effect.kind === 'send' && effect.message.kind === 'node/names' ? effect.message.names.length : 0,
  )
  assert.equal(Math.max(...sizes), NAMES_PER_MESSAGE_MAX)
  assert.equal(
    sizes.reduce((sum, size) => sum + size, 0),
    NAMES_MAX + 1,
  )
})

/** The names of `all`, said by a device of `/b`, whose they are, or by one of elsewhere that only heard of them. */
const saying = fc.record({
  all: fc.uniqueArray(fc.integer({ min: 0, max: NAMES_MAX + 200 }), { minLength: 100, maxLength: NAMES_MAX + 200 }),
  isFirstHand: fc.boolean(),
})

test('the names are kept of those that their own cluster named last, whatever others remember', () => {
  fc.assert(
    fc.property(fc.array(saying, { minLength: 2, maxLength: 6 }), (sayings) => {
      const { names, kin, elsewhere, hear } = alone()
      let kept: number[] = []
      for (const { all, isFirstHand } of sayings) {
        const wasFull = kept.length === NAMES_MAX
        const out = hear(
          isFirstHand ? kin : elsewhere,
          all.map((number) => [`x${number}`, 'n', 1]),
        )
        if (isFirstHand) kept = [...kept.filter((number) => !all.includes(number)), ...all].slice(-NAMES_MAX)
        else kept = [...new Set([...kept, ...all])].slice(0, NAMES_MAX)
        if (wasFull) assert.deepEqual(out.flatMap(namesIn), [], 'among more than are kept nothing goes round')
      }
      assert.deepEqual([...names.nodes()].toSorted(), kept.map((number) => idOf(`x${number}`)).toSorted())
    }),
    { seed: 20261122, numRuns: 30 },
  )
})

const namesIn = (effect: CoreEffect): readonly unknown[] =>
  effect.kind === 'send' && effect.message.kind === 'node/names' ? effect.message.names : []
