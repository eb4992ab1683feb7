// Who may say what, kind by kind, and each refusal with its code.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type DomainPath, nodeId, type OperatorId, serviceId } from '../overlay/kernel/ids.ts'
import { type Arrival, authorize, isServiceId, type RefusalCode } from './authority.ts'
import { CLOCK_AHEAD_MS_MAX, RECORD_BYTES_MAX } from './constants.ts'
import type { SealedRecord, SpecRecord } from './record.ts'
import {
  BERLIN,
  createFederation,
  createTestLeaders,
  instanceRecord,
  MUNICH,
  placementRecord,
  ROOT_DOMAIN,
  rolloutRecord,
  START_WALL,
  sealRecord,
  specRecord,
} from './record-fixtures.ts'
import { CLOCK_ZERO } from './version.ts'

const federation = createFederation()
const node = federation.addNode('a', BERLIN)
const sameOperator = federation.addNode('b', MUNICH)
const otherOperator = federation.addNode('c', BERLIN, { operator: 'operator-b' as OperatorId })
const plain = federation.addNode('d', BERLIN, { capabilities: [] })

const now: Arrival = { wall: START_WALL, atTheDoor: true }
const view = (held: SealedRecord<SpecRecord> | null = null, domain: DomainPath = ROOT_DOMAIN) => ({
  domain,
  leaders: createTestLeaders({ 1: nodeId('a') }).book,
  clock: CLOCK_ZERO,
  spec: () => held,
})
const refused = (code: RefusalCode) => ({ refused: code })

test('any member with the right to the namespaces may submit to any domain', () => {
  assert.equal(authorize(sealRecord(node, specRecord(START_WALL)), view(), now), 'accept')
  const narrow = federation.addNode('e', MUNICH, { capabilities: ['deploy:prod'] })
  assert.equal(authorize(sealRecord(narrow, specRecord(START_WALL)), view(), now), 'accept')
  const elsewhere = specRecord(START_WALL, { service: serviceId('shop.prod.web.test') })
  assert.deepEqual(authorize(sealRecord(narrow, elsewhere), view(), now), refused('no-capability'))
  assert.deepEqual(authorize(sealRecord(plain, specRecord(START_WALL)), view(), now), refused('no-capability'))
})

test('a spec for another domain does not belong here', () => {
  const record = sealRecord(node, specRecord(START_WALL, { domain: MUNICH }))
  assert.deepEqual(authorize(record, view(), now), refused('wrong-domain'))
})

test('a service of another operator is refused at the door, and one of the same operator is updated', () => {
  const held = sealRecord(node, specRecord(START_WALL - 5))
  assert.equal(authorize(sealRecord(sameOperator, specRecord(START_WALL)), view(held), now), 'accept')
  const foreign = sealRecord(otherOperator, specRecord(START_WALL))
  assert.deepEqual(authorize(foreign, view(held), now), refused('not-owner'))
  const removed = sealRecord(node, specRecord(START_WALL - 5, { spec: null }))
  assert.equal(authorize(foreign, view(removed), now), 'accept')
  assert.equal(authorize(foreign, view(held), { ...now, atTheDoor: false }), 'accept')
})

test('what was signed after the credential had expired is refused, what was signed before stays good', () => {
  const expired = federation.addNode('f', BERLIN, { expiresAt: START_WALL - 10 })
  assert.deepEqual(authorize(sealRecord(expired, specRecord(START_WALL)), view(), now), refused('expired'))
  assert.equal(authorize(sealRecord(expired, specRecord(START_WALL - 10)), view(), now), 'accept')
})

test('a clock far ahead is refused', () => {
  const record = sealRecord(node, specRecord(START_WALL + CLOCK_AHEAD_MS_MAX + 1))
  assert.deepEqual(authorize(record, view(), now), refused('clock-ahead'))
})

test('a placement needs the proven leader of its fence, waits without proof, is refused from others', () => {
  assert.equal(authorize(sealRecord(node, placementRecord(1)), view(), now), 'accept')
  assert.equal(authorize(sealRecord(node, placementRecord(2)), view(), now), 'wait')
  assert.deepEqual(authorize(sealRecord(sameOperator, placementRecord(1)), view(), now), refused('not-leader'))
  const elsewhere = sealRecord(node, placementRecord(1, { domain: BERLIN }))
  assert.deepEqual(authorize(elsewhere, view(), now), refused('wrong-domain'))
})

test('how far a version has come is said by the proven leader alone, as placements are', () => {
  assert.equal(authorize(sealRecord(node, rolloutRecord(1)), view(), now), 'accept')
  assert.equal(authorize(sealRecord(node, rolloutRecord(2)), view(), now), 'wait')
  assert.deepEqual(authorize(sealRecord(sameOperator, rolloutRecord(1)), view(), now), refused('not-leader'))
})

test('an instance is reported by a working node of the cluster it names, to that cluster and all above', () => {
  const record = sealRecord(node, instanceRecord(1))
  assert.equal(authorize(record, view(null, BERLIN), now), 'accept')
  assert.equal(authorize(record, view(null, ROOT_DOMAIN), now), 'accept')
  assert.deepEqual(authorize(record, view(null, MUNICH), now), refused('wrong-domain'))
  assert.deepEqual(authorize(sealRecord(sameOperator, instanceRecord(1)), view(), now), refused('wrong-cluster'))
  assert.deepEqual(authorize(sealRecord(plain, instanceRecord(1)), view(), now), refused('no-capability'))
})

test('what is too large or has no name is refused before anything else', () => {
  const large = { ...sealRecord(node, specRecord(START_WALL)), bytes: new Uint8Array(RECORD_BYTES_MAX + 1) }
  assert.deepEqual(authorize(large, view(), now), refused('too-large'))
  const nameless = sealRecord(node, specRecord(START_WALL, { service: serviceId('shop/../x') }))
  assert.deepEqual(authorize(nameless, view(), now), refused('bad-name'))
  assert.ok(isServiceId('a.b-1.c.d'))
  for (const name of [
    '',
    'a.b.c',
    'a.b.c.d.e',
    'A.b.c.d',
    '-a.b.c.d',
    'a.b.c#1.d',
    'a.b..d',
    `${'x'.repeat(64)}.b.c.d`,
  ]) {
    assert.equal(isServiceId(name), false, name)
  }
})
