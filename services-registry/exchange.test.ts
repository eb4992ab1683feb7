// Several stores that lose messages and agree in the end, and how little they say when they agree already.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { nodeId } from '../overlay/kernel/ids.ts'
import type { Opened } from '../overlay/wire/envelope.ts'
import { BUCKETS, EXCHANGE_WINDOW_BYTES_MAX, ROUNDS_AFTER_NEWS, TOMBSTONE_KEPT_MS } from './constants.ts'
import { digestBytes } from './digest.ts'
import type { RegistryMessage } from './messages.ts'
import type { PlainRecord } from './record.ts'
import {
  BERLIN,
  contextAt,
  createFederation,
  createTestLeaders,
  instanceRecord,
  placementRecord,
  ROOT_DOMAIN,
  START_WALL,
  sealRecord,
  serviceNumber,
  specRecord,
  type TestNode,
  WEB,
} from './record-fixtures.ts'
import { createStore, step } from './store.ts'
import { contentsOf, createWorld, joinAll, liveContentsOf, nodeIn, run, say, tell } from './store-harness.ts'

function threeNodes(seed: number, loss: number) {
  const federation = createFederation()
  const members = [
    federation.addNode('a', BERLIN),
    federation.addNode('b', BERLIN),
    federation.addNode('c', BERLIN),
  ] as const
  const leaders = createTestLeaders({ 1: nodeId('a') })
  const world = createWorld(members, { seed, loss, leaders: leaders.book })
  return { world, members, leaders }
}

test('three stores converge in spite of lost, doubled and reordered messages', () => {
  for (let seed = 1; seed <= 10; seed++) {
    const { world, members } = threeNodes(seed, 0.3)
    const [a, b, c] = members
    joinAll(world)
    for (let number = 0; number < 30; number++) {
      const service = serviceNumber(number)
      say(world, [a, b, c][number % 3] ?? a, specRecord(START_WALL + number, { service }))
      say(world, a, placementRecord(1, { service, number }))
      say(world, c, instanceRecord(number, { service, live: number % 7 !== 0 }))
      run(world, 20)
    }
    say(world, b, specRecord(START_WALL + 100, { service: serviceNumber(3), spec: null }))
    run(world, 10 * 60_000)
    const [one, two, three] = members.map((node) => liveContentsOf(nodeIn(world, node).state))
    assert.equal(one, two, `seed ${seed}`)
    assert.equal(two, three, `seed ${seed}`)
    assert.equal(nodeIn(world, c).state.view.spec(serviceNumber(3))?.message.spec, null)
  }
})

test('what is on disk is what is held', () => {
  const { world, members } = threeNodes(1, 0.2)
  joinAll(world)
  for (let number = 0; number < 20; number++) {
    say(world, members[0], specRecord(START_WALL + number, { service: serviceNumber(number % 8) }))
  }
  run(world, 5 * 60_000)
  for (const node of members) {
    const { disk, state } = nodeIn(world, node)
    const held = [...state.table.entries.values()].map((entry) => entry.record.bytes)
    assert.deepEqual([...disk.values()].sort(), held.sort())
  }
})

test('stores that agree say one digest a round and nothing else', () => {
  const { world, members } = threeNodes(2, 0)
  joinAll(world)
  say(world, members[0], specRecord(START_WALL))
  run(world, 60_000)
  world.sent.clear()
  run(world, 10 * 60_000)
  assert.deepEqual([...world.sent.keys()], ['registry/digest'])
  const rounds = world.sent.get('registry/digest') ?? 0
  assert.ok(rounds >= (3 * 600) / 40 && rounds <= (3 * 600) / 20, `${rounds} digests in ten minutes`)
})

