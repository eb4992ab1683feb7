// Moving instances and closing devices, as whole nodes do it for people who stand at another one.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type DomainPath, ROOT, type ServiceId } from '../../overlay/kernel/ids.ts'
import { seededRandom } from '../../overlay/kernel/random.ts'
import { parseDescriptor, serviceIdOf } from '../../placement/index.ts'
import { createAsking, QUESTION_MS_MAX } from './asking.ts'
import type { CoreEffect } from './effects.ts'
import { createIntake, decodeIntake, encodeIntake, INTAKE_KEY } from './intake.ts'
import type { IntakeStateMessage } from './messages.ts'
import { createWorld, factsOf, type World } from './world.test-kit.ts'

const FORMING_MS = 20_000
const CLUSTERS = [
  ['a1', '/a'],
  ['a2', '/a'],
  ['a3', '/a'],
  ['b1', '/b'],
  ['b2', '/b'],
] as const

/** A world in which one instance of a service of the root runs. */
function deployed(): { readonly world: World; readonly service: ServiceId } {
  const world = createWorld(CLUSTERS)
  world.run(FORMING_MS)
  const one = { microservice_name: 'hello', microservice_namespace: 'web', virtualization: 'process', cmd: ['true'] }
  const application = { application_name: 'shop', application_namespace: 'demo', microservices: [one] }
  const parsed = parseDescriptor(JSON.stringify({ sla_version: 'v2.0', customerID: 'x', applications: [application] }))
  const [spec] = parsed.services
  assert.ok(spec !== undefined)
  const service = serviceIdOf(spec)
  world.node('b2').host.input({ kind: 'submit', domain: ROOT, service, spec })
  world.run(15_000)
  return { world, service }
}

/** The nodes that run the service, by their own word. */
const homesOf = (world: World, service: ServiceId): readonly string[] =>
  world.nodes.flatMap(({ facts, core }) => {
    const cluster = core.view.stores().find((store) => store.domain === facts.domain)
    const runs = cluster?.instances(service).some(({ from, message }) => from === facts.node && message.live)
    return runs ? [facts.node.slice(9)] : []
  })

const stateOf = (world: World, name: string): IntakeStateMessage => {
  const answer = world.node(name).answered.at(-1)
  assert.ok(answer?.kind === 'node/intake-state', JSON.stringify(answer))
  return answer
}

test('an instance is moved from any device, to one that is named in another cluster', () => {
  const { world, service } = deployed()
  const [home] = homesOf(world, service)
  const [goal, from] = home?.startsWith('a') ? ['b2', 'a3'] : ['a3', 'b2']
  const question = { domain: ROOT, service, number: 0, to: goal, requestId: 'r1' }
  world.node(from).host.input({ kind: 'ask', question })
  world.run(15_000)
  const [answer] = world.node(from).answered
  assert.equal(answer?.kind === 'placement/moved' && answer.outcome, 'moving', JSON.stringify(answer))
  assert.deepEqual(homesOf(world, service), [goal])
})

test('a drained device hands over what it leads and what it runs, and says so', () => {
  const { world, service } = deployed()
  const [home = ''] = homesOf(world, service)
  const other = world.nodes.find(({ facts }) => !facts.node.endsWith(home))?.facts.node.slice(9) ?? ''
  const ask = (requestId: string, set: 'draining' | null): void =>
    world.node(other).host.input({ kind: 'ask', question: { node: world.node(home).facts.node, set, requestId } })
  ask('r1', 'draining')
  world.run(30_000)
  ask('r2', null)
  world.run(100)
  const { intake, instances, leads } = stateOf(world, other)
  assert.deepEqual({ intake, instances, leads }, { intake: 'draining', instances: 0, leads: [] })
  assert.notDeepEqual(homesOf(world, service), [home])
  assert.equal(homesOf(world, service).length, 1)
  assert.equal(world.node(home).core.view.intake(), 'draining')
})

test('a drained device gives its vote up to a member that has none, and keeps it where there is no other', () => {
  const world = createWorld([...CLUSTERS, ['a4', '/a']])
  world.run(FORMING_MS)
  const electorsOf = (domain: string): readonly string[] =>
    (
      world
        .node('b1')
        .core.view.leaders()
        .leaderOf(domain as DomainPath)?.announcement.electors ?? []
    ).map((child) => child.slice(9))
  world.run(15_000)
  const [drained = ''] = electorsOf('/a')
  const free = ['a1', 'a2', 'a3', 'a4'].find((name) => !electorsOf('/a').includes(name)) ?? ''
  const ask = (name: string, requestId: string, set: 'draining' | null): void =>
    world.node('b1').host.input({ kind: 'ask', question: { node: world.node(name).facts.node, set, requestId } })
  ask(drained, 'r1', 'draining')
  world.run(100)
  assert.deepEqual(stateOf(world, 'b1').elects, ['/a'])
  world.run(30_000)
  assert.ok(electorsOf('/a').includes(free) && !electorsOf('/a').includes(drained), electorsOf('/a').join())
  assert.equal(electorsOf('/a').length, 3)
  ask(drained, 'r2', null)
  world.run(100)
  assert.deepEqual(stateOf(world, 'b1').elects, [])
  ask('b2', 'r3', 'draining')
  world.run(30_000)
  assert.ok(electorsOf('/b').includes('b2'), 'there is nobody else')
  assert.deepEqual(stateOf(world, 'b1').elects, [])
})

