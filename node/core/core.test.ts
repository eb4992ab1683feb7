// Several shipping cores on virtual time: what a node as a whole promises, beyond what each machine promises for
// itself.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type DomainPath, ROOT, type ServiceId } from '../../overlay/kernel/ids.ts'
import { parseDescriptor, type ServiceSpec, serviceIdOf } from '../../placement/index.ts'
import type { CoreMessage } from './effects.ts'
import { createWorld, READING, type World } from './world.test-kit.ts'

const A = '/a' as DomainPath
const B = '/b' as DomainPath
/** Long enough for elections, the promotion of electors (10 s) and a summary interval. */
const FORMING_MS = 20_000

function specOf(name: string, replicas: number): ServiceSpec {
  const service = {
    microservice_name: name,
    microservice_namespace: 'web',
    virtualization: 'process',
    cmd: ['true'],
    memory: 64,
    vcpus: 0.1,
    port: '8080',
    replicas,
  }
  const application = { application_name: 'shop', application_namespace: 'demo', microservices: [service] }
  const parsed = parseDescriptor(JSON.stringify({ sla_version: 'v2.0', customerID: 'x', applications: [application] }))
  const [spec] = parsed.services
  assert.ok(spec, JSON.stringify(parsed.errors))
  return spec
}

function submit(world: World, at: string, spec: ServiceSpec, domain: DomainPath = ROOT): ServiceId {
  const service = serviceIdOf(spec)
  world.node(at).host.input({ kind: 'submit', domain, service, spec })
  return service
}

const seatsOf = (world: World, name: string): readonly string[] =>
  world
    .node(name)
    .core.view.seats()
    .map(({ domain, self, fence }) => `${self} in ${domain}${fence === null ? '' : ' leads'}`)

const runningOn = (world: World, service: ServiceId): readonly string[] => {
  const { view } = world.node('b2').core
  const records = view.stores().flatMap((store) => store.instances(service))
  const running = records.filter(({ message }) => message.live && message.state === 'running')
  return [...new Set(running.map(({ message, from }) => `#${message.number} ${from.slice(9)}`))].sort()
}

const isHeartbeatInA = (message: CoreMessage): boolean => message.kind === 'election/heartbeat' && message.domain === A

const CLUSTERS = [
  ['a1', '/a'],
  ['a2', '/a'],
  ['a3', '/a'],
  ['b1', '/b'],
  ['b2', '/b'],
] as const

test('a node on its own leads its cluster and the root above it', () => {
  const world = createWorld([['a1', '/a']])
  world.run(FORMING_MS)
  assert.deepEqual(seatsOf(world, 'a1'), ['12D3KooW-a1 in /a leads', '/a in / leads'])
})

test('only who leads a cluster has a seat above, and it sits there in the cluster’s name', () => {
  const world = createWorld(CLUSTERS)
  world.run(FORMING_MS)
  assert.deepEqual(seatsOf(world, 'a1'), ['12D3KooW-a1 in /a leads', '/a in / leads'])
  assert.deepEqual(seatsOf(world, 'a2'), ['12D3KooW-a2 in /a'])
  assert.deepEqual(seatsOf(world, 'b1'), ['12D3KooW-b1 in /b leads', '/b in /'])
})

test('a seat above keeps its memory in the register below: nothing of the root is written to one node’s disk', () => {
  const world = createWorld(CLUSTERS)
  world.run(FORMING_MS)
  for (const node of world.nodes)
    assert.deepEqual(
      [...node.disk.keys()].filter((key) => key === 'election//'),
      [],
    )
  for (const name of ['a1', 'a2', 'a3']) {
    const register = world.node(name).core.view.seats()[0]?.state.register
    assert.ok(register?.memory['election:/'], `${name} holds the root’s vote of /a`)
  }
})

test('the leader that follows in a cluster votes above in a later term than its predecessor did', () => {
  const world = createWorld(CLUSTERS)
  world.run(FORMING_MS)
  const before = world.node('b2').core.view.leaders().leaderOf(ROOT)?.announcement
  world.kill('a1')
  world.run(FORMING_MS)
  const after = world.node('b2').core.view.leaders().leaderOf(ROOT)?.announcement
  assert.ok(before && after)
  assert.notEqual(after.node, before.node)
  assert.ok(after.epoch > before.epoch || after.term > before.term)
  const votes = world.sealed.flatMap(({ message }) => (message.kind === 'election/vote' ? [message] : []))
  const cast = new Map<string, string>()
  for (const { domain, line, epoch, term, voter, candidate } of votes) {
    const key = [domain, line, epoch, term, voter].join()
    assert.equal(cast.get(key) ?? candidate, candidate, `${voter} voted twice in ${domain}, term ${term}`)
    cast.set(key, candidate)
  }
})

test('a member that speaks in the name of the leader, without its connection, is refused', () => {
  const world = createWorld(CLUSTERS)
  world.run(FORMING_MS)
  const { facts: leader } = world.node('a1')
  const { facts: liar } = world.node('a3')
  const target = world.node('a2')
  const heartbeat = world.sealed.findLast(({ from, message }) => from === leader.node && isHeartbeatInA(message))
  assert.ok(heartbeat)
  const refusals = (): number => target.events.filter(({ name }) => name === 'election-message-refused').length
  const heard = target.core.view.seats()[0]?.state.leaderlessSince ?? 0
  target.host.receive(heartbeat.bytes, liar.node, null)
  assert.equal(refusals(), 1)
  assert.equal(target.core.view.seats()[0]?.state.leaderlessSince, heard)
  target.host.receive(heartbeat.bytes, leader.node, null)
  assert.equal(refusals(), 1)
})