test('what gossip missed reaches thirty holders about as soon as two, for a few rounds more', () => {
  for (let seed = 1; seed <= 10; seed++) {
    const federation = createFederation()
    const members = Array.from({ length: 30 }, (_, number) => federation.addNode(`n${number}`, BERLIN))
    const world = createWorld(members, { seed, loss: 0, leaders: createTestLeaders({}).book })
    joinAll(world)
    run(world, 60_000)
    const [author] = members as [TestNode]
    tell(world, author, { kind: 'record', opened: sealRecord(author, specRecord(START_WALL)), from: nodeId('x') })
    world.sent.clear()
    const lacking = () => members.filter((node) => nodeIn(world, node).state.view.spec(WEB) === null).length
    const began = world.now
    while (lacking() > 0) {
      assert.ok(world.now - began < 45_000, `seed ${seed}: ${lacking()} lack it after ${world.now - began} ms`)
      run(world, 1_000)
    }
    run(world, began + 60_000 - world.now)
    const digests = world.sent.get('registry/digest') ?? 0
    assert.ok(digests < 30 * (60 / 22 + ROUNDS_AFTER_NEWS), `seed ${seed}: ${digests} digests`)
    world.sent.clear()
    run(world, 10 * 60_000)
    assert.deepEqual([...world.sent.keys()], ['registry/digest'])
    assert.ok(
      (world.sent.get('registry/digest') ?? 0) <= (30 * 600) / 22,
      'and then the rounds are as far apart as ever',
    )
  }
})

/**
 * Thirty holders, connected within their sides, each side with its own share of 200 records; then all are connected.
 * Returns how many times each record was sent to each who lacked it.
 */
function meeting(sideOf: (member: number) => number, sideOfRecord: (record: number) => number): number {
  const federation = createFederation()
  const members = Array.from({ length: 30 }, (_, number) => federation.addNode(`n${number + 10}`, BERLIN))
  const world = createWorld(members, { seed: 1, loss: 0, leaders: createTestLeaders({}).book })
  const connect = (isMeant: (a: number, b: number) => boolean): void => {
    for (const [a, node] of members.entries()) {
      for (const [b, { facts }] of members.entries())
        if (a !== b && isMeant(a, b)) tell(world, node, { kind: 'connected', peer: facts.node })
    }
  }
  for (const node of members) tell(world, node, { kind: 'holders', nodes: [...world.nodes.keys()] })
  connect((a, b) => sideOf(a) === sideOf(b))
  for (let number = 0; number < 200; number++) {
    const service = serviceNumber(number)
    const record = sealRecord(members[number % 30] as TestNode, specRecord(START_WALL + number, { service }))
    for (const [member, node] of members.entries()) {
      if (sideOf(member) === sideOfRecord(number))
        tell(world, node, { kind: 'record', opened: record, from: nodeId('x') })
    }
  }
  run(world, 60_000)
  const held = (node: TestNode): number => nodeIn(world, node).state.table.entries.size
  const lacked = members.reduce((sum, node) => sum + 200 - held(node), 0)
  for (const node of members) nodeIn(world, node).effects.length = 0
  connect((a, b) => sideOf(a) !== sideOf(b))
  run(world, 5_000)
  for (const node of members) assert.equal(held(node), 200)
  const effects = members.flatMap((node) => nodeIn(world, node).effects)
  const sent = effects.flatMap((effect) =>
    effect.kind === 'send' && effect.message.kind === 'registry/records' ? effect.message.records : [],
  )
  return sent.length / lacked
}

test('who lost its disk, and two halves that meet, get each record two or three times, not from everybody', () => {
  const alone = meeting(
    (member) => Number(member === 15),
    () => 0,
  )
  const halves = meeting(
    (member) => Number(member < 15),
    (record) => record % 2,
  )
  for (const times of [alone, halves]) assert.ok(times < 3, `${alone.toFixed(1)} and ${halves.toFixed(1)} times`)
})

test('only the buckets that differ are compared, and only the records that differ travel', () => {
  const { world, members } = threeNodes(3, 0)
  const [a, b] = members
  for (let number = 0; number < 200; number++) {
    const record = sealRecord(a, specRecord(START_WALL + number, { service: serviceNumber(number) }))
    for (const node of [a, b]) tell(world, node, { kind: 'record', opened: record, from: nodeId('x') })
  }
  const extra = sealRecord(a, specRecord(START_WALL, { service: WEB }))
  tell(world, a, { kind: 'record', opened: extra, from: nodeId('x') })
  const ids = [nodeId('a'), nodeId('b')]
  for (const node of [a, b]) tell(world, node, { kind: 'holders', nodes: ids })
  tell(world, a, { kind: 'connected', peer: nodeId('b') })
  run(world, 1_000)
  assert.deepEqual(Object.fromEntries(world.sent), {
    'registry/digest': 1,
    'registry/want': 1,
    'registry/records': 1,
  })
  const messages = [a, b]
    .flatMap((node) => nodeIn(world, node).effects)
    .flatMap((effect) => {
      return effect.kind === 'send' ? [effect.message] : []
    })
  const want = messages.find((message) => message.kind === 'registry/want')
  assert.equal(want?.buckets.length, 1)
  assert.ok((want?.rows.length ?? 0) < (200 / BUCKETS) * 16 * 4)
  const records = messages.find((message) => message.kind === 'registry/records')
  assert.deepEqual(
    records?.records.map((record) => record.message),
    [extra.message],
  )
  assert.equal(contentsOf(nodeIn(world, a).state), contentsOf(nodeIn(world, b).state))
})

