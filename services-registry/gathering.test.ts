// Records on their way out: one alone at once, many together, none forgotten and none for long.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { GOSSIP_BREATH_MS, GOSSIP_BURST, GOSSIP_GATHER_MS, PIECE_BYTES_MAX } from './constants.ts'
import { createGathering, type PublishTogether, step, wakeAt } from './gathering.ts'
import type { SealedRecord } from './record.ts'
import {
  BERLIN,
  contextAt,
  createFederation,
  instanceRecord,
  MUNICH,
  ROOT_DOMAIN,
  START_WALL,
  sealRecord,
  specRecord,
} from './record-fixtures.ts'
import { slotOf } from './version.ts'

const federation = createFederation()
const node = federation.addNode('a', BERLIN)
const other = federation.addNode('b', MUNICH)

interface Said extends PublishTogether {
  readonly at: number
}

/** Hands records over at their moments, wakes the machine when it wants to be woken, and notes what it says. */
function said(given: readonly { readonly at: number; readonly record: SealedRecord }[]): readonly Said[] {
  const state = createGathering()
  const published: Said[] = []
  const note = (at: number, effects: readonly PublishTogether[]): void => {
    for (const effect of effects) published.push({ ...effect, at })
  }
  const wakeUntil = (moment: number): void => {
    for (let due = wakeAt(state); due !== null && due <= moment; due = wakeAt(state)) {
      note(due, step(state, { kind: 'wake' }, contextAt(due)).effects)
      assert.notEqual(wakeAt(state), due, 'what is due is done when it is woken')
    }
  }
  for (const { at, record } of given) {
    wakeUntil(at)
    note(at, step(state, { kind: 'record', domain: ROOT_DOMAIN, opened: record }, contextAt(at)).effects)
  }
  wakeUntil(Number.POSITIVE_INFINITY)
  return published
}

const running = (number: number, sequence = 1, by = node): SealedRecord =>
  sealRecord(by, instanceRecord(sequence, { number }))

test('a record goes at once, and so do the next few', () => {
  const given = Array.from({ length: GOSSIP_BURST }, (_, index) => ({ at: 5 * index, record: running(index) }))
  assert.deepEqual(
    said(given).map(({ at, records }) => [at, records.length]),
    given.map(({ at }) => [at, 1]),
  )
})

test('what is written in one go is two messages: the first record, and all others a breath later', () => {
  const given = Array.from({ length: 100 }, (_, number) => ({ at: 7, record: running(number) }))
  assert.deepEqual(
    said(given).map(({ at, records }) => [at, records.length]),
    [
      [7, 1],
      [7 + GOSSIP_BREATH_MS, 99],
    ],
  )
})

test('of versions of one record that nobody has heard of yet only the latest goes', () => {
  const given = [running(0), running(1, 1), running(1, 3), running(1, 2)].map((record) => ({ at: 0, record }))
  const later = said(given).slice(1)
  assert.deepEqual(
    later.flatMap(({ records }) => records.map(({ bytes }) => bytes)),
    [given[2]?.record.bytes],
  )
})

test('a message is of one signer and fits a piece', () => {
  const spec = (wall: number) => sealRecord(node, specRecord(wall, { spec: new Uint8Array(PIECE_BYTES_MAX / 3) }))
  const mixed = [running(0), running(1), running(2, 1, other), running(3, 1, other), running(4)]
  const large = Array.from({ length: 9 }, (_, index) => spec(START_WALL + index))
  const given = [...mixed, ...large].map((record) => ({ at: 0, record }))
  for (const { records } of said(given)) {
    assert.equal(new Set(records.map(({ from }) => from)).size, 1)
    assert.ok(records.reduce((sum, { bytes }) => sum + bytes.length, 0) <= PIECE_BYTES_MAX)
  }
})

test('whatever comes when, the latest of each is said soon, in messages by the time and not by the number', () => {
  const arrival = fc.record({ at: fc.nat(1_000), number: fc.nat(300), sequence: fc.nat(5) })
  fc.assert(
    fc.property(fc.array(arrival, { minLength: 1, maxLength: 400 }), (arrivals) => {
      const given = arrivals
        .sort((a, b) => a.at - b.at)
        .map(({ at, number, sequence }) => ({ at, record: running(number, sequence) }))
      const published = said(given)
      const latest = new Map<string, { readonly at: number; readonly sequence: number }>()
      for (const [index, { at, record }] of given.entries()) {
        const sequence = arrivals[index]?.sequence ?? 0
        if (sequence > (latest.get(slotOf(record))?.sequence ?? -1)) latest.set(slotOf(record), { at, sequence })
      }
      for (const [slot, { at, sequence }] of latest) {
        const heard = published.find(({ records }) =>
          records.some((one) => slotOf(one) === slot && 'sequence' in one.message && one.message.sequence === sequence),
        )
        assert.ok(heard !== undefined && heard.at - at <= GOSSIP_GATHER_MS, `${slot} of ${at} ms`)
      }
      const bytes = given.reduce((sum, { record }) => sum + record.bytes.length, 0)
      const bound = GOSSIP_BURST + 1_000 / GOSSIP_GATHER_MS + 1 + (2 * bytes) / PIECE_BYTES_MAX
      assert.ok(published.length <= bound, `${published.length} messages for ${given.length} records`)
    }),
    { seed: 20261122, numRuns: 50 },
  )
})
