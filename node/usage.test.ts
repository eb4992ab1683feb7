// What was promised and what was used, reckoned up from signed words.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type OperatorId, ROOT } from '../overlay/kernel/ids.ts'
import { type PolicyFile, serviceIdOf } from '../placement/index.ts'
import { type InstanceRecord, isInstance, type SealedRecord } from '../services-registry/index.ts'
import type { AuditEntry } from './audit-log.ts'
import { createWorld } from './core/world.test-kit.ts'
import { instance, specRecord, specWith } from './fixture-records.ts'
import { usageOf } from './usage.ts'

const HOUR = 3_600_000
const theirs = 'theirs' as OperatorId

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
  const promised = { instanceSeconds: 7_200, coreSeconds: 3_600, gbHours: 4 }
  const nothing = { usedCpuSeconds: 0, usedGbHours: 0, carriedBytes: 0 }
  const owed = { operator: spec.signer.operator, owner: theirs, ...promised, ...nothing }
  assert.deepEqual(usageOf(entries, [], 9 * HOUR), [owed])
  const [running] = usageOf(entries.slice(0, 2), [], HOUR)
  assert.equal(running?.instanceSeconds, 3_600, 'what runs still counts until now')
})

const useOn = (name: string, fields: Partial<InstanceRecord>, cpuMs: number): SealedRecord<InstanceRecord> => {
  const used = { cpuMs, memoryMbSeconds: 3_600_000, carriedBytes: 1_000 }
  const record = instance(name, '/a', { ...fields, used }) as SealedRecord<InstanceRecord>
  return { ...record, signer: { ...record.signer, operator: theirs } }
}

test('what was used is the sum of what each device signed, over starts of its node and instances', () => {
  const spec = specRecord('/', 2)
  const uses = [useOn('pi', {}, 1_500), useOn('pi', { incarnation: 2 }, 500), useOn('pa', { number: 1 }, 2_000)]
  const [sum, ...more] = usageOf([{ takenInAt: 0, record: spec }], uses, HOUR)
  assert.deepEqual(more, [])
  assert.deepEqual([sum?.operator, sum?.owner], [spec.signer.operator, theirs])
  assert.deepEqual([sum?.usedCpuSeconds, sum?.usedGbHours, sum?.carriedBytes], [4, 3, 3_000])
  assert.deepEqual(usageOf([], uses, HOUR), [], 'nobody knows whose services these are')
})

test('owner and guest come to the same sums, from records that the device signed', () => {
  const world = createWorld([
    ['a1', '/a'],
    ['b1', '/b', 'theirs'],
  ])
  world.run(40_000)
  const policy: PolicyFile = { rules: [{ runtimes: ['process'] }] }
  world.node('b1').host.input({ kind: 'policy', version: 1, statement: 'version 1', policy })
  const clusters = { kind: 'clusters' as const, node: null, cluster: null, clusters: ['/b'] }
  const spec = { ...specWith(1), constraints: [clusters] }
  const service = serviceIdOf(spec)
  world.node('a1').host.input({ kind: 'submit', domain: ROOT, service, spec })
  world.run(60_000)
  const key = `${service}#0` as const
  const used = { cpuMs: 2_000, memoryMbSeconds: 7_200_000, carriedBytes: 50 }
  world.node('b1').host.input({ kind: 'used', key: key as never, used, isLast: true })
  world.run(10_000)
  const sums = ['a1', 'b1'].map((name) => {
    const { audited, uses } = world.node(name)
    const entries: AuditEntry[] = audited.map((record) => ({ takenInAt: 0, record }))
    return usageOf(entries, uses.filter(isInstance).slice(-1), HOUR)
  })
  assert.deepEqual(sums[0], sums[1])
  const [sum] = sums[0] ?? []
  assert.notEqual(sum?.operator, sum?.owner)
  assert.deepEqual([sum?.usedCpuSeconds, sum?.usedGbHours, sum?.carriedBytes], [2, 2, 50])
})
