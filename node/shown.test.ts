// Of what a node keeps of orders and use, what its people are told.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { OperatorId, ServiceId } from '../overlay/kernel/ids.ts'
import type { SealedRecord } from '../services-registry/index.ts'
import type { CoreView } from './core/core-view.ts'
import { factsOf } from './core/world.test-kit.ts'
import { instance, placement, SERVICE, specRecord } from './fixture-records.ts'
import { shownServices } from './shown.ts'

const theirs = 'theirs' as OperatorId

/** The services told of to a node of /b, of an operator that has none of its own. */
function told(...records: readonly SealedRecord[]): readonly ServiceId[] {
  const view = { self: { ...factsOf('b1', '/b'), operator: theirs } } as unknown as CoreView
  const entries = records.map((record) => ({ takenInAt: 0, record }))
  return [...shownServices(view, entries, [])]
}
const by = (record: SealedRecord, operator: OperatorId): SealedRecord => ({
  ...record,
  signer: { ...record.signer, operator },
})

test('orders of others are told of where they concern this operator, and nowhere else', () => {
  assert.deepEqual(told(specRecord('/', 1), placement('/', '/a'), instance('a1', '/a')), [])
  assert.deepEqual(told(by(specRecord('/', 1), theirs)), [SERVICE], 'its own')
  assert.deepEqual(told(specRecord('/', 1), placement('/', '/b')), [SERVICE], 'placed in its cluster')
})

test('what ran on this operator’s devices is told of also when it is over', () => {
  const ended = instance('b1', '/b', { live: false, state: 'stopped' })
  assert.deepEqual(told(specRecord('/', 1), by(ended, theirs)), [SERVICE])
})