test('a drained leader keeps the seat in its cluster, also where it led everything above', () => {
  for (const plan of [
    CLUSTERS,
    [
      ['a1', '/a'],
      ['a2', '/a'],
      ['b1', '/b'],
    ] as const,
    CLUSTERS.slice(0, 3),
  ]) {
    const world = createWorld(plan)
    world.run(FORMING_MS)
    const root = world.nodes.find(({ core }) =>
      core.view.seats().some((one) => one.domain === ROOT && one.fence !== null),
    )
    assert.ok(root !== undefined)
    root.host.input({ kind: 'ask', question: { node: root.facts.node, set: 'draining', requestId: 'r1' } })
    world.run(30_000)
    const seats = root.core.view.seats()
    assert.deepEqual([seats[0]?.domain, seats[0]?.fence], [root.facts.domain, null])
    const leaders = world.nodes.filter(({ core }) => core.view.seats().some((one) => one.fence !== null))
    assert.ok(leaders.length > 0 && !leaders.includes(root), 'others lead')
  }
})

test('a question that nobody answers is said again and given up in the end', () => {
  const self = factsOf('b1', '/b')
  const leader = factsOf('a1', '/a').node
  const book = { nodeOf: (child: string) => (child === ROOT ? leader : null) } as never
  const asking = createAsking(self, book)
  const out: CoreEffect[] = []
  const at = (now: number) => ({ now, wall: now, random: seededRandom(1) })
  const question = { domain: ROOT, service: 'a.b.c.d' as ServiceId, number: 0, to: null, requestId: 'r1' }
  asking.ask(question, at(0), out)
  for (let now = asking.wakeAt(); now !== null; now = asking.wakeAt()) asking.onWake(at(now), out)
  const last = out.at(-1)
  assert.deepEqual(last, { kind: 'answered', requestId: 'r1', answer: null })
  assert.equal(out.filter((effect) => effect.kind === 'send' && effect.to === leader).length, QUESTION_MS_MAX / 2_000)
})

test('who leads a domain that nobody here knows is asked of the leader above', () => {
  const self = factsOf('b1', '/b')
  const guide = factsOf('a1', '/a').node
  const asking = createAsking(self, { nodeOf: (child: string) => (child === ROOT ? guide : null) } as never)
  const out: CoreEffect[] = []
  const domain = '/c' as DomainPath
  const question = { domain, service: 'a.b.c.d' as ServiceId, number: 0, to: null, requestId: 'r1' }
  asking.ask(question, { now: 0, wall: 0, random: seededRandom(1) }, out)
  assert.deepEqual(
    out.map((effect) => effect.kind === 'send' && [effect.to, effect.message.kind]),
    [[guide, 'election/proof-wanted']],
  )
})

test('a device is closed by members of its operator only, and says so once that is on the disk', () => {
  const self = factsOf('b1', '/b')
  const options = { self, saved: null, running: () => ['a.b.c.d#0'], leads: () => [], elects: () => [] }
  const intake = createIntake(options)
  const member = factsOf('a1', '/a')
  const stranger = { ...member, operator: 'somebody else' as never }
  const message = { kind: 'node/intake' as const, node: self.node, requestId: 'r1', set: 'cordoned' as const }
  const from = member.node
  const refused: CoreEffect[] = []
  assert.equal(intake.onMessage({ from, signer: stranger, message, bytes: new Uint8Array() }, refused), false)
  const [said] = refused
  assert.ok(said?.kind === 'send' && said.message.kind === 'node/intake-state')
  assert.match(said.message.refused ?? '', /another operator’s/)
  const out: CoreEffect[] = []
  // The order that closed another device, shown to this one.
  const elsewhere = { ...message, node: member.node }
  const silence: CoreEffect[] = []
  assert.equal(intake.onMessage({ from, signer: member, message: elsewhere, bytes: new Uint8Array() }, silence), false)
  assert.equal(silence.length, 0)
  assert.equal(intake.onMessage({ from, signer: member, message, bytes: new Uint8Array() }, out), true)
  const [write] = out
  assert.ok(write?.kind === 'persist' && write.sync && write.key === INTAKE_KEY && write.then.length === 1)
  assert.equal(createIntake({ ...options, saved: write.value }).current(), 'cordoned')
  assert.equal(decodeIntake(encodeIntake('draining')), 'draining')
  assert.equal(decodeIntake(new Uint8Array([1, 2, 3])), 'open')
})

test('what cannot leave is told with its reason until it has left', () => {
  let running = ['a.b.c.d#0', 'a.b.c.d#1']
  const self = factsOf('b1', '/b')
  const intake = createIntake({
    self,
    saved: encodeIntake('draining'),
    running: () => running,
    leads: () => [],
    elects: () => [],
  })
  const said = { domain: ROOT, requestId: 'x', service: 'a.b.c.d' as ServiceId, number: 0, child: null }
  intake.onMoved({ kind: 'placement/moved', ...said, outcome: 'refused', reason: 'no room' })
  const stuck = (): IntakeStateMessage['stuck'] => {
    const out: CoreEffect[] = []
    const message = { kind: 'node/intake' as const, node: self.node, requestId: 'r1', set: null }
    intake.onMessage({ from: self.node, signer: self, message, bytes: new Uint8Array() }, out)
    const [answer] = out
    assert.ok(answer?.kind === 'send' && answer.message.kind === 'node/intake-state')
    return answer.message.stuck
  }
  assert.deepEqual(stuck(), [{ instance: 'a.b.c.d#0', reason: 'no room' }])
  running = ['a.b.c.d#1']
  assert.deepEqual(stuck(), [])
})
