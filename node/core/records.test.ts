// The stores of one node, as domains come and go that it holds.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createLeaderBook } from '../../election/index.ts'
import { type DomainPath, nodeId, ROOT, serviceId } from '../../overlay/kernel/ids.ts'
import { seededRandom } from '../../overlay/kernel/random.ts'
import type { UnixMillis } from '../../overlay/kernel/time.ts'
import type { Opened, SignerFacts } from '../../overlay/wire/envelope.ts'
import type { SpecRecord } from '../../services-registry/record.ts'
import { instance } from '../fixture-records.ts'
import { createRecords, type RecordNews } from './records.ts'
import { factsOf } from './world.test-kit.ts'

const A = '/eu/a' as DomainPath
const EU = '/eu' as DomainPath
const WEB = serviceId('shop.prod.web.prod')
const CONTEXT = { now: 1, wall: 1_790_000_000_000 as UnixMillis, random: seededRandom(1) }

const createSubject = () =>
  createRecords({
    self: factsOf('a1', A),
    preset: 'lan',
    book: createLeaderBook(),
    loaded: new Map(),
    members: () => [],
    leads: () => false,
  })

function specOf(signer: SignerFacts): Opened<SpecRecord> {
  const clock = { wall: CONTEXT.wall, counter: 0 }
  const message: SpecRecord = { kind: 'record/spec', domain: ROOT, service: WEB, clock, spec: new Uint8Array([1]) }
  return { from: signer.node, signer, message, bytes: new Uint8Array([1]) }
}

test('every store that is opened at once hears who is connected', () => {
  const records = createSubject()
  const peer = nodeId('peer')
  records.hold([A, EU, ROOT], [peer], CONTEXT, [], [])
  for (const domain of [A, EU, ROOT]) assert.deepEqual([...(records.store(domain)?.connected ?? [])], [peer], domain)
})

test('a store that was given up and is opened again goes on with what it held, not with what the start found', () => {
  const records = createSubject()
  records.hold([A, ROOT], [], CONTEXT, [], [])
  records.onRecord(specOf(factsOf('b1', '/b')), ROOT, nodeId('12D3KooW-b1'), CONTEXT, [], [])
  records.hold([A], [], CONTEXT, [], [])
  assert.equal(records.view(ROOT), null)
  records.hold([A, ROOT], [], CONTEXT, [], [])
  assert.notEqual(records.view(ROOT)?.spec(WEB) ?? null, null)
})

test('the revision of the specs grows when another one may count, and not with what nodes report', () => {
  const records = createSubject()
  records.hold([A, ROOT], [], CONTEXT, [], [])
  const opened = records.specRevision()
  const signer = factsOf('b1', '/b')
  const [spec, report] = [specOf(signer), instance('b1', '/b', { service: WEB })]
  records.onRecord(spec, ROOT, signer.node, CONTEXT, [], [])
  const known = records.specRevision()
  assert.ok(known > opened)
  const news: RecordNews[] = []
  records.onRecord(report, ROOT, signer.node, CONTEXT, [], news)
  assert.equal(news.length, 1)
  assert.equal(records.specRevision(), known)
  records.hold([A], [], CONTEXT, [], [])
  assert.ok(records.specRevision() > known)
})
