// What people see, read from cores that really lead and run something.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type DomainPath, ROOT } from '../overlay/kernel/ids.ts'
import { createWorld, type World } from './core/world.test-kit.ts'
import { instance, placement, SERVICE, specWith } from './fixture-records.ts'
import { withFound } from './found.ts'
import {
  domainViews,
  inspectView,
  instancesOf,
  instanceViews,
  peerViews,
  serviceView,
  specOf,
  waitingFor,
} from './view.ts'

const FRESH_MS = 10_000

function deployed(domain: DomainPath = ROOT): World {
  const world = createWorld([
    ['a1', '/a'],
    ['a2', '/a'],
    ['b1', '/b'],
  ])
  world.run(20_000)
  world.node('a1').host.input({ kind: 'submit', domain, service: SERVICE, spec: specWith(2) })
  world.run(5_000)
  return world
}

test('a node says what it waits for until it knows a leader of each domain and has read its device', () => {
  const world = createWorld([
    ['a1', '/a'],
    ['b1', '/b'],
  ])
  const { view } = world.node('b1').core
  assert.deepEqual(waitingFor(view), ['a leader of /b', 'a leader of the root', 'the first reading of this device'])
  world.run(20_000)
  assert.deepEqual(waitingFor(view), [])
})

test('a status shows each domain from the cluster up to the root, with this node’s part in it', () => {
  const world = deployed()
  const shown = (name: string): readonly string[] =>
    domainViews(world.node(name).core.view, world.now(), FRESH_MS).map(
      ({ path, role, leaderName, quorum }) => `${path} ${role} of ${leaderName} ${quorum}`,
    )
  assert.deepEqual(shown('a1'), ['/a leader of a1 true', '/ leader of a1 true'])
  assert.deepEqual(shown('a2'), ['/a follower of a1 true', '/ observer of a1 true'])
  assert.deepEqual(shown('b1'), ['/b leader of b1 true', '/ follower of a1 true'])
})

test('a peer of another cluster is shown with its domain and as alive while it is connected', () => {
  const world = deployed()
  const a1 = world.node('a1')
  const paths = new Map([[world.node('b1').facts.node, { path: 'direct', via: null, reason: null } as const]])
  const [b1] = peerViews(a1.core.view, paths, new Map()).filter(({ node }) => node === world.node('b1').facts.node)
  assert.deepEqual([b1?.domain, b1?.state, b1?.path, b1?.reason], ['/b', 'alive', 'direct', null])
  const [a2] = peerViews(a1.core.view, paths, new Map()).filter(({ node }) => node === world.node('a2').facts.node)
  assert.deepEqual([a2?.domain, a2?.reason], ['/a', 'not connected'])
})

test('each replica is one row, with where it runs and why', () => {
  const world = deployed()
  const rows = instanceViews(world.node('a2').core.view)
  assert.deepEqual(
    rows.map(({ number, state }) => `${number} ${state}`),
    ['0 running', '1 running'],
  )
  for (const row of rows) {
    assert.ok(row.endpoint?.startsWith('127.0.0.1:'))
    assert.match(row.reason, /best-fit/)
    assert.match(row.since ?? '', /^2026-/)
  }
})

test('a replica that has no place yet is a row too', () => {
  const world = deployed()
  world
    .node('a1')
    .host.input({ kind: 'submit', domain: ROOT, service: SERVICE, spec: { ...specWith(3), memoryMb: 1e8 } })
  world.run(2)
  const pending = instancesOf(world.node('a1').core.view, SERVICE).filter(({ state }) => state === 'pending')
  assert.ok(pending.length > 0)
  assert.ok(pending.every(({ node, reason }) => node === null && reason !== ''))
})

test('a removed service is no service, and its instances are gone from the list', () => {
  const world = deployed()
  const { view } = world.node('a1').core
  assert.equal(serviceView(view, SERVICE)?.accepted, true)
  world.node('a1').host.input({ kind: 'submit', domain: ROOT, service: SERVICE, spec: null })
  assert.notEqual(serviceView(view, SERVICE), null, 'not before that is on the disk')
  world.run(10)
  assert.equal(serviceView(view, SERVICE), null)
  assert.equal(specOf(view, SERVICE), null)
})

test('what others answered is looked into like records of one’s own', () => {
  const world = deployed('/a' as DomainPath)
  const { view } = world.node('b1').core
  assert.equal(inspectView(view, SERVICE), null, 'b1 holds no records of /a')
  const held = world.node('a1').core.view.stores()
  const records = held.flatMap((store) => [...store.specs(), ...store.placements(SERVICE), ...store.instances(SERVICE)])
  const seen = inspectView(withFound(view, records), SERVICE)
  assert.equal(seen?.domain, '/a')
  assert.deepEqual(
    seen?.instances.map(({ number, state }) => `${number} ${state}`),
    ['0 running', '1 running'],
  )
  assert.equal(seen?.placements.length, 2)
})

test('what went back to the device it was moved from is shown there, though the later copy says that it runs', () => {
  const world = deployed('/b' as DomainPath)
  const { view } = world.node('a1').core
  const copies = [instance('z1', '/z', { since: 1_000 }), instance('z2', '/z', { since: 2_000 })]
  const [old, young] = copies.map(({ from }) => from)
  const rows = (...more: Parameters<typeof withFound>[1]): readonly string[] =>
    instancesOf(withFound(view, [...copies, ...more]), SERVICE).map(({ node, state }) => `${node} ${state}`)
  assert.deepEqual(rows(placement('/z', young ?? '', { previous: old ?? '' } as never)), [`${young} running`])
  assert.deepEqual(rows(placement('/z', old ?? '')), [`${old} running`])
})