test('what changed on a device is told to the leader at once and to the others in their time', () => {
  const world = createWorld(CLUSTERS)
  world.run(FORMING_MS)
  const { host, facts } = world.node('a3')
  const seenBy = (name: string): number | undefined => world.node(name).core.view.summaryOf(facts.node)?.cpuUsed
  host.input({ kind: 'reading', reading: { ...READING, cpuUsed: 0.9 }, loopDelayMs: 1 })
  world.run(1_500)
  assert.deepEqual(['a1', 'a2', 'a3'].map(seenBy), [0.9, READING.cpuUsed, 0.9])
  world.run(31_000)
  assert.equal(seenBy('a2'), 0.9)
})

test('losing the lead of a cluster closes the seat above and ends what it led there', () => {
  const world = createWorld(CLUSTERS)
  world.run(FORMING_MS)
  world.node('a1').host.input({ kind: 'hand-over' })
  world.run(FORMING_MS)
  assert.deepEqual(seatsOf(world, 'a1'), ['12D3KooW-a1 in /a'])
  const leader = world.node('b2').core.view.leaders().nodeOf(A)
  assert.ok(leader !== null && leader !== world.node('a1').facts.node)
  assert.equal(world.node('b2').core.view.leaders().nodeOf(ROOT) !== world.node('a1').facts.node, true)
})

test('a service that is submitted anywhere runs its replicas, spread over the clusters', () => {
  const world = createWorld(CLUSTERS)
  world.run(FORMING_MS)
  const service = submit(world, 'b2', specOf('hello', 2))
  world.run(5_000)
  const running = runningOn(world, service)
  assert.deepEqual(
    running.map((one) => one.slice(0, 2)),
    ['#0', '#1'],
  )
  assert.deepEqual(new Set(running.map((one) => one.at(3))), new Set(['a', 'b']))
})

test('what became of an instance is known in the parent’s store, in the envelope of the node that runs it', () => {
  const world = createWorld(CLUSTERS)
  world.run(FORMING_MS)
  const service = submit(world, 'a2', specOf('hello', 2))
  world.run(5_000)
  for (const name of ['a3', 'b1']) {
    const root = world
      .node(name)
      .core.view.stores()
      .find(({ domain }) => domain === ROOT)
    const instances = root?.instances(service) ?? []
    assert.equal(instances.length, 2)
    for (const { from, message } of instances) assert.equal(message.domain, from.includes('-a') ? A : B)
  }
})

test('the work of a node that died runs again elsewhere', () => {
  const world = createWorld(CLUSTERS)
  world.run(FORMING_MS)
  const service = submit(world, 'b2', specOf('hello', 2), A)
  world.run(5_000)
  const victim = world.nodes.find(({ run, facts }) => run.length > 0 && facts.node !== world.node('a1').facts.node)
  assert.ok(victim)
  world.kill(victim.facts.node.slice(9))
  world.run(20_000)
  const started = world.nodes
    .filter((node) => node !== victim)
    .flatMap(({ run }) => run.filter(({ kind }) => kind === 'start'))
  assert.ok(started.length >= 2, `${service} has ${started.length} instances on those that are left`)
})

test('a submission that no holder can be asked about waits in the outbox and is handed on later', () => {
  const world = createWorld([
    ['a1', '/a'],
    ['b1', '/b'],
  ])
  world.run(2)
  const service = submit(world, 'b1', specOf('early', 1))
  assert.deepEqual(
    world
      .node('b1')
      .core.view.unaccepted()
      .map(({ message }) => message.service),
    [service],
  )
  world.run(FORMING_MS)
  assert.deepEqual(world.node('b1').core.view.unaccepted(), [])
  assert.ok(
    world
      .node('a1')
      .core.view.stores()
      .some((store) => store.spec(service) !== null),
  )
})

test('a node of a cluster knows the others of it though it was introduced to one of another cluster only', () => {
  const world = createWorld([
    ['a1', '/a'],
    ['b1', '/b'],
    ['b2', '/b'],
    ['b3', '/b'],
  ])
  world.run(FORMING_MS)
  for (const name of ['b1', 'b2', 'b3']) assert.equal(world.node(name).core.view.roster().size, 3, name)
})

test('whoever is revoked leaves the roster at once', () => {
  const world = createWorld(CLUSTERS)
  world.run(FORMING_MS)
  const { node } = world.node('a3').facts
  world.node('a1').host.input({ kind: 'revoked', node })
  assert.equal(world.node('a1').core.view.roster().has(node), false)
})

test('whoever leads the root next knows what all clusters have, and places in each of them at once', () => {
  const world = createWorld([...CLUSTERS, ['b3', '/b']])
  world.run(FORMING_MS)
  // All who had a seat in the root: whoever leads it next had none before.
  for (const name of ['a1', 'b1']) world.kill(name)
  const isLed = (name: string): boolean =>
    world
      .node(name)
      .core.view.seats()
      .some(({ domain, fence }) => domain === ROOT && fence !== null)
  for (let passed = 0; !['a2', 'a3', 'b2', 'b3'].some(isLed); passed += 50) {
    assert.ok(passed < 10_000, 'somebody leads the root again')
    world.run(50)
  }
  const service = submit(world, 'b2', specOf('spread', 2))
  world.run(10_000)
  const clusters = runningOn(world, service).map((one) => one.slice(3, 4))
  assert.deepEqual(clusters.toSorted(), ['a', 'b'])
})
