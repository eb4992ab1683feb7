// What comes from the network is nonsense until it is proven otherwise: every kind of message, damaged in every way
// that chance finds, behind signatures that are all believed, so that nothing but the decoder and the machines stands
// between it and the node.

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { bootstrapSchemas } from '../../bootstrap/messages.ts'
import { electionSchemas } from '../../election/index.ts'
import { createPacker, type FramePacker } from '../../overlay/frame-delta.ts'
import type { DomainPath, NodeId, ServiceId } from '../../overlay/kernel/ids.ts'
import { pick, type Random, randomInt, seededRandom } from '../../overlay/kernel/random.ts'
import { membershipSchemas } from '../../overlay/membership/index.ts'
import { decodeBounded, encodeCbor } from '../../overlay/wire/codec.ts'
import type { Opened } from '../../overlay/wire/envelope.ts'
import { isSpokenFrame } from '../../overlay/wire/frame.ts'
import { parseDescriptor, placementSchemas, type ServiceSpec, serviceIdOf } from '../../placement/index.ts'
import { recordSchemas, registrySchemas, type SealedRecord } from '../../services-registry/index.ts'
import type { CoreMessage } from './effects.ts'
import { coreCodec } from './messages.ts'
import { createWorld, FEDERATION, factsOf, trustingSealer, type World } from './world.test-kit.ts'

const MUTATIONS = 10_000
const KINDS = Object.keys({
  ...bootstrapSchemas,
  ...electionSchemas,
  ...membershipSchemas,
  ...placementSchemas,
  ...recordSchemas,
  ...registrySchemas,
  'node/where': null,
  'node/intake': null,
  'node/intake-state': null,
  'node/names': null,
})
const PLAN = [
  ['a1', '/a'],
  ['a2', '/a'],
  ['a3', '/a'],
  ['b1', '/b'],
  ['b2', '/b'],
] as const

function helloSpec(): ServiceSpec {
  const text = readFileSync(join(import.meta.dirname, '../../testnet/local/hello.json'), 'utf8')
  const [spec] = parseDescriptor(text).services
  assert.ok(spec)
  return spec
}

/** A federation that has been through an election, a deploy and the loss of its root leader. */
function livedThrough(): World {
  const world = createWorld(PLAN)
  world.run(20_000)
  const spec = helloSpec()
  world.node('b2').host.input({ kind: 'submit', domain: '/' as DomainPath, service: serviceIdOf(spec), spec })
  world.run(10_000)
  const second = { ...spec, environment: { VERSION: '2' } }
  world.node('b2').host.input({ kind: 'submit', domain: '/' as DomainPath, service: serviceIdOf(spec), spec: second })
  world.run(10_000)
  world.kill('a1')
  world.run(15_000)
  return world
}

/** Of each kind some that were really said, and one by hand of those that this story did not call for. */
function samplesOf(world: World): ReadonlyMap<string, readonly Opened<CoreMessage>[]> {
  const samples = new Map<string, Opened<CoreMessage>[]>()
  const add = (opened: Opened<CoreMessage>): void => {
    const { kind } = opened.message
    const known = samples.get(kind) ?? []
    if (known.length < 20) samples.set(kind, [...known, opened])
  }
  for (const opened of world.sealed.toReversed()) add(opened)
  const sealer = trustingSealer(
    factsOf('a3', '/a'),
    PLAN.map(([name, domain]) => factsOf(name, domain)),
  )
  for (const message of byHand(samples.get('record/spec')?.[0] as SealedRecord)) add(sealer.seal(message))
  return samples
}

