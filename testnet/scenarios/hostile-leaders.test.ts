// A member lies about who leads. It is one of five devices of a cluster, its key may lead, and it gets nothing: no
// order of its own is obeyed, and the others go on being led.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Announcement } from '../../election/index.ts'
import type { DomainPath, InstanceKey, NodeId } from '../../overlay/kernel/ids.ts'
import { type ServiceSpec, serviceIdOf } from '../../placement/spec.ts'
import { type HostileStage, setHostileStage } from './hostile-stage.ts'
import { serviceOf } from './stage.ts'

const A = '/a' as DomainPath
const SETTLED_MS = 30_000
const HALF_HOUR_MS = 1_800_000

/** A cluster with a service, and somebody in it who neither leads nor runs it. */
function cluster(options: { readonly nodes?: number; readonly electors?: boolean } = {}): {
  readonly stage: HostileStage
  readonly liar: string
  readonly leader: string
  readonly spec: ServiceSpec
} {
  const stage = setHostileStage({ nodes: options.nodes ?? 6, clusters: 1 })
  stage.run(SETTLED_MS)
  const spec = serviceOf('shop', 1)
  stage.deploy('a1', spec, A)
  stage.run(3_000)
  const leader = stage.leaderSeenBy('a1', A) ?? ''
  const electors = announced(stage).electors
  const runs = stage.whoRuns(keyOf(spec))
  assert.equal(runs.length, 1)
  const isLiar = (name: string): boolean =>
    name !== leader && !runs.includes(name) && electors.includes(name as NodeId) === (options.electors ?? false)
  const liar = stage.devices.map(({ node }) => node as string).find(isLiar)
  assert.ok(liar !== undefined)
  return { stage, liar, leader, spec }
}

const keyOf = (spec: ServiceSpec): InstanceKey => `${serviceIdOf(spec)}#0` as InstanceKey

const announced = (stage: HostileStage): Announcement => {
  const known = stage.devices
    .find(({ isUp }) => isUp)
    ?.core?.view.leaders()
    .leaderOf(A)
  assert.ok(known)
  return known.announcement
}

/** What a liar can prove with its own vote alone. */
function alone(stage: HostileStage, liar: string, change: Partial<Announcement>): Announcement {
  const before = announced(stage)
  const node = liar as NodeId
  const { line = before.line, epoch = before.epoch, term = before.term } = change
  const vote = {
    kind: 'election/vote',
    domain: A,
    line,
    epoch,
    term,
    voter: node,
    candidate: node,
    speaker: null,
  } as const
  return {
    ...before,
    leader: node,
    node,
    name: liar,
    electors: [node],
    predecessor: null,
    grants: [],
    votes: [stage.forged(liar, vote)],
    addresses: [],
    sequence: 1,
    ...change,
  }
}

const honest = (stage: HostileStage, liar: string): readonly string[] =>
  stage.devices.map(({ node }) => node as string).filter((node) => node !== liar)

test('who claims to lead with its own vote alone is followed by nobody, and is named', () => {
  const { stage, liar, leader } = cluster()
  const { electors, term } = announced(stage)
  stage.sayToAll(liar, alone(stage, liar, { electors: [...electors.slice(1), liar as NodeId], term: term + 5 }))
  stage.run(1_000)
  for (const name of honest(stage, liar)) {
    assert.equal(stage.leaderSeenBy(name, A), leader)
    const told = stage.lastTold(name, 'leadership-claim-refused')
    assert.deepEqual([told?.level, told?.fields.claimant, told?.fields.reason], ['warn', liar, 'no-majority'])
  }
})

test('a later term of the same line whose only elector is the liar is not believed', () => {
  const { stage, liar, leader } = cluster()
  stage.sayToAll(liar, alone(stage, liar, { term: announced(stage).term + 1 }))
  stage.run(1_000)
  for (const name of honest(stage, liar)) assert.equal(stage.leaderSeenBy(name, A), leader)
})

test('nobody comes to have led in a term that nobody remembers, so orders of the past cannot be made up', () => {
  const { stage, liar } = cluster()
  const fence = { epoch: 1, term: 1 }
  stage.sayToAll(liar, alone(stage, liar, fence))
  const service = serviceIdOf(serviceOf('shop', 1))
  const held = stage
    .device('a1')
    .core?.view.stores()
    .find(({ domain }) => domain === A)
    ?.spec(service)
  assert.ok(held)
  const target = honest(stage, liar)[0] ?? ''
  const placement = {
    kind: 'record/placement',
    domain: A,
    service,
    number: 7,
    child: target as NodeId,
    specClock: held.message.clock,
    fence,
    sequence: 1,
    reason: 'because I say so',
  } as const
  stage.sayToAll(liar, placement)
  stage.run(5_000)
  for (const name of honest(stage, liar)) {
    const { core } = stage.device(name)
    assert.equal(core?.view.leaders().leaderAt(A, fence), null)
    const stores = core?.view.stores() ?? []
    assert.ok(stores.every((store) => store.domain !== A || store.placement(service, 7) === null))
  }
  assert.deepEqual(stage.whoRuns(`${service}#7` as InstanceKey), [])
})

