// Two operators, each with a cluster: what one's devices take from the other is their owner's word, and what a device
// is called, has and runs is no affair of the other operator's.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createWorld, type World } from '../../node/core/world.test-kit.ts'
import { shownOf } from '../../node/shown.ts'
import { domainViews, inspectView, instanceViews, nodeViews, peerViews } from '../../node/view.ts'
import { type DomainPath, type NodeId, ROOT } from '../../overlay/kernel/ids.ts'
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

/** What reaches two devices of another operator beside seven of ours, of which one runs a service of the root. */
function captured() {
  const ours = ['a1', 'a2', 'a3', 'a4', 'a5', 'a6', 'a7']
  const theirs = ['b1', 'b2']
  const plan = [...ours.map((name) => [name, '/a'] as const), ...theirs.map((name) => [name, '/b', 'theirs'] as const)]
  const world = createWorld(plan, { nameOf: (name) => `called-${name}` })
  world.run(SETTLED_MS)
  submit(world, 'a3', simpleSpec('private'), '/a' as DomainPath)
  submit(world, 'a2', inCluster('shared', '/a'))
  world.run(60_000)
  const heard = theirs.flatMap((name) =>
    world.node(name).received.map((bytes) => Buffer.from(bytes).toString('latin1')),
  )
  const leading = world.nodes
    .flatMap(({ core }) => core.view.leaders().leaderOf('/a' as DomainPath)?.announcement ?? [])
    .flatMap(({ node, electors }) => [node, ...electors])
  const idOf = (name: string): NodeId => world.node(name).facts.node
  const serving = ours.filter((name) => runsOn(world, name) > 0).map(idOf)
  const hidden = ours.filter((name) => ![...leading, ...serving].includes(idOf(name)))
  return {
    world,
    ours,
    theirs,
    heard,
    leading,
    hidden,
    idOf,
    says: (word: string) => heard.some((one) => one.includes(word)),
  }
}

test('no name of ours reaches another operator’s devices, and no id but of those that lead, vote or serve', () => {
  const { ours, heard, leading, hidden, idOf, says } = captured()
  assert.ok(heard.length > 100 && says('/a') && says('shared'), 'they hear of our cluster, and of what the root places')
  assert.ok(says('called-b1') && leading.some(says), 'what is said to them can be seen here')
  for (const name of ours) assert.ok(!says(`called-${name}`), `called-${name} was said to them`)
  assert.ok(hidden.length >= 1, 'not all of seven lead, vote or serve')
  for (const name of hidden) {
    assert.ok(!says(idOf(name)), `the id of ${name} was said to them`)
    assert.ok(!says(`/ip4/192.0.2.${ours.indexOf(name) + 1}/`), `the address of ${name} was said to them`)
  }
  const ids = ours.map(idOf)
  for (const kind of ['placement/summary', 'membership/report']) {
    const ofOurs = heard.filter((one) => one.includes(kind) && ids.some((id) => one.includes(id)))
    assert.deepEqual(ofOurs, [], `${kind} of ours says what a device has, or how it is`)
  }
  assert.ok(!says('private'), 'what was not submitted to the root is no affair of theirs')
})

test('what another operator’s people are shown names no device of ours, and counts none beyond the aggregate', () => {
  const { world, ours, theirs, hidden, idOf } = captured()
  for (const name of theirs) {
    const { view } = world.node(name).core
    const shared = serviceIdOf(simpleSpec('shared'))
    const shown = {
      status: [domainViews(view, 0, Number.POSITIVE_INFINITY), peerViews(view, new Map(), new Map())],
      nodes: nodeViews(view),
      ps: instanceViews(shownOf(view)),
      inspect: inspectView(shownOf(view), shared),
    }
    const text = JSON.stringify(shown)
    assert.ok(text.includes('called-b1') && !text.includes('shared'), 'of services their own, not those they hold')
    assert.ok(JSON.stringify(inspectView(view, shared)).includes('shared'), 'they do hold it')
    for (const one of ours) assert.ok(!text.includes(`called-${one}`), `${name} is shown the name of ${one}`)
    for (const one of hidden) assert.ok(!text.includes(idOf(one)), `${name} is shown the id of ${one}`)
    assert.deepEqual(shown.nodes.map((one) => one.name).sort(), ['called-b1', 'called-b2'])
  }
})

/** Two clusters of two operators; of theirs some do not vote, so that they hold no records of the root. */
function bordering() {
  const theirs = ['b1', 'b2', 'b3', 'b4', 'b5', 'b6', 'b7']
  const plan = [['a1', '/a'] as const, ...theirs.map((name) => [name, '/b', 'theirs'] as const)]
  const world = createWorld(plan)
  world.run(SETTLED_MS)
  submit(world, 'a1', inCluster('shared', '/a'))
  world.run(30_000)
  const holds = (name: string): boolean =>
    world
      .node(name)
      .core.view.stores()
      .some(({ domain }) => domain === ROOT)
  const without = theirs.find((name) => !holds(name))
  const holding = theirs.find(holds)
  assert.ok(without !== undefined && holding !== undefined)
  const service = serviceIdOf(simpleSpec('shared'))
  let requestId = 0
  /** What a node finds of the service: how many records, or null. */
  const found = (name: string): number | null => {
    requestId += 1
    world.node(name).host.input({ kind: 'resolve', requestId, service, isFresh: true })
    world.run(15_000)
    return world.node(name).resolved.at(-1)?.records?.length ?? null
  }
  const heardOf = (name: string): boolean =>
    world.node(name).received.some((bytes) => {
      const text = Buffer.from(bytes).toString('latin1')
      // That there is none of the name that it asked for is no news.
      return text.includes('shared') && (!text.includes('registry/answer') || text.includes('record/'))
    })
  const ps = (name: string): string => JSON.stringify(instanceViews(shownOf(world.node(name).core.view)))
  return { world, without, holding, found, heardOf, ps }
}

