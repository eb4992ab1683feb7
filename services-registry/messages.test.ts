// What crosses the wire: read as written, never too large, and never trusted to be well-formed.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { nodeId } from '../overlay/kernel/ids.ts'
import { randomInt, seededRandom } from '../overlay/kernel/random.ts'
import { err } from '../overlay/kernel/result.ts'
import { createCodec } from '../overlay/wire/codec.ts'
import { fitsTheWire, type Opened } from '../overlay/wire/envelope.ts'
import type { OpenNested } from '../overlay/wire/schema.ts'
import { BUCKETS, HASH_BYTES, PIECE_BYTES_MAX, RECORD_BYTES_MAX, ROW_BYTES, ROWS_MAX } from './constants.ts'
import { type RegistryMessage, recordSchemas, registrySchemas } from './messages.ts'
import { type SealedRecord, SPEC_BYTES_MAX } from './record.ts'
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
  specRecord,
  type TestMessage,
  WEB,
} from './record-fixtures.ts'
import type { StoreInput } from './state.ts'
import { createStore, step } from './store.ts'

const node = createFederation().addNode('a', BERLIN)
const records: readonly SealedRecord[] = [
  sealRecord(node, specRecord(START_WALL)),
  sealRecord(node, placementRecord(1)),
  sealRecord(node, instanceRecord(1)),
]
const domain = ROOT_DOMAIN
const mark = new Uint8Array(HASH_BYTES)
const messages: readonly RegistryMessage[] = [
  { kind: 'registry/digest', domain, buckets: new Uint8Array(BUCKETS * HASH_BYTES) },
  { kind: 'registry/want', domain, buckets: [1, 5], rows: new Uint8Array(2 * ROW_BYTES) },
  { kind: 'registry/fetch', domain, keys: new Uint8Array(3 * HASH_BYTES) },
  { kind: 'registry/records', domain, records, more: true },
  { kind: 'registry/gossip', domain, records },
  { kind: 'registry/push', domain, record: records[0] as SealedRecord },
  { kind: 'registry/pushed', domain, key: `spec/${WEB}`, mark, refusal: 'older' },
  { kind: 'registry/lookup', domain, service: WEB, requestId: 1 },
  { kind: 'registry/answer', domain, service: WEB, requestId: 1, records, found: true },
]

test('every message is read as it was written', () => {
  for (const message of messages) {
    const opened = node.sealer.open(node.sealer.seal(message).bytes)
    assert.ok(opened.ok, message.kind)
    assert.equal(opened.value.message.kind, message.kind)
    assert.deepEqual(node.sealer.seal(opened.value.message).bytes, node.sealer.seal(message).bytes)
  }
})

test('the largest of everything fits the wire', () => {
  const largest = sealRecord(node, specRecord(START_WALL, { spec: new Uint8Array(SPEC_BYTES_MAX) }))
  assert.ok(largest.bytes.length <= RECORD_BYTES_MAX)
  const spec = sealRecord(node, specRecord(START_WALL, { spec: new Uint8Array(PIECE_BYTES_MAX / 2 - 300) }))
  const buckets = Array.from({ length: BUCKETS }, (_, bucket) => bucket)
  for (const message of [
    { kind: 'registry/records', domain, records: [spec, spec], more: false },
    { kind: 'registry/gossip', domain, records: [spec, spec] },
    { kind: 'registry/push', domain, record: largest },
    { kind: 'registry/want', domain, buckets, rows: new Uint8Array(ROWS_MAX * ROW_BYTES) },
  ] as const satisfies readonly RegistryMessage[]) {
    assert.ok(fitsTheWire(node.sealer.seal(message)), message.kind)
    assert.ok(node.sealer.open(node.sealer.seal(message).bytes).ok)
  }
})

/** The bodies are mutated under a signature that is good: a member may be broken or hostile. */
test('mutated messages are refused or read, never thrown over, and never stop a store', () => {
  const random = seededRandom(11)
  const codec = createCodec<TestMessage>({ ...registrySchemas, ...recordSchemas })
  const openNested: OpenNested = (bytes) => {
    const opened = node.sealer.open(bytes)
    return opened.ok ? opened : err(opened.error.kind)
  }
  const leaders = createTestLeaders({ 1: nodeId('a') }).book
  let state = createStore({ domain, self: node.facts, loaded: [], leaders, preset: 'lan' }, contextAt(0))
  const bodies = [...messages, ...records.map((record) => record.message)].map((message) => codec.encode(message))
  let read = 0
  for (let times = 0; times < 10_000; times++) {
    const body = bodies[randomInt(random, 0, bodies.length)] ?? new Uint8Array()
    const message = codec.decode(mutated(body, random), openNested, 0)
    if (!message.ok) continue
    read++
    state = step(state, inputOf(node.sealer.seal(message.value)), contextAt(times)).state
  }
  assert.ok(read > 100 && read < 9_900, `${read} were read`)
  for (const message of messages) state = step(state, inputOf(node.sealer.seal(message)), contextAt(10_000)).state
  assert.ok(state.view.spec(WEB) !== null)
})

test('mutated envelopes are refused or opened, never thrown over', () => {
  const random = seededRandom(13)
  const envelopes = messages.map((message) => node.sealer.seal(message).bytes)
  let opened = 0
  for (let times = 0; times < 2_000; times++) {
    const bytes = envelopes[randomInt(random, 0, envelopes.length)] ?? new Uint8Array()
    if (node.sealer.open(mutated(bytes, random)).ok) opened++
  }
  assert.ok(opened < 200, `${opened} were opened`)
})

test('messages with odd contents of a member never stop a store', () => {
  const random = seededRandom(12)
  const leaders = createTestLeaders({ 1: nodeId('a') }).book
  let state = createStore({ domain, self: node.facts, loaded: records, leaders, preset: 'lan' }, contextAt(0))
  for (let times = 0; times < 1_000; times++) {
    const noise = Uint8Array.from({ length: randomInt(random, 0, 600) }, () => randomInt(random, 0, 256))
    const buckets = Array.from({ length: randomInt(random, 0, 70) }, () => randomInt(random, 0, BUCKETS))
    const odd: readonly RegistryMessage[] = [
      { kind: 'registry/digest', domain, buckets: noise },
      { kind: 'registry/want', domain, buckets, rows: noise },
      { kind: 'registry/fetch', domain, keys: noise },
    ]
    for (const message of odd) {
      const { state: next } = step(state, inputOf(node.sealer.seal(message)), contextAt(times))
      state = next
    }
  }
  assert.equal(state.table.entries.size, 3)
})

function inputOf(opened: Opened): StoreInput {
  if (opened.message.kind.startsWith('record/'))
    return { kind: 'record', opened: opened as SealedRecord, from: nodeId('a') }
  return { kind: 'message', opened: opened as Opened<RegistryMessage> }
}

function mutated(original: Uint8Array, random: ReturnType<typeof seededRandom>): Uint8Array {
  const bytes = original.slice(0, random.next() < 0.2 ? randomInt(random, 0, original.length) : original.length)
  const copy = Uint8Array.from(bytes)
  const changes = randomInt(random, 1, 5)
  for (let i = 0; i < changes && copy.length > 0; i++) {
    copy[randomInt(random, 0, copy.length)] = randomInt(random, 0, 256)
  }
  return copy
}
