// Two operators, each with a cluster: what one's devices take from the other is their owner's word, and what a device
// is called, has and runs is no affair of the other operator's.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createWorld, type World } from '../../node/core/world.test-kit.ts'
import { type DomainPath, ROOT } from '../../overlay/kernel/ids.ts'
import { NO_POLICY, type PolicyFile, type ServiceSpec, serviceIdOf } from '../../placement/index.ts'
import { simpleSpec } from '../sim/workload.ts'

const OURS = 'operator-of-all'
const SETTLED_MS = 40_000

const inCluster = (name: string, cluster: string): ServiceSpec => ({
  ...simpleSpec(name),
  constraints: [{ kind: 'clusters', node: null, cluster: null, clusters: [cluster] }],
})

function submit(world: World, at: string, spec: ServiceSpec, domain = ROOT): void {
  world.node(at).host.input({ kind: 'submit', domain, service: serviceIdOf(spec), spec })
}

function setPolicy(world: World, names: readonly string[], version: number, policy: PolicyFile): void {
  const held = { kind: 'policy' as const, version, statement: `version ${version}`, policy }
  for (const name of names) world.node(name).host.input(held)
}

/** Why an instance has no place, as its leaders say. */
const reasons = (world: World): string =>
  world.nodes.flatMap(({ core }) => core.view.pending().map(({ reason }) => reason)).join('\n')
const runsOn = (world: World, name: string): number =>
  world.node(name).run.filter((operation) => operation.kind === 'start').length
const stopsOn = (world: World, name: string): number =>
  world.node(name).run.filter((operation) => operation.kind === 'stop').length

test('a service goes to another operator’s device when its policy lets it, and leaves when not', () => {
  const world = createWorld([
    ['a1', '/a'],
    ['a2', '/a'],
    ['b1', '/b', 'theirs'],
  ])
  world.run(SETTLED_MS)
  submit(world, 'a1', inCluster('web', '/b'))
  world.run(10_000)
  assert.match(reasons(world), /1 has an owner whose policy forbids it \(runs by process; allowed is docker\)/)
  assert.equal(runsOn(world, 'b1'), 0)
  setPolicy(world, ['b1'], 1, { rules: [{ operators: [OURS], runtimes: ['process'] }] })
  world.run(60_000)
  assert.equal(reasons(world), '')
  assert.equal(runsOn(world, 'b1'), 1)
  setPolicy(world, ['b1'], 2, NO_POLICY)
  world.run(60_000)
  assert.equal(stopsOn(world, 'b1'), 1)
  assert.match(reasons(world), /policy/)
})

test('a root leader of another operator cannot pass its work off as the device’s owner’s', () => {
  const world = createWorld([
    ['a1', '/a'],
    ['b1', '/b', 'theirs'],
  ])
  world.run(SETTLED_MS)
  // The founder's cluster leads the root; what it says of the submitter is not what the device goes by.
  const root = world.node('a1').core.view.leaders().leaderOf(ROOT)?.announcement.node
  submit(world, 'b1', inCluster('own', '/b'))
  world.run(20_000)
  assert.equal(runsOn(world, 'b1'), 1, `the owner’s own work, ordered by ${root}: its signature came along`)
  submit(world, 'a1', inCluster('foreign', '/b'))
  world.run(20_000)
  assert.equal(runsOn(world, 'b1'), 1)
})

test('what reaches another operator’s devices names none of ours but those that lead and vote', () => {
  const ours = ['a1', 'a2', 'a3', 'a4', 'a5', 'a6', 'a7']
  const plan = ours.map((name) => [name, '/a'] as const)
  const theirs = ['b1', 'b2']
  const world = createWorld([...plan, ...theirs.map((name) => [name, '/b', 'theirs'] as const)], {
    nameOf: (name) => `called-${name}`,
  })
  world.run(SETTLED_MS)
  submit(world, 'a3', simpleSpec('private'), '/a' as DomainPath)
  submit(world, 'a2', inCluster('shared', '/a'))
  world.run(60_000)
  const runs = ours.reduce((sum, name) => sum + runsOn(world, name), 0)
  assert.ok(runs >= 2, 'both services run')
  const heard = theirs.flatMap((name) =>
    world.node(name).received.map((bytes) => Buffer.from(bytes).toString('latin1')),
  )
  const says = (word: string): boolean => heard.some((frame) => frame.includes(word))
  assert.ok(heard.length > 100 && says('/a') && says('shared'), 'they hear of our cluster, and of what the root places')
  const announced = world.nodes
    .flatMap(({ core }) => core.view.leaders().leaderOf('/a' as DomainPath)?.announcement ?? [])
    .flatMap(({ node, electors }) => [node, ...electors])
  const others = ours.filter((name) => !announced.includes(world.node(name).facts.node))
  assert.ok(others.length >= 2, 'not all of seven vote')
  for (const name of others) assert.ok(!says(`called-${name}`), `called-${name} was said to them`)
  assert.ok(
    announced.some((node) => says(node)),
    'what is said to them can be seen here',
  )
  assert.ok(!says('private'), 'what was not submitted to the root is no affair of theirs')
})
