// A member lies about facts: who may say them, when they were said, how many there are, and what it has itself.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { CoreMessage } from '../../node/core/effects.ts'
import { type DomainPath, type InstanceKey, type NodeId, ROOT, type ServiceId } from '../../overlay/kernel/ids.ts'
import type { Opened } from '../../overlay/wire/envelope.ts'
import type { SummaryMessage } from '../../placement/index.ts'
import { encodeSpec, type ServiceSpec, serviceIdOf } from '../../placement/spec.ts'
import { SPECS_PER_SIGNER_MAX, WAITING_RECORDS_MAX } from '../../services-registry/constants.ts'
import type { SpecRecord, StoreView } from '../../services-registry/index.ts'
import { busy } from '../fuzz/corpus.ts'
import { type HostileStage, setHostileStage, topicIn } from './hostile-stage.ts'
import { serviceOf } from './stage.ts'

const A = '/a' as DomainPath
const SETTLED_MS = 30_000
const DAY_MS = 86_400_000
const LIAR = 'a4'

function settled(nodes = 5, clusters = 1): HostileStage {
  const stage = setHostileStage({ nodes, clusters })
  stage.run(SETTLED_MS)
  stage.settle()
  return stage
}

const storeOf = (stage: HostileStage, name: string, domain: DomainPath): StoreView => {
  const store = stage
    .device(name)
    .core?.view.stores()
    .find((one) => one.domain === domain)
  assert.ok(store, `${name} holds ${domain}`)
  return store
}

const others = (stage: HostileStage): readonly string[] =>
  stage.devices.map(({ node }) => node as string).filter((node) => node !== LIAR)

/** A spec as nobody's descriptor would become one. */
function specRecord(stage: HostileStage, spec: ServiceSpec | null, change: Partial<SpecRecord> = {}): SpecRecord {
  const { core } = stage.device(LIAR)
  assert.ok(core)
  const wall = 1_790_000_000_000 + stage.world.agenda.now()
  return {
    kind: 'record/spec',
    domain: A,
    service: spec === null ? ('x.x.x.x' as ServiceId) : serviceIdOf(spec),
    clock: { wall: Math.floor(wall), counter: 0 },
    spec: spec === null ? null : encodeSpec(spec),
    ...change,
  }
}

test('what was said once changes nothing when it is said again, in whatever order', () => {
  const kept: { readonly opened: Pick<Opened<CoreMessage>, 'bytes'>; readonly topic: string | null }[] = []
  const stage = setHostileStage({ nodes: 5, clusters: 1 })
  const { world } = stage
  // The liar keeps all that it ever heard.
  const { endpoint } = stage.device(LIAR)
  const { receive } = endpoint
  Object.assign(endpoint, {
    receive: (bytes: Uint8Array, from: NodeId, topic: string | null) => {
      kept.push({ opened: { bytes }, topic })
      receive(bytes, from, topic)
    },
  })
  busy(world)
  stage.run(50_000)
  stage.settle()
  const before = others(stage).map((name) => factsOf(stage, name))
  const runs = stage.whoRuns('shop.sim.shop.sim#0' as InstanceKey)
  assert.ok(kept.length > 300, `${kept.length} messages`)
  for (const [number, { opened, topic }] of [...kept].reverse().entries()) {
    for (const name of ['a1', 'a2']) stage.deliver(LIAR, name, opened, topic ?? undefined)
    if (number % 50 === 0) stage.run(5)
  }
  stage.run(10_000)
  stage.settle()
  assert.deepEqual(
    others(stage).map((name) => factsOf(stage, name)),
    before,
  )
  assert.deepEqual(stage.whoRuns('shop.sim.shop.sim#0' as InstanceKey), runs)
})

/** What a device holds for true: its specs with their clocks, and who is here. */
function factsOf(stage: HostileStage, name: string): unknown {
  const { view } = stage.device(name).core ?? {}
  const specs = view
    ?.stores()
    .flatMap((store) =>
      [...store.specs()].map(({ message }) => [store.domain, message.service, message.clock, message.spec === null]),
    )
  const members = [...(view?.roster() ?? [])].map(([node, { state }]) => [node, state])
  return { specs: specs?.sort(), members: members.sort() }
}