test('who makes up lines costs an election now and then, ever more rarely, and nothing that runs', () => {
  const { stage, liar, leader, spec } = cluster()
  const runs = stage.whoRuns(keyOf(spec))
  const began = stage.devices.reduce((sum, { node }) => sum + stage.told(node, 'leadership-begun'), 0)
  const everyMs = 4_000
  for (let at = 0; at < HALF_HOUR_MS; at += everyMs) {
    const { epoch } = announced(stage)
    stage.sayToAll(liar, alone(stage, liar, { line: `${at}`.padStart(26, '0'), epoch: epoch + 1 }))
    stage.run(everyMs)
  }
  const elections = stage.devices.reduce((sum, { node }) => sum + stage.told(node, 'leadership-begun'), 0) - began
  // In the cluster and in the root, for pauses of 1.5 s that double up to ten minutes.
  assert.ok(elections > 0 && elections <= 2 * 14, `${elections} elections in half an hour`)
  for (const name of honest(stage, liar)) assert.notEqual(stage.leaderSeenBy(name, A), liar)
  assert.deepEqual(stage.whoRuns(keyOf(spec)), runs)
  const met = stage.lastTold(leader, 'lines-met') ?? stage.lastTold(stage.leaderSeenBy('a1', A) ?? '', 'lines-met')
  assert.deepEqual([met?.level, met?.fields.claimant], ['warn', liar])
})

test('numbers at the end of what can be counted move nobody', () => {
  const { stage, liar, leader } = cluster()
  const before = announced(stage)
  const far = { epoch: Number.MAX_SAFE_INTEGER - 1, term: Number.MAX_SAFE_INTEGER - 1 }
  stage.sayToAll(liar, alone(stage, liar, { line: '0', ...far }))
  for (const kind of ['election/vote-refused', 'election/heartbeat-answer'] as const) {
    const base = { domain: A, line: before.line, ...far }
    const version = { epoch: 0, term: 0, index: 0 }
    const answer = { child: liar as NodeId, ticket: 'x', held: version, echo: 0, promiseMs: 0 }
    if (kind === 'election/vote-refused') stage.sayToAll(liar, { kind, ...base, voter: liar as NodeId })
    else stage.sayToAll(liar, { kind, ...base, ...answer })
  }
  stage.run(5_000)
  assert.equal(stage.leaderSeenBy('a1', A), leader)
  assert.ok(announced(stage).epoch < 2 ** 40)
})

test('a member that is no elector cannot have itself followed, depose a leader, or change the register', () => {
  const { stage, liar, leader } = cluster()
  const { line, epoch, term } = announced(stage)
  const seat = stage
    .device(leader)
    .core?.view.seats()
    .find(({ domain }) => domain === A)
  const register = seat?.state.register
  assert.ok(register)
  const node = liar as NodeId
  const version = { epoch, term: term + 1, index: register.index + 10 }
  const later = { domain: A, line, epoch, term: term + 1 }
  const mine = { ...register, term: term + 1, index: version.index, electors: [{ child: node, ticket: 'mine' }] }
  const beat = { leader: node, register: mine, version, sentAt: 0, sequence: 1, roundTrip: null }
  const asked = { candidate: node, register: version, ticket: '', transfer: true, speaker: null }
  for (let round = 0; round < 20; round++) {
    stage.sayToAll(liar, { kind: 'election/heartbeat', ...later, ...beat })
    stage.sayToAll(liar, { kind: 'election/vote-request', ...later, ...asked })
    stage.run(500)
  }
  const after = announced(stage)
  assert.deepEqual([after.node, after.epoch, after.term], [leader, epoch, term])
  for (const name of after.electors) {
    const held = stage
      .device(name)
      .core?.view.seats()
      .find(({ domain }) => domain === A)
    assert.ok(held?.state.register?.electors.every(({ child }) => child !== node))
  }
  assert.ok(stage.told(after.electors[1] ?? '', 'election-message-refused') > 0)
})

test('a cluster that once went on without its majority is not taken over in the name of the line that it left', () => {
  const stage = setHostileStage({ nodes: 5, clusters: 1 })
  stage.run(SETTLED_MS)
  const before = announced(stage)
  // Three of five go for good; after a minute the others go on in a line of their own, and are joined by a newcomer.
  for (const name of before.electors.slice(0, 3)) stage.device(name).lose()
  stage.run(120_000)
  const rest = before.electors.slice(3)
  const left = stage.leaderSeenBy(rest[0] ?? '', A) ?? ''
  assert.ok(rest.includes(left as NodeId), left)
  const liar = rest.find((name) => name !== left) ?? ''
  const known = stage.device(left).core?.view.leaders().leaderOf(A)?.announcement
  assert.equal(known?.predecessor?.line, before.line)
  const claim = { ...alone(stage, liar, { line: before.line, epoch: (known?.epoch ?? 0) + 1 }) }
  for (let round = 0; round < 5; round++) {
    stage.deliver(liar, left, stage.forged(liar, claim))
    stage.run(2_000)
  }
  assert.notEqual(stage.leaderSeenBy(left, A), liar)
  assert.equal(stage.device(left).core?.view.leaders().leaderOf(A)?.announcement.line, known?.line)
})
