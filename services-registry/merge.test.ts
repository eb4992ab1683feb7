// Convergence: whatever the order and the repetition, the same records make the same store.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { nodeId, type OperatorId } from '../overlay/kernel/ids.ts'
import { TOMBSTONE_KEPT_MS } from './constants.ts'
import { digestBytes } from './digest.ts'
import { merge, remainingAtLoad, rulingSpec } from './merge.ts'
import { ROLLOUT_STATES, type SealedRecord } from './record.ts'
import {
  BERLIN,
  contextAt,
  createFederation,
  createTestLeaders,
  instanceRecord,
  MUNICH,
  placementRecord,
  ROOT_DOMAIN,
  rolloutRecord,
  START_WALL,
  sealRecord,
  serviceNumber,
  specRecord,
  WEB,
} from './record-fixtures.ts'
import { createStore, step } from './store.ts'
import { contentsOf } from './store-harness.ts'
import { isPlacement, slotOf } from './version.ts'

const federation = createFederation()
const a = federation.addNode('a', BERLIN)
const b = federation.addNode('b', BERLIN)
const stranger = federation.addNode('c', MUNICH, { operator: 'operator-b' as OperatorId })
const leaders = createTestLeaders({ 1: nodeId('a'), 2: nodeId('b') }).book

const service = fc.nat(2).map(serviceNumber)
const anySpec = fc
  .record({ service, wall: fc.nat(3), signer: fc.constantFrom(a, b, stranger), gone: fc.boolean(), claim: fc.nat(3) })
  .map(({ service: name, wall, signer, gone, claim }) => {
    const claimed = { wall: START_WALL + Math.min(claim, wall), counter: 0 }
    const spec = gone ? null : new Uint8Array([wall])
    return sealRecord(signer, specRecord(START_WALL + wall, { service: name, spec, claimed }))
  })
const anyPlacement = fc
  .record({ service, number: fc.nat(1), term: fc.constantFrom(1, 2), sequence: fc.nat(3), gone: fc.boolean() })
  .map(({ service: name, number, term, sequence, gone }) => {
    const change = { service: name, number, sequence, child: gone ? null : BERLIN }
    return sealRecord(term === 1 ? a : b, placementRecord(term, change))
  })
const anyInstance = fc
  .record({ service, signer: fc.constantFrom(a, b), incarnation: fc.nat(2), sequence: fc.nat(3), live: fc.boolean() })
  .map(({ service: name, signer, ...change }) =>
    sealRecord(signer, instanceRecord(change.sequence, { service: name, ...change })),
  )
const anyRollout = fc
  .record({ service, term: fc.constantFrom(1, 2), sequence: fc.nat(3), state: fc.constantFrom(...ROLLOUT_STATES) })
  .map(({ service: name, term, sequence, state }) =>
    sealRecord(term === 1 ? a : b, rolloutRecord(term, { service: name, sequence, state })),
  )
const anyRecord: fc.Arbitrary<SealedRecord> = fc.oneof(anySpec, anyPlacement, anyInstance, anyRollout)

const storeOf = (records: readonly SealedRecord[]) => {
  const options = { domain: ROOT_DOMAIN, self: a.facts, loaded: [], leaders, preset: 'lan' as const }
  let state = createStore(options, contextAt(0))
  for (const opened of records) state = step(state, { kind: 'record', opened, from: nodeId('x') }, contextAt(1)).state
  return state
}

test('merging two versions is commutative, associative and idempotent', () => {
  const three = fc.tuple(anyRecord, anyRecord, anyRecord).filter(([x, y, z]) => {
    return slotOf(x) === slotOf(y) && slotOf(y) === slotOf(z)
  })
  fc.assert(
    fc.property(three, ([x, y, z]) => {
      assert.deepEqual(merge(x, y).bytes, merge(y, x).bytes)
      assert.deepEqual(merge(merge(x, y), z).bytes, merge(x, merge(y, z)).bytes)
      assert.equal(merge(x, x), x)
    }),
    { seed: 3, numRuns: 50 },
  )
})

