// The orders of the three kinds of records, and the clock behind the first.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { nodeId, type OperatorId } from '../overlay/kernel/ids.ts'
import { CLOCK_AHEAD_MS_MAX, CLOCK_COUNTER_MAX, CLOCK_SIGNERS } from './constants.ts'
import { compareClocks } from './record.ts'
import {
  createFederation,
  instanceRecord,
  placementRecord,
  ROOT_DOMAIN,
  sealRecord,
  specRecord,
} from './record-fixtures.ts'
import { compareRecords, observe, slotOf, tick } from './version.ts'

const federation = createFederation()
const a = federation.addNode('a', ROOT_DOMAIN)
const b = federation.addNode('b', ROOT_DOMAIN)

const signers = ['a', 'b']

test('a tick follows the wall clock and never runs backwards', () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: -5, max: 1_000 }), { maxLength: 50 }), (walls) => {
      let last = { wall: 0, counter: 0 }
      for (const wall of walls) {
        const next = tick(last, wall, nodeId(signers[wall & 1] as string))
        assert.ok(compareClocks(next, last) > 0)
        assert.ok(next.wall >= wall)
        last = next
      }
    }),
    { seed: 1 },
  )
})

test('a counter that is used up moves on by a millisecond', () => {
  const { wall, counter } = tick({ wall: 7, counter: CLOCK_COUNTER_MAX }, 3, nodeId('a'))
  assert.equal(wall, 8)
  assert.ok(counter < CLOCK_SIGNERS)
})

test('what two nodes submit out of sight of each other in the same millisecond has not the same reading', () => {
  const read = (signer: string, last = { wall: 0, counter: 0 }) => tick(last, 1_000, nodeId(signer))
  assert.notDeepEqual(read('a'), read('b'))
  assert.notDeepEqual(read('a', read('a')), read('b', read('a')), 'nor what follows on the same')
})

test('what was observed is behind the next tick', () => {
  const ofA = tick({ wall: 0, counter: 0 }, 1, nodeId('a')).counter
  const observed = observe({ wall: 5, counter: 1 }, { wall: 900, counter: 3 }, 10)
  assert.deepEqual(observed, { ok: true, value: { wall: 900, counter: 3 } })
  assert.deepEqual(tick({ wall: 900, counter: 3 }, 10, nodeId('a')), { wall: 900, counter: ofA })
  assert.deepEqual(observe({ wall: 900, counter: 3 }, { wall: 5, counter: 1 }, 10), {
    ok: true,
    value: { wall: 900, counter: 3 },
  })
})

test('a clock that is more than the bound ahead is refused, except where later ones were accepted before', () => {
  const wall = 1_000_000
  const farAhead = { wall: wall + CLOCK_AHEAD_MS_MAX + 1, counter: 0 }
  assert.equal(observe({ wall: 0, counter: 0 }, farAhead, wall).ok, false)
  assert.equal(observe({ wall: 0, counter: 0 }, { ...farAhead, wall: farAhead.wall - 1 }, wall).ok, true)
  assert.equal(observe({ wall: farAhead.wall - 5, counter: 0 }, farAhead, 0).ok, true)
  assert.equal(observe({ wall: 0, counter: 0 }, { wall: 5, counter: CLOCK_COUNTER_MAX + 1 }, wall).ok, false)
})

test('specs go by clock, placements by fence and sequence, instances by incarnation and sequence', () => {
  const later: [Parameters<typeof compareRecords>[0], Parameters<typeof compareRecords>[1]][] = [
    [sealRecord(a, specRecord(6)), sealRecord(b, specRecord(5))],
    [sealRecord(a, specRecord(5, { clock: { wall: 5, counter: 1 } })), sealRecord(b, specRecord(5))],
    [sealRecord(b, specRecord(5)), sealRecord(a, specRecord(5))],
    [sealRecord(a, placementRecord(3)), sealRecord(b, placementRecord(2, { sequence: 9 }))],
    [sealRecord(a, placementRecord(1, { fence: { epoch: 2, term: 1 } })), sealRecord(b, placementRecord(9))],
    [sealRecord(a, placementRecord(3, { sequence: 2 })), sealRecord(b, placementRecord(3))],
    [sealRecord(a, instanceRecord(1, { incarnation: 2 })), sealRecord(a, instanceRecord(9))],
    [sealRecord(a, instanceRecord(3)), sealRecord(a, instanceRecord(2))],
  ]
  for (const [high, low] of later) {
    assert.ok(compareRecords(high, low) > 0)
    assert.ok(compareRecords(low, high) < 0)
    assert.equal(compareRecords(high, high), 0)
  }
})

test('the order is total: antisymmetric, transitive, and zero for the same bytes only', () => {
  const spec = fc
    .record({ wall: fc.nat(2), counter: fc.nat(1), content: fc.nat(2), signer: fc.constantFrom(a, b) })
    .map(({ wall, counter, content, signer }) =>
      sealRecord(signer, specRecord(wall, { clock: { wall, counter }, spec: new Uint8Array([content]) })),
    )
  fc.assert(
    fc.property(spec, spec, spec, (x, y, z) => {
      assert.ok(Math.sign(compareRecords(x, y)) + Math.sign(compareRecords(y, x)) === 0)
      if (compareRecords(x, y) <= 0 && compareRecords(y, z) <= 0) assert.ok(compareRecords(x, z) <= 0)
      assert.equal(compareRecords(x, y) === 0, x.bytes.join() === y.bytes.join())
    }),
    { seed: 2 },
  )
})

test('each operator has a slot of its own for a name, each node one for an instance', () => {
  const other = federation.addNode('c', ROOT_DOMAIN, { operator: 'operator-b' as OperatorId })
  assert.equal(slotOf(sealRecord(a, specRecord(1))), slotOf(sealRecord(b, specRecord(2))))
  assert.notEqual(slotOf(sealRecord(a, specRecord(1))), slotOf(sealRecord(other, specRecord(1))))
  assert.equal(slotOf(sealRecord(a, placementRecord(1))), slotOf(sealRecord(other, placementRecord(2))))
  assert.notEqual(slotOf(sealRecord(a, instanceRecord(1))), slotOf(sealRecord(b, instanceRecord(1))))
})
