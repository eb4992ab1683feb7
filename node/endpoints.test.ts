// Which instances take calls, from what is said of them.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { DomainPath } from '../overlay/kernel/ids.ts'
import type { SealedRecord } from '../services-registry/index.ts'
import { endpointOn, endpointsOf } from './endpoints.ts'
import { idOf, instance, placement } from './fixture-records.ts'

const nobody = (): boolean => false
const shown = (records: readonly SealedRecord[], isGone: (node: string) => boolean = nobody): readonly string[] =>
  endpointsOf(records, isGone).map(({ number, node }) => `#${number} ${node.slice(9)}`)

test('an instance takes calls when its node says that it runs and a placement says that it shall', () => {
  assert.deepEqual(shown([instance('n1', '/a'), placement('/a', idOf('n1'))]), ['#0 n1'])
  assert.deepEqual(shown([instance('n1', '/a')]), [])
  assert.deepEqual(shown([placement('/a', idOf('n1'))]), [])
  assert.deepEqual(shown([instance('n1', '/a'), placement('/a', idOf('n2'))]), [])
  assert.deepEqual(shown([instance('n1', '/a'), placement('/a', null)]), [])
})

test('the root’s placement on a cluster is enough for whoever sees only the root’s records', () => {
  assert.deepEqual(shown([instance('n1', '/a'), placement('/', '/a')]), ['#0 n1'])
  assert.deepEqual(shown([instance('n1', '/b'), placement('/', '/a')]), [])
})

test('an instance that does not run, or was given up, takes no calls', () => {
  const order = placement('/a', idOf('n1'))
  for (const state of ['starting', 'pulling', 'stopping', 'failed', 'unhealthy'] as const) {
    assert.deepEqual(shown([instance('n1', '/a', { state }), order]), [], state)
  }
  assert.deepEqual(shown([instance('n1', '/a', { live: false }), order]), [])
  assert.deepEqual(shown([instance('n1', '/a', { endpoint: null }), order]), [])
})

test('instances of a node that is known to be gone take no calls', () => {
  const records = [instance('n1', '/a'), placement('/a', idOf('n1'))]
  assert.deepEqual(
    shown(records, (node) => node === idOf('n1')),
    [],
  )
})

test('where two nodes of a cluster claim one number the later order wins', () => {
  const later = { fence: { epoch: 1, term: 2 }, since: 500 }
  const records = [instance('n1', '/a', { since: 900 }), instance('n2', '/a', later), placement('/', '/a')]
  assert.deepEqual(shown(records), ['#0 n2'])
})

test('where two clusters claim one number, the copy that started later wins: their fences do not compare', () => {
  const records = [
    instance('n1', '/a', { fence: { epoch: 9, term: 9 }, since: 500 }),
    instance('n2', '/b', { fence: { epoch: 1, term: 1 }, since: 900 }),
    placement('/', '/a'),
    placement('/', '/b', { sequence: 2 }),
  ]
  assert.deepEqual(shown(records), ['#0 n2'])
})

test('one copy that is in several stores is one endpoint, and the endpoints are in the order of their numbers', () => {
  const records = [
    instance('n2', '/a', { number: 1 }),
    instance('n1', '/a'),
    instance('n1', '/a'),
    placement('/', '/a'),
    placement('/', '/a', { number: 1 }),
  ]
  assert.deepEqual(shown(records), ['#0 n1', '#1 n2'])
})

test('while an instance is moved calls go to its new place as soon as it runs there, whoever started later', () => {
  const order = placement('/a', idOf('n2'), { previous: idOf('n1') })
  const old = instance('n1', '/a', { since: 900 })
  assert.deepEqual(shown([old, order, placement('/', '/a')]), ['#0 n1'])
  assert.deepEqual(shown([old, instance('n2', '/a', { state: 'starting' }), order]), ['#0 n1'])
  assert.deepEqual(shown([old, instance('n2', '/a', { since: 500 }), order, placement('/', '/a')]), ['#0 n2'])
  assert.deepEqual(shown([old, placement('/a', idOf('n2'))]), [], 'who is no longer named takes no calls')
})

test('a cluster that an instance leaves is asked only until it runs in the other', () => {
  const above = placement('/', '/b', { previous: '/a' as DomainPath })
  const records = [instance('n1', '/a', { since: 900 }), placement('/a', idOf('n1')), above]
  assert.deepEqual(shown(records), ['#0 n1'])
  assert.deepEqual(shown([...records, instance('n2', '/b', { since: 500 })]), ['#0 n2'])
})

test('a device serves its own copy until it stops it, also when callers are sent elsewhere by now', () => {
  const records = [instance('n1', '/a'), instance('n2', '/a'), placement('/a', idOf('n2'), { previous: idOf('n1') })]
  assert.equal(endpointOn(records, idOf('n1'), 0)?.node, idOf('n1'))
  assert.equal(endpointOn(records, idOf('n1'), 1), undefined)
})