test('any order and any repetition of the same records makes the same store, and the same answers', () => {
  const delivery = fc.array(anyRecord, { minLength: 1, maxLength: 12 }).chain((records) =>
    fc.record({
      records: fc.constant(records),
      shuffled: fc.shuffledSubarray([...records, ...records], { minLength: records.length * 2 }),
    }),
  )
  fc.assert(
    fc.property(delivery, ({ records, shuffled }) => {
      const [one, other] = [storeOf(records), storeOf(shuffled)]
      assert.equal(contentsOf(one), contentsOf(other))
      assert.deepEqual(digestBytes(one.table.digest), digestBytes(other.table.digest))
      for (const number of [0, 1, 2]) {
        const name = serviceNumber(number)
        assert.deepEqual(one.view.spec(name)?.bytes, other.view.spec(name)?.bytes)
        assert.deepEqual(one.view.placements(name), other.view.placements(name))
        assert.deepEqual(one.view.instances(name), other.view.instances(name))
      }
    }),
    { seed: 4, numRuns: 150 },
  )
})

test('what is shown after any history is what is left, however often it was looked at', () => {
  const services = [0, 1, 2].map(serviceNumber)
  fc.assert(
    fc.property(fc.array(anyRecord, { maxLength: 20 }), (records) => {
      const options = { domain: ROOT_DOMAIN, self: a.facts, loaded: [], leaders, preset: 'lan' as const }
      let state = createStore(options, contextAt(0))
      for (const opened of records) {
        for (const service of services) state.view.placements(service)
        state = step(state, { kind: 'record', opened, from: nodeId('x') }, contextAt(1)).state
      }
      const left = [...state.table.entries.values()].map((entry) => entry.record)
      const { placements, instances, instancesOf } = state.view
      for (const service of services) {
        const placed = left.filter(isPlacement).filter(({ message }) => message.service === service)
        assert.deepEqual(
          placements(service),
          placed.sort((one, other) => one.message.number - other.message.number),
        )
        for (const number of [0, 1, 2]) {
          const ofNumber = instances(service).filter(({ message }) => message.number === number)
          assert.deepEqual(instancesOf(service, number), ofNumber)
        }
      }
    }),
    { seed: 5, numRuns: 150 },
  )
})

test('the digest after any history is that of what is left', () => {
  fc.assert(
    fc.property(fc.array(anyRecord, { maxLength: 20 }), (records) => {
      const state = storeOf(records)
      const left = [...state.table.entries.values()].map((entry) => entry.record)
      assert.deepEqual(digestBytes(storeOf(left).table.digest), digestBytes(state.table.digest))
    }),
    { seed: 5, numRuns: 50 },
  )
})

test('of several operators the one that claimed a name first rules, also after its updates', () => {
  const first = sealRecord(a, specRecord(START_WALL + 9, { claimed: { wall: START_WALL + 1, counter: 0 } }))
  const second = sealRecord(stranger, specRecord(START_WALL + 5))
  assert.equal(rulingSpec([first, second]), first)
  assert.equal(rulingSpec([second, first]), first)
})

test('a name that its owner gave up goes to the next who claims it', () => {
  const removed = sealRecord(a, specRecord(START_WALL + 9, { spec: null }))
  const second = sealRecord(stranger, specRecord(START_WALL + 5))
  assert.equal(rulingSpec([removed, second]), second)
  assert.equal(rulingSpec([removed]), removed)
  assert.equal(rulingSpec([]), null)
})

test('a deletion read from disk is remembered for the rest of its time, whatever the wall clock says', () => {
  const removed = sealRecord(a, specRecord(START_WALL, { service: WEB, spec: null }))
  assert.equal(remainingAtLoad(removed, START_WALL + 1_000), TOMBSTONE_KEPT_MS - 1_000)
  assert.equal(remainingAtLoad(removed, 0), TOMBSTONE_KEPT_MS)
  assert.equal(remainingAtLoad(removed, START_WALL + 2 * TOMBSTONE_KEPT_MS), 0)
})
