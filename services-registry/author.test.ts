// The next version of a spec is later than all that is known, and keeps its operator's claim to the name.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { OperatorId } from '../overlay/kernel/ids.ts'
import { authorSpec } from './author.ts'
import { compareClocks, type SealedRecord, type SpecRecord } from './record.ts'
import { BERLIN, createFederation, ROOT_DOMAIN, START_WALL, sealRecord, specRecord, WEB } from './record-fixtures.ts'
import { CLOCK_ZERO, tick } from './version.ts'

const federation = createFederation()
const a = federation.addNode('a', BERLIN)
const own = tick(CLOCK_ZERO, START_WALL, a.facts.node).counter
const other = federation.addNode('b', BERLIN, { operator: 'operator-b' as OperatorId })
const next = (held: SealedRecord<SpecRecord> | null, clock = CLOCK_ZERO, wall = START_WALL): SpecRecord =>
  authorSpec({ domain: ROOT_DOMAIN, service: WEB, spec: new Uint8Array([2]), signer: a.facts, held, clock, wall })

test('a first spec claims the name with its own clock', () => {
  const spec = next(null)
  assert.deepEqual(
    [spec.clock, spec.claimed],
    [
      { wall: START_WALL, counter: own },
      { wall: START_WALL, counter: own },
    ],
  )
})

test('an update is later than what is held and than the store, even when the wall clock runs behind', () => {
  const held = sealRecord(a, specRecord(START_WALL + 60_000))
  assert.ok(compareClocks(next(held).clock, held.message.clock) > 0)
  const clock = { wall: START_WALL + 90_000, counter: 4 }
  assert.deepEqual(next(held, clock).clock, { wall: START_WALL + 90_000, counter: own })
})

test('updates carry the claim on; it begins anew after a removal and after another operator', () => {
  const first = sealRecord(a, specRecord(START_WALL - 9))
  const second = sealRecord(a, next(first))
  assert.deepEqual(next(second, CLOCK_ZERO, START_WALL + 5).claimed, first.message.clock)
  const removed = sealRecord(a, { ...next(first), spec: null })
  assert.deepEqual(next(removed, CLOCK_ZERO, START_WALL + 5).claimed, { wall: START_WALL + 5, counter: own })
  const foreign = sealRecord(other, specRecord(START_WALL - 9))
  assert.deepEqual(next(foreign).claimed, { wall: START_WALL, counter: own })
})

test('a version carries the one before it, unless both do not fit in one record or the service is new', () => {
  const held = sealRecord(a, specRecord(START_WALL - 9))
  const common = { domain: ROOT_DOMAIN, service: WEB, signer: a.facts, held, clock: CLOCK_ZERO, wall: START_WALL }
  const before = (size: number) => ({ clock: held.message.clock, spec: new Uint8Array(size) })
  const spec = new Uint8Array(20_000)
  assert.equal(authorSpec({ ...common, spec, previous: before(12_000) }).previous?.spec.length, 12_000)
  assert.equal(authorSpec({ ...common, spec, previous: before(12_001) }).previous, undefined)
  assert.equal(authorSpec({ ...common, held: null, spec, previous: before(1) }).previous, undefined)
  assert.equal(authorSpec({ ...common, spec: null, previous: before(1) }).previous, undefined)
})
