// Orders are kept as they were signed, and what they come to is the same for whoever reckons it up.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { OperatorId } from '../overlay/kernel/ids.ts'
import { ROOT } from '../overlay/kernel/ids.ts'
import { err, ok } from '../overlay/kernel/result.ts'
import { serviceIdOf } from '../placement/index.ts'
import { AUDIT_ENTRIES_MAX, type AuditEntry, auditViews, openAuditLog, usageOf } from './audit-log.ts'
import { createWorld } from './core/world.test-kit.ts'
import { instance, placement, SERVICE, specRecord, specWith } from './fixture-records.ts'

const HOUR = 3_600_000
const theirs = 'theirs' as OperatorId

function memoryDisk() {
  const content = new Map<string, Uint8Array>()
  const scan = async () => new Map([...content].sort(([a], [b]) => (a < b ? -1 : 1)))
  const write = (key: string, value: Uint8Array | null, _sync: boolean, done: () => void): void => {
    if (value === null) content.delete(key)
    else content.set(key, value)
    done()
  }
  return { content, scan, write }
}

test('who asked, who decided and who accepted is told with each one’s signature, over a restart', async () => {
  const disk = memoryDisk()
  const said = [
    specRecord('/', 1),
    placement('/', '/a'),
    instance('pi', '/a', { state: 'starting', sequence: 1 }),
    instance('pi', '/a', { state: 'running', sequence: 2, since: 5_000 }),
    placement('/', null, { sequence: 2 }),
    instance('pi', '/a', { state: 'stopped', sequence: 3, since: 9_000, live: false }),
  ]
  const open = (bytes: Uint8Array) => {
    const found = said.find((one) => Buffer.compare(one.bytes, bytes) === 0)
    return found === undefined ? err({ kind: 'bad-signature' as const, detail: '' }) : ok(found)
  }
  const first = await openAuditLog(disk, { open: open as never }, () => 1_000)
  for (const record of said.slice(0, 3)) first.note(record)
  const second = await openAuditLog(disk, { open: open as never }, () => 2_000)
  for (const record of said.slice(3)) second.note(record)
  second.note({ ...placement('/', '/b'), bytes: new Uint8Array(3) })
  const views = auditViews(await second.entries(), SERVICE)
  assert.deepEqual(
    views.map(({ step, to }) => (to === null ? step : `${step} ${to}`)),
    ['asked', 'decided /a', 'accepted', 'runs', 'taken away', 'ended'],
    'what nobody can prove is not told',
  )
  assert.deepEqual(
    [views[0]?.at, views[5]?.at],
    [1_000, 2_000].map((ms) => new Date(ms).toISOString()),
  )
  assert.equal(views[3]?.signedAt, new Date(5_000).toISOString())
  assert.equal(views[1]?.node, '12D3KooW-leader')
  assert.deepEqual(auditViews(await second.entries(), 'a.b.c.d'), [])
})

test('the oldest orders make room', async () => {
  const disk = memoryDisk()
  const record = specRecord('/', 1)
  const log = await openAuditLog(disk, { open: (() => ok(record)) as never }, () => 1)
  for (let count = 0; count < AUDIT_ENTRIES_MAX + 5; count++) log.note(record)
  assert.equal(disk.content.size, AUDIT_ENTRIES_MAX)
})

test('usage is what was promised while devices signed that it ran, once for each word, whoever passed it on', () => {
  const spec = specRecord('/', 1, { vcpus: 0.5, memoryMb: 2_000 })
  const run = (sequence: number, fields: object) => {
    const record = instance('pi', '/a', { sequence, ...fields })
    return { ...record, signer: { ...record.signer, operator: theirs } }
  }
  const records = [
    spec,
    run(1, { state: 'running', since: 0 }),
    run(1, { state: 'running', since: 0 }),
    run(2, { state: 'unhealthy', since: HOUR }),
    run(3, { state: 'lost', since: 2 * HOUR, live: false }),
  ]
  const entries: AuditEntry[] = records.map((record) => ({ takenInAt: 0, record }))
  const owed = { operator: spec.signer.operator, owner: theirs, instanceSeconds: 7_200, coreSeconds: 3_600, gbHours: 4 }
  assert.deepEqual(usageOf(entries, 9 * HOUR), [owed])
  const [running] = usageOf(entries.slice(0, 2), HOUR)
  assert.equal(running?.instanceSeconds, 3_600, 'what runs still counts until now')
})

test('in a federation each step is kept once by whoever holds the records', () => {
  const world = createWorld([
    ['a1', '/a'],
    ['a2', '/a'],
  ])
  world.run(20_000)
  const spec = specWith(1)
  world.node('a2').host.input({ kind: 'submit', domain: ROOT, service: serviceIdOf(spec), spec })
  world.run(10_000)
  const entries = world.node('a1').audited.map((record) => ({ takenInAt: 0, record }))
  const steps = auditViews(entries, serviceIdOf(spec)).map(({ step, domain }) => `${step} ${domain}`)
  assert.equal(steps.filter((step) => step === 'asked /').length, 1, steps.join())
  for (const wanted of ['decided /', 'decided /a', 'accepted /a', 'runs /a']) assert.ok(steps.includes(wanted), wanted)
  const asked = entries.find(({ record }) => record.message.kind === 'record/spec')
  assert.equal(asked?.record.from, world.node('a2').facts.node)
})