function byHand(record: SealedRecord): readonly CoreMessage[] {
  const root = '/' as DomainPath
  const cluster = '/a' as DomainPath
  const line = '0'.repeat(16)
  const hash = new Uint8Array(8)
  const { service } = record.message
  const other = 'x.y.z.w' as ServiceId
  const node = factsOf('a2', '/a').node
  const fence = { epoch: 1, term: 1 }
  return [
    { kind: 'charter/news', packed: new Uint8Array(100) },
    { kind: 'charter/want', shown: [new Uint8Array(32)] },
    { kind: 'policy/signed', statement: 'signed.by.operator' },
    { kind: 'policy/held', version: 2 },
    { kind: 'election/vote-refused', domain: cluster, line, epoch: 1, term: 3, voter: node },
    { kind: 'election/stand-now', domain: cluster, line, epoch: 1, term: 3, leader: node },
    { kind: 'election/proof-wanted', domain: root, epoch: 1, term: 1 },
    { kind: 'election/roll-call', domain: cluster },
    { kind: 'election/grant', domain: cluster, of: line, line: '1'.repeat(16), epoch: 2, child: node },
    {
      kind: 'election/witness-request',
      domain: cluster,
      line,
      epoch: 1,
      register: { epoch: 1, term: 1, index: 1 },
      child: node,
      reached: 1,
      under: line,
      speaker: null,
    },
    { kind: 'placement/refuse', domain: cluster, askId: 'a', service, number: 0, child: node, devices: 1, reasons: [] },
    { kind: 'placement/release', domain: cluster, askId: 'a' },
    {
      kind: 'placement/report',
      domain: root,
      child: cluster,
      service,
      number: 0,
      problem: 'no-spec',
      detail: '',
      fence,
    },
    {
      kind: 'placement/move',
      domain: root,
      requestId: 'r1',
      requester: node,
      service,
      number: 0,
      to: '/b zone=eu',
      by: { domain: cluster, fence },
      refused: 'in /a: no',
    },
    { kind: 'placement/may-run', domain: cluster, service, number: 0, incarnation: 1, askedAt: 5 },
    { kind: 'placement/run-on', domain: cluster, fence, service, number: 0, incarnation: 1, askedAt: 5 },
    {
      kind: 'placement/moved',
      domain: root,
      requestId: 'r1',
      service,
      number: 0,
      outcome: 'moving',
      child: cluster,
      reason: 'fits',
    },
    { kind: 'node/intake', node: 'n2' as NodeId, requestId: 'r2', set: 'draining' },
    {
      kind: 'node/intake-state',
      requestId: 'r2',
      intake: 'draining',
      instances: 1,
      leads: [root],
      elects: [cluster],
      stuck: [{ instance: `${service}#0`, reason: 'no room' }],
      refused: null,
    },
    { kind: 'registry/want', domain: root, buckets: [1, 2, 3], rows: new Uint8Array(0) },
    { kind: 'registry/fetch', domain: root, keys: hash },
    { kind: 'registry/records', domain: root, records: [record], more: false },
    { kind: 'registry/gossip', domain: root, records: [record, record] },
    { kind: 'registry/push', domain: root, record },
    { kind: 'registry/pushed', domain: root, key: `spec/${service}`, mark: hash, refusal: null },
    { kind: 'registry/lookup', domain: cluster, service, requestId: 1 },
    { kind: 'registry/answer', domain: cluster, service: other, requestId: 1, records: [], found: false },
    { kind: 'node/where', domain: cluster, node },
    { kind: 'node/names', names: [{ node, name: 'pi-3', domain: cluster, incarnation: 7 }] },
  ]
}

const NONSENSE: readonly unknown[] = [
  null,
  true,
  false,
  0,
  1,
  -1,
  0.5,
  2 ** 53 - 1,
  -(2 ** 53 - 1),
  1e300,
  '',
  '/',
  '/a',
  'x'.repeat(2_000),
  [],
  {},
  [[]],
  new Uint8Array(0),
  new Uint8Array(32),
  { kind: 'election/vote' },
  '__proto__',
  'constructor',
  '12D3KooW-a2',
]

/** The value with one place in it changed; an envelope inside is opened up now and then. */
function mutated(value: unknown, random: Random): unknown {
  if (random.next() < 0.2) return pick(random, NONSENSE)
  if (value instanceof Uint8Array) {
    const inner = random.next() < 0.7 ? decodeBounded(value) : null
    return inner?.ok && Array.isArray(inner.value) ? encodeCbor(mutated(inner.value, random)) : damaged(value, random)
  }
  if (Array.isArray(value)) {
    const at = randomInt(random, 0, value.length + 1)
    if (random.next() < 0.1) return [...value, ...value]
    if (random.next() < 0.1) return value.toSpliced(at, 1)
    return value.map((one, index) => (index === at ? mutated(one, random) : one))
  }
  if (typeof value === 'object' && value !== null) {
    const entries = Object.entries(value)
    const [key] = pick(random, entries) ?? ['kind']
    if (random.next() < 0.1) return Object.fromEntries(entries.filter(([name]) => name !== key))
    return Object.fromEntries(entries.map(([name, one]) => [name, name === key ? mutated(one, random) : one]))
  }
  if (typeof value === 'number') return value + (pick(random, [1, -1, 1_000, 0.5, 2 ** 40]) ?? 0)
  return pick(random, NONSENSE)
}