test('nobody speaks for another: not of its state, its instances, its capacity or its death', () => {
  const stage = settled()
  const victim = 'a2' as NodeId
  const statement = stage.device('a1').core?.view.roster().get(victim)
  assert.ok(statement)
  const placed = { domain: A, service: 'shop.sim.web.sim' as ServiceId, number: 0 }
  const clock = { wall: 1, counter: 0 }
  const summary = stage.device('a1').core?.view.summaryOf(victim)
  assert.ok(summary)
  stage.sayToAll(LIAR, {
    kind: 'placement/summary',
    domain: A,
    child: victim,
    incarnation: 99,
    sequence: 99,
    summary: { ...summary, cores: 1_000 },
  })
  const fence = { epoch: 1, term: 1 }
  const order = { ...placed, child: victim, fence, sequence: 1, specClock: clock, reason: 'mine' }
  stage.sayToAll(LIAR, { kind: 'record/placement', ...order })
  for (let sequence = 1; sequence < 20; sequence++) {
    const { incarnation = 1 } = stage.device(victim).core?.view ?? {}
    const report = { subject: victim, incarnation, verdict: 'unreachable', cause: 'probe-lost' } as const
    stage.sayToAll(LIAR, { kind: 'membership/report', domain: A, ...report, sequence: 1_000_000_000 + sequence })
  }
  stage.run(20_000)
  for (const name of others(stage)) {
    const { view } = stage.device(name).core ?? {}
    assert.notEqual(view?.summaryOf(victim)?.cores, 1_000)
    assert.equal(view?.roster().get(victim)?.state, 'alive', `${name} has ${victim} for alive`)
    assert.equal(storeOf(stage, name, A).placement(placed.service, 0), null)
  }
})

test('a spec of another day is refused, and one from some hours ahead is followed by whoever speaks next', () => {
  const stage = settled()
  const spec = serviceOf('late', 0)
  const wall = 1_790_000_000_000 + stage.world.agenda.now()
  const far = specRecord(stage, spec, { clock: { wall: Math.floor(wall) + 3 * DAY_MS, counter: 0 } })
  stage.sayToAll(LIAR, far)
  stage.run(1_000)
  const store = storeOf(stage, 'a1', A)
  assert.equal(store.spec(far.service), null)
  // Some hours ahead might be honest: it is taken, and the owner's next word is later all the same.
  const near = specRecord(stage, spec, { clock: { wall: Math.floor(wall) + DAY_MS / 2, counter: 0 } })
  stage.sayToAll(LIAR, near)
  stage.run(1_000)
  assert.equal(store.spec(near.service)?.from, LIAR)
  stage.deploy('a1', serviceOf('late', 1), A)
  stage.run(3_000)
  assert.equal(store.spec(near.service)?.from, 'a1')
  assert.equal(stage.whoRuns(`${near.service}#0` as InstanceKey).length, 1)
})

test('names that lead out of a folder, and specs that are too long or are none, reach no store', () => {
  const stage = settled()
  const evil = serviceOf('fine', 1)
  const names = ['../../etc.sim.x.sim', 'a/b.sim.x.sim', '..', 'a.b.c.d/../..', 'a.b.c.d\u0000', '__proto__']
  for (const service of names) stage.sayToAll(LIAR, { ...specRecord(stage, evil), service: service as ServiceId })
  for (const service of names) {
    const fence = { epoch: 1, term: 1 }
    const said = { state: 'running', incarnation: 1, sequence: 1, endpoint: null, since: 0, restarts: 0 } as const
    const rest = { reason: '', fence, specClock: { wall: 1, counter: 0 }, live: true }
    stage.sayToAll(LIAR, {
      kind: 'record/instance',
      domain: A,
      service: service as ServiceId,
      number: 0,
      ...said,
      ...rest,
    })
  }
  stage.sayToAll(LIAR, { ...specRecord(stage, serviceOf('noise', 1)), spec: new Uint8Array(30_000).fill(0xff) })
  stage.run(2_000)
  for (const name of others(stage)) {
    const held = [...storeOf(stage, name, A).specs()].map(({ message }) => message.service as string)
    assert.deepEqual(
      held.filter((service) => names.includes(service)),
      [],
    )
  }
  assert.deepEqual(stage.whoRuns('shop.sim.noise.sim#0' as InstanceKey), [])
  // What cannot be read is nobody's work, and stands in nobody's way.
  stage.deploy('a1', serviceOf('good', 1), A)
  stage.run(3_000)
  assert.equal(stage.whoRuns('shop.sim.good.sim#0' as InstanceKey).length, 1)
})

