// Orders are kept as they were signed, and what they come to is the same for whoever reckons it up.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ROOT } from '../overlay/kernel/ids.ts'
import { err, ok } from '../overlay/kernel/result.ts'
import { serviceIdOf } from '../placement/index.ts'
import { AUDIT_ENTRIES_MAX, auditViews, openAuditLog, USES_KEPT_MAX } from './audit-log.ts'
import { createWorld } from './core/world.test-kit.ts'
import { instance, placement, SERVICE, specRecord, specWith } from './fixture-records.ts'

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
  for (const record of said.slice(0, 3)) first.note(record, true)
  const second = await openAuditLog(disk, { open: open as never }, () => 2_000)
  for (const record of said.slice(3)) second.note(record, true)
  second.note({ ...placement('/', '/b'), bytes: new Uint8Array(3) }, true)
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

const used = (name: string, incarnation: number, sequence: number, cpuMs: number) =>
  instance(name, '/a', { incarnation, sequence, used: { cpuMs, memoryMbSeconds: 0, carriedBytes: 0 } })

test('the oldest orders make room', async () => {
  const disk = memoryDisk()
  const record = specRecord('/', 1)
  const log = await openAuditLog(disk, { open: (() => ok(record)) as never }, () => 1)
  for (let count = 0; count < AUDIT_ENTRIES_MAX + 5; count++) log.note(record, true)
  assert.equal(disk.content.size, AUDIT_ENTRIES_MAX)
})

test('of what an instance used only the last word of each start of its node is kept, and it is no order', async () => {
  const disk = memoryDisk()
  const said = [
    used('pi', 1, 1, 5),
    used('pi', 1, 2, 9),
    used('pi', 2, 1, 3),
    instance('pi', '/a', { state: 'stopped', live: false }),
  ]
  const open = (bytes: Uint8Array) => ok(said.find((one) => Buffer.compare(one.bytes, bytes) === 0))
  const log = await openAuditLog(disk, { open: open as never }, () => 1)
  for (const record of said) log.note(record, false)
  const kept = (await log.uses()).map(({ message }) => [message.incarnation, message.used?.cpuMs])
  assert.deepEqual(kept, [
    [1, 9],
    [2, 3],
  ])
  assert.deepEqual(await log.entries(), [])
  const later = await openAuditLog(disk, { open: open as never }, () => 1)
  for (let start = 3; start < USES_KEPT_MAX + 8; start++) later.note(used('pi', start, 1, 1), false)
  assert.equal(disk.content.size, USES_KEPT_MAX)
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