/** Some bytes changed, cut off or added. */
function damaged(bytes: Uint8Array, random: Random): Uint8Array {
  if (random.next() < 0.2) return bytes.slice(0, randomInt(random, 0, bytes.length + 1))
  const copy = Uint8Array.from([...bytes, ...(random.next() < 0.2 ? [0xff, 0x00] : [])])
  for (let i = 0; i < 1 + random.next() * 4 && copy.length > 0; i++) {
    copy[randomInt(random, 0, copy.length)] = randomInt(random, 0, 256)
  }
  return copy
}

/** Some damaged as bytes, most in a field of the message, inside an envelope that is in order if there is one. */
function mutation({ bytes }: Opened<CoreMessage>, random: Random): Uint8Array {
  const frame = decodeBounded(bytes)
  if (!frame.ok || random.next() < 0.3) return damaged(bytes, random)
  if (isSpokenFrame(bytes)) return encodeCbor(mutated(frame.value, random))
  const [version, from, hash, body, signature] = frame.value as readonly [
    number,
    string,
    Uint8Array,
    Uint8Array,
    Uint8Array,
  ]
  const message = decodeBounded(body)
  if (!message.ok) return damaged(bytes, random)
  return encodeCbor([version, from, hash, encodeCbor(mutated(message.value, random)), signature])
}

test('ten thousand damaged messages of every kind are dropped or taken in, and none stops a node', () => {
  const world = livedThrough()
  const samples = samplesOf(world)
  assert.deepEqual([...samples.keys()].toSorted(), KINDS.toSorted(), 'there is a sample of every kind')
  const random = seededRandom(20_261_121)
  const target = world.node('a2')
  const senders = PLAN.map(([name, domain]) => factsOf(name, domain).node as NodeId)
  const topics = [
    null,
    `/coppice/${FEDERATION}/a/record`,
    `/coppice/${FEDERATION}/leader`,
    `/coppice/${FEDERATION}/summary`,
  ]
  const droppedBefore = target.dropped.length
  for (let done = 0; done < MUTATIONS; done++) {
    const sample = pick(random, samples.get(KINDS[done % KINDS.length] as string) ?? [])
    assert.ok(sample)
    const bytes = mutation(sample, random)
    const from = pick(random, senders) as NodeId
    assert.doesNotThrow(() => target.host.receive(bytes, from, pick(random, topics) ?? null), `mutation ${done}`)
    if (done % 100 === 0) world.run(10)
  }
  const dropped = target.dropped.length - droppedBefore
  assert.ok(dropped > MUTATIONS / 4, `${dropped} were dropped`)
  assert.ok(dropped < MUTATIONS * 0.9, `${MUTATIONS - dropped} got past the decoder`)
  assert.doesNotThrow(() => world.run(30_000))
  assert.ok(target.core.view.seats().length > 0, 'the node still sits in its cluster')
})

test('what is said all the time costs a few bytes once it was said', () => {
  const world = livedThrough()
  const packers = new Map<NodeId, FramePacker>()
  const packed = new Map<string, number[]>()
  // The order of one node's words to all is that of its words to one, with more between them: the harder case.
  for (const { from, message, bytes } of world.sealed) {
    const packer = packers.get(from) ?? createPacker()
    packers.set(from, packer)
    const lengths = packed.get(message.kind) ?? []
    packed.set(message.kind, [...lengths, packer.pack(bytes).length])
  }
  const medianOf = (kind: string): number => {
    const lengths = (packed.get(kind) ?? []).toSorted((a, b) => a - b)
    return lengths[lengths.length >> 1] ?? Number.NaN
  }
  const kinds = ['election/heartbeat', 'election/heartbeat-answer', 'membership/probe', 'membership/ack']
  const medians = kinds.map(medianOf)
  assert.ok(
    medians.every((median) => median <= 24),
    kinds.map((kind, index) => `${kind} ${medians[index]}`).join(', '),
  )
})

test('every kind of message survives the way to bytes and back', () => {
  const sealer = trustingSealer(
    factsOf('a2', '/a'),
    PLAN.map(([name, domain]) => factsOf(name, domain)),
  )
  for (const [kind, [sample]] of samplesOf(livedThrough())) {
    assert.ok(sample)
    const opened = sealer.hear(sample.bytes, sample.signer)
    assert.ok(opened.ok, kind)
    assert.deepEqual(coreCodec.encode(opened.value.message), coreCodec.encode(sample.message), kind)
  }
})