test('of a flood of records a store keeps so many of one signer, and everybody else’s as before', () => {
  const stage = settled()
  const count = SPECS_PER_SIGNER_MAX + 200
  for (let number = 0; number < count; number++) {
    const opened = stage.forged(LIAR, specRecord(stage, { ...serviceOf(`f${number}`, 0) }))
    for (const name of ['a1', 'a2']) stage.deliver(LIAR, name, opened, topicIn(A, 'record'))
    if (number % 100 === 0) stage.run(10)
  }
  for (let number = 0; number < WAITING_RECORDS_MAX + 200; number++) {
    const fence = { epoch: 2 ** 30 + number, term: 1 }
    const order = { service: 'shop.sim.f0.sim' as ServiceId, number, child: 'a1' as NodeId, fence, sequence: 1 }
    const opened = stage.forged(LIAR, {
      kind: 'record/placement',
      domain: A,
      ...order,
      specClock: { wall: 1, counter: 0 },
      reason: '',
    })
    stage.deliver(LIAR, 'a1', opened, topicIn(A, 'record'))
    if (number % 100 === 0) stage.run(10)
  }
  stage.run(2_000)
  for (const name of ['a1', 'a2']) {
    const mine = [...storeOf(stage, name, A).specs()].filter(({ from }) => from === LIAR)
    assert.equal(mine.length, SPECS_PER_SIGNER_MAX)
  }
  stage.deploy('a1', serviceOf('good', 1), A)
  stage.run(3_000)
  assert.equal(stage.whoRuns('shop.sim.good.sim#0' as InstanceKey).length, 1)
})

test('who boasts of room that it has not got is asked once, and the work goes elsewhere', () => {
  const stage = settled()
  // Until the leader has heard of everybody.
  stage.run(SETTLED_MS)
  const bySize = [...stage.devices].sort((one, other) => one.facts.memoryMb - other.facts.memoryMb)
  const liar = bySize.find(({ node }) => node !== stage.leaderSeenBy('a1', A)) as (typeof bySize)[number]
  const leader = stage.leaderSeenBy('a1', A) ?? ''
  const summary = stage.device(leader).core?.view.summaryOf(liar.node)
  assert.ok(summary)
  const boast = (sequence: number): SummaryMessage => ({
    kind: 'placement/summary',
    domain: A,
    child: liar.node,
    incarnation: liar.core?.view.incarnation ?? 1,
    sequence: 1_000_000 + sequence,
    summary: {
      ...summary,
      cores: 500,
      memoryMb: { total: 900_000, free: 900_000 },
      instances: [],
      reserved: [],
    } as never,
  })
  const spec = { ...serviceOf('big', 1), memoryMb: liar.facts.memoryMb + 100 }
  const fits = stage.devices.some(({ facts, node }) => node !== liar.node && facts.memoryMb > spec.memoryMb + 500)
  assert.ok(fits, 'somebody honest has room')
  for (let round = 0; round < 20; round++) {
    stage.sayToAll(liar.node, boast(round))
    if (round === 2) stage.deploy('a1', spec, A)
    stage.run(500)
  }
  const runs = stage.whoRuns(`${serviceIdOf(spec)}#0` as InstanceKey)
  assert.equal(runs.length, 1)
  assert.notEqual(runs[0], liar.node)
})

test('a member of another cluster may submit to the root and to its own, and orders nothing here', () => {
  const stage = setHostileStage({ nodes: 6, clusters: 2 })
  stage.run(SETTLED_MS)
  stage.settle()
  const stranger = 'b3'
  const known = stage.device('a1').core?.view.leaders().leaderOf(A)?.announcement
  assert.ok(known)
  const { epoch, term } = known
  const ask = {
    kind: 'placement/ask',
    domain: A,
    fence: { epoch, term },
    askId: 'mine',
    service: 'shop.sim.evil.sim' as ServiceId,
    number: 0,
    spec: encodeSpec(serviceOf('evil', 1)),
    specClock: { wall: 1, counter: 0 },
    avoid: [],
  } as const
  stage.sayToAll(stranger, ask)
  stage.sayToAll(stranger, { ...ask, domain: ROOT })
  stage.sayToAll(stranger, {
    kind: 'placement/release',
    domain: A,
    askId: 'mine',
    service: ask.service,
    number: 0,
  } as never)
  stage.run(3_000)
  assert.deepEqual(stage.whoRuns('shop.sim.evil.sim#0' as InstanceKey), [])
  for (const name of ['a1', 'a2', 'a3']) assert.equal(stage.device(name).core?.view.pending().length, 0)
})