test('a new holder gets a store of many megabytes at once, in pieces that fit', () => {
  const { world, members } = threeNodes(4, 0)
  const [a, b] = members
  for (let number = 0; number < 150; number++) {
    const record = specRecord(START_WALL + number, { service: serviceNumber(number), spec: new Uint8Array(30_000) })
    tell(world, a, { kind: 'record', opened: sealRecord(a, record), from: nodeId('x') })
  }
  for (const node of [a, b]) tell(world, node, { kind: 'holders', nodes: [nodeId('a'), nodeId('b')] })
  tell(world, b, { kind: 'connected', peer: nodeId('a') })
  run(world, 5_000)
  assert.equal(contentsOf(nodeIn(world, a).state), contentsOf(nodeIn(world, b).state))
  assert.ok((world.sent.get('registry/records') ?? 0) >= 75)
})

test('nobody makes a store send more than the window allows', () => {
  const federation = createFederation()
  const [a, b] = [federation.addNode('a', BERLIN), federation.addNode('b', BERLIN)]
  const loaded = Array.from({ length: 60 }, (_, number) =>
    sealRecord(a, specRecord(START_WALL, { service: serviceNumber(number), spec: new Uint8Array(30_000) })),
  )
  const leaders = createTestLeaders({}).book
  let state = createStore({ domain: ROOT_DOMAIN, self: a.facts, loaded, leaders, preset: 'lan' }, contextAt(0))
  const buckets = Array.from({ length: BUCKETS }, (_, bucket) => bucket)
  const want = { kind: 'registry/want' as const, domain: ROOT_DOMAIN, buckets, rows: new Uint8Array() }
  const asked = { kind: 'message' as const, opened: b.sealer.seal(want) as Opened<RegistryMessage> }
  let bytes = 0
  for (let times = 0; times < 20; times++) {
    const { state: next, effects } = step(state, asked, contextAt(times))
    state = next
    for (const effect of effects) {
      if (effect.kind !== 'send' || effect.message.kind !== 'registry/records') continue
      bytes += effect.message.records.reduce((sum, record) => sum + record.bytes.length, 0)
    }
  }
  assert.ok(bytes > EXCHANGE_WINDOW_BYTES_MAX / 2 && bytes <= EXCHANGE_WINDOW_BYTES_MAX)
})

test('a removal reaches who missed it, and does not travel for ever between those who forget it', () => {
  const { world, members } = threeNodes(5, 0)
  const [a, b, c] = members
  joinAll(world)
  say(world, a, specRecord(START_WALL))
  run(world, 1_000)
  for (const other of [a, b]) tell(world, c, { kind: 'disconnected', peer: other.facts.node })
  const removed = sealRecord(a, specRecord(START_WALL + 500, { spec: null }))
  tell(world, a, { kind: 'record', opened: removed, from: nodeId('x') })
  run(world, 60_000)
  assert.equal(nodeIn(world, b).state.view.spec(WEB)?.message.spec, null)
  tell(world, c, { kind: 'connected', peer: nodeId('a') })
  run(world, 60_000)
  assert.equal(nodeIn(world, c).state.view.spec(WEB)?.message.spec, null)
  const ids = members.map((node) => node.facts.node)
  for (const node of members) for (const peer of ids) tell(world, node, { kind: 'disconnected', peer })
  run(world, TOMBSTONE_KEPT_MS - 30 * 60_000)
  for (const node of members) assert.equal(nodeIn(world, node).state.table.entries.size, 1)
  joinAll(world)
  run(world, 60 * 60_000)
  for (const node of members) assert.equal(nodeIn(world, node).state.table.entries.size, 0)
})

