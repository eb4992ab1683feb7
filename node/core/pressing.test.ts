// Two devices that are short of something, and what becomes of the instance between them.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { DomainPath } from '../../overlay/kernel/ids.ts'
import type { HostReading } from '../../placement/host-reading.ts'
import { encodeSpec, serviceIdOf } from '../../placement/index.ts'
import { specOf } from '../../placement/placement-fixtures.ts'
import { createWorld, READING, type World } from './world.test-kit.ts'

const A = '/a' as DomainPath
const FORMING_MS = 20_000
const READING_MS = 5_000
/** Every second reading is looked at for pressure. */
const LOOK_MS = 2 * READING_MS
const MINUTE_MS = 60_000
const SHORT: HostReading = { ...READING, cpuUsed: 0.97 }

const CLUSTER = [
  ['a1', '/a'],
  ['a2', '/a'],
  ['a3', '/a'],
] as const

function started(): World {
  const world = createWorld(CLUSTER)
  world.run(FORMING_MS)
  const spec = specOf({ constraints: [{ kind: 'direct', node: 'a2, a3', cluster: null, clusters: [] }] })
  assert.ok(encodeSpec(spec).length > 0)
  world.node('a1').host.input({ kind: 'submit', domain: A, service: serviceIdOf(spec), spec })
  world.run(3_000)
  return world
}

/** Lets time pass while the named nodes read that they are short, and the others that they are not. */
function read(world: World, ms: number, short: readonly string[]): void {
  for (let passed = 0; passed < ms; passed += READING_MS) {
    for (const [name] of CLUSTER) {
      const reading = short.includes(name) ? SHORT : READING
      world.node(name).host.input({ kind: 'reading', reading, loopDelayMs: 1 })
    }
    world.run(READING_MS)
  }
}

const placeOf = (world: World): string | null => {
  const store = world
    .node('a1')
    .core.view.stores()
    .find(({ domain }) => domain === A)
  const [record] = store?.instances(serviceIdOf(specOf())).filter(({ message }) => message.live) ?? []
  return record?.from.slice(9) ?? null
}

const starts = (world: World): number =>
  world.nodes.flatMap(({ run }) => run).filter(({ kind }) => kind === 'start').length

const pressureOf = (world: World, name: string): number | undefined =>
  world.node(name).core.view.summaryOf(world.node(name).facts.node)?.pressure

test('a node under pressure limits what it runs, then ends it, and its leader places it on the other', () => {
  const world = started()
  const first = placeOf(world)
  assert.ok(first === 'a2' || first === 'a3')
  read(world, 3 * LOOK_MS, [first])
  assert.equal(pressureOf(world, first), 1)
  assert.ok(world.node(first).run.some(({ kind }) => kind === 'limit'))
  read(world, 4 * LOOK_MS, [first])
  assert.equal(pressureOf(world, first), 2)
  assert.equal(placeOf(world), first === 'a2' ? 'a3' : 'a2')
  const names = world.node(first).events.map(({ name }) => name)
  for (const name of ['pressure-restricted', 'pressure-tainted', 'pressure-evicted']) assert.ok(names.includes(name))
})

test('what was limited is put back when the node recovers', () => {
  const world = started()
  const first = placeOf(world) ?? ''
  read(world, 3 * LOOK_MS, [first])
  read(world, 4 * LOOK_MS, [])
  assert.equal(pressureOf(world, first), 0)
  const limits = world.node(first).run.flatMap((operation) => (operation.kind === 'limit' ? [operation.limits] : []))
  assert.deepEqual(
    limits.map(({ vcpus, holdMemory }) => [vcpus, holdMemory]),
    [
      [0.25, true],
      [0.5, false],
    ],
  )
  assert.equal(placeOf(world), first)
})

test('two nodes that are short by turns do not hand the instance back and forth', () => {
  const world = started()
  const before = starts(world)
  for (let turn = 0; turn < 10; turn++) {
    const there = placeOf(world)
    read(world, MINUTE_MS, there === null ? ['a2', 'a3'] : [there])
  }
  // Once over, and then not back for five minutes, and then not back for ten.
  assert.ok(starts(world) - before <= 3, `${starts(world) - before} moves in ten minutes`)
  read(world, 30 * MINUTE_MS, [])
  assert.notEqual(placeOf(world), null, 'once both are well it runs again')
})