test('who may not see a service finds none, and hears nothing of it where it holds no records', () => {
  const { world, without, holding, found, heardOf, ps } = bordering()
  for (const name of [without, holding]) assert.equal(found(name), null, name)
  assert.ok(!heardOf(without), 'not a word about it was said to a device that does not vote')
  assert.ok(heardOf(holding), 'that one holds it, to place and to find by')
  assert.ok(!ps(holding).includes('shared'))
  assert.notEqual(found('a1'), null, 'its own operator finds it')
  assert.equal(world.node(without).resolved.at(-1)?.isAbsent, true, 'as if there were none')
})

test('whom the policy lets see finds it everywhere, without a new version, and no more when it is taken back', () => {
  const { world, without, holding, found, heardOf, ps } = bordering()
  const runs = runsOn(world, 'a1')
  setPolicy(world, ['a1'], 1, { rules: [{ operators: ['theirs'], may: ['see'] }] })
  world.run(30_000)
  for (const name of [without, holding]) assert.notEqual(found(name), null, name)
  assert.ok(ps(holding).includes('shared') && heardOf(without))
  setPolicy(world, ['a1'], 2, { rules: [{ operators: ['others'], may: ['see'] }] })
  world.run(30_000)
  for (const name of [without, holding]) assert.equal(found(name), null, name)
  assert.deepEqual([runsOn(world, 'a1') - runs, stopsOn(world, 'a1')], [0, 0], 'what runs is left alone')
})

/** Devices of ours in a cluster that another operator's device leads; they have a service in the cluster's store. */
function guests() {
  const world = createWorld([
    ['a1', '/a', 'theirs'],
    ['a2', '/a', 'theirs'],
    ['a3', '/a'],
    ['a4', '/a'],
  ])
  world.run(SETTLED_MS)
  const cluster = '/a' as DomainPath
  const service = serviceIdOf(simpleSpec('shared'))
  submit(world, 'a3', simpleSpec('shared'), cluster)
  world.run(10_000)
  const leader = (): string | undefined =>
    world.nodes.find(({ core }) => core.view.seats().some(({ fence }) => fence !== null))?.facts.operator
  const isShown = (): boolean => inspectView(shownOf(world.node('a2').core.view), service) !== null
  const saidAnew = (): number =>
    world.sealed.filter(({ message }) => message.kind === 'record/spec' && message.service === service).length
  return { world, leader, isShown, saidAnew }
}

test('a policy is followed also where another operator’s device leads the cluster, and by one of ours', () => {
  const { world, leader, isShown, saidAnew } = guests()
  assert.equal(leader(), 'theirs')
  assert.equal(isShown(), false)
  const before = saidAnew()
  setPolicy(world, ['a3', 'a4'], 1, { rules: [{ operators: ['theirs'], may: ['see'] }] })
  world.run(10_000)
  assert.equal(isShown(), true)
  assert.equal(saidAnew() - before, 1, 'one of ours says it anew')
  setPolicy(world, ['a3', 'a4'], 2, {})
  world.run(10_000)
  assert.equal(isShown(), false)
})

test('a policy that came to one who does not speak for ours is followed once it does', () => {
  const { world, leader, isShown } = guests()
  setPolicy(world, ['a4'], 1, { rules: [{ operators: ['theirs'], may: ['see'] }] })
  world.run(10_000)
  assert.equal(isShown(), false, 'who speaks has not heard of it')
  world.kill('a3')
  world.run(30_000)
  assert.deepEqual([isShown(), leader()], [true, 'theirs'])
})

test('who runs a service for others sees it, and finds what it may call, as long as it does', () => {
  const world = createWorld([
    ['a1', '/a'],
    ['b1', '/b', 'theirs'],
  ])
  world.run(SETTLED_MS)
  setPolicy(world, ['b1'], 1, { rules: [{ operators: [OURS], runtimes: ['process'] }] })
  submit(world, 'a1', inCluster('database', '/a'))
  const finds = (): boolean => {
    const service = serviceIdOf(simpleSpec('database'))
    world.node('b1').host.input({ kind: 'resolve', requestId: 1, service, isFresh: true })
    world.run(15_000)
    return (world.node('b1').resolved.at(-1)?.records ?? null) !== null
  }
  world.run(20_000)
  assert.equal(finds(), false)
  submit(world, 'a1', inCluster('guest', '/b'))
  const ps = (): string => JSON.stringify(instanceViews(shownOf(world.node('b1').core.view)))
  world.run(60_000)
  assert.equal(runsOn(world, 'b1'), 1)
  assert.match(ps(), /guest.*running/)
  assert.ok(finds() && !ps().includes('database'), 'by its name, and in no list')
  const service = serviceIdOf(simpleSpec('guest'))
  world.node('a1').host.input({ kind: 'submit', domain: ROOT, service, spec: { ...inCluster('guest', '/a') } })
  world.run(120_000)
  assert.equal(stopsOn(world, 'b1'), 1)
  assert.doesNotMatch(ps(), /guest/)
  assert.equal(finds(), false)
})