test('placements that were passed on before their leader was proven are taken in when it is', () => {
  const { world, members, leaders } = threeNodes(6, 0)
  const [a, b, c] = members
  leaders.prove(2, nodeId('b'))
  joinAll(world)
  say(world, b, placementRecord(2))
  run(world, 1_000)
  assert.equal(nodeIn(world, c).state.view.placement(WEB, 0)?.from, 'b')
  say(world, b, placementRecord(3))
  run(world, 1_000)
  assert.equal(nodeIn(world, a).state.view.placement(WEB, 0)?.message.fence.term, 2)
  leaders.prove(3, nodeId('b'))
  for (const node of members) tell(world, node, { kind: 'leaders-changed' })
  run(world, 60_000)
  for (const node of members) {
    assert.equal(nodeIn(world, node).state.view.placement(WEB, 0)?.message.fence.term, 3)
  }
})

test('nodes of an operator take over the specs of a revoked one with few messages', () => {
  const { world, members } = threeNodes(7, 0)
  const [a, b, c] = members
  joinAll(world)
  for (let number = 0; number < 5; number++) {
    say(world, a, specRecord(START_WALL + number, { service: serviceNumber(number) }))
  }
  run(world, 1_000)
  for (const node of [b, c]) tell(world, node, { kind: 'forget-signer', node: nodeId('a') })
  run(world, 60_000)
  for (const node of [b, c]) {
    for (let number = 0; number < 5; number++) {
      assert.notEqual(nodeIn(world, node).state.view.spec(serviceNumber(number))?.from, 'a')
    }
  }
  assert.equal(liveContentsOf(nodeIn(world, b).state), liveContentsOf(nodeIn(world, c).state))
  const authored = [b, c].flatMap((node) => nodeIn(world, node).effects.filter((effect) => effect.kind === 'author'))
  assert.ok(authored.length <= 6, `${authored.length} records for 5 services`)
})

test('what a node says counts again, and is offered to others, once it belongs again', () => {
  const { world, members } = threeNodes(7, 0)
  const [a, b, c] = members
  joinAll(world)
  say(world, a, specRecord(START_WALL, { service: WEB }))
  run(world, 1_000)
  const digest = (): string => String(digestBytes(nodeIn(world, b).state.table.digest))
  const shown = digest()
  for (const node of [b, c]) tell(world, node, { kind: 'forget-signer', node: nodeId('a') })
  assert.notEqual(digest(), shown)
  for (const node of [b, c]) tell(world, node, { kind: 'recall-signer', node: nodeId('a') })
  assert.equal(digest(), shown)
  say(world, a, specRecord(START_WALL + 5, { service: WEB }))
  run(world, 1_000)
  assert.equal(nodeIn(world, b).state.view.spec(WEB)?.message.clock.wall, START_WALL + 5)
})

/** What is left of a removed service, and how it goes. */
const LEFT_BEHIND: Readonly<Record<string, readonly [PlainRecord, PlainRecord]>> = {
  'it is placed': [
    placementRecord(1, { service: WEB, number: 0 }),
    placementRecord(1, { service: WEB, number: 0, child: null, sequence: 2 }),
  ],
  'a device says that it runs': [
    instanceRecord(1, { service: WEB, number: 0 }),
    instanceRecord(2, { service: WEB, number: 0, live: false, state: 'stopped', endpoint: null }),
  ],
}

for (const [why, [left, end]] of Object.entries(LEFT_BEHIND)) {
  test(`a removal also reaches who never saw what it removes, while ${why}`, () => {
    const { world, members } = threeNodes(11, 0)
    const [a, b, c] = members
    const spec = sealRecord(b, specRecord(START_WALL, { service: WEB }))
    const removal = sealRecord(b, specRecord(START_WALL + 1, { service: WEB, spec: null }))
    for (const opened of [spec, removal]) tell(world, b, { kind: 'record', opened, from: nodeId('x') })
    const opened = sealRecord(a, left)
    for (const node of members) tell(world, node, { kind: 'record', opened, from: nodeId('x') })
    joinAll(world)
    run(world, 10 * 60_000)
    for (const node of [a, c]) assert.equal(nodeIn(world, node).state.view.spec(WEB)?.message.spec, null)
    say(world, a, end)
    run(world, 60_000)
    world.sent.clear()
    run(world, 10 * 60_000)
    assert.deepEqual([...world.sent.keys()], ['registry/digest'], 'and is said no more once that is over')
  })
}
