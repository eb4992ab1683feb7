// What each operator's services were given on each operator's devices, and what they used there. Both follow from
// signed words alone, so whoever holds the same ones comes to the same sums, the owner and the guest.

import type { OperatorId, ServiceId } from '../overlay/kernel/ids.ts'
import { decodeSpec, type ServiceSpec } from '../placement/index.ts'
import { type InstanceRecord, isInstance, isSpec, type SealedRecord } from '../services-registry/index.ts'
import type { AuditEntry } from './audit-log.ts'
import type { UsageView } from './control.ts'
import { isRunning } from './core/audit.ts'

interface Run {
  readonly from: number
  readonly spec: ServiceSpec
  readonly operator: OperatorId
  readonly owner: OperatorId
}

/**
 * Promised: cores and memory as their submitters signed for, from when to when the devices signed that they ran; what
 * runs still counts until `now`. Used: as the devices signed it, which of what runs is up to an hour old.
 */
export function usageOf(
  entries: readonly AuditEntry[],
  uses: readonly SealedRecord<InstanceRecord>[],
  now: number,
): readonly UsageView[] {
  const sums = new Map<string, UsageView>()
  const sumOf = (operator: OperatorId, owner: OperatorId): UsageView =>
    sums.get(`${operator} ${owner}`) ?? { ...NOTHING_USED, operator, owner }
  const runs = new Map<string, Run>()
  const end = (key: string, at: number): void => {
    const run = runs.get(key)
    runs.delete(key)
    if (run === undefined) return
    const seconds = Math.max(0, at - run.from) / 1_000
    const before = sumOf(run.operator, run.owner)
    sums.set(`${run.operator} ${run.owner}`, {
      ...before,
      instanceSeconds: before.instanceSeconds + seconds,
      coreSeconds: before.coreSeconds + seconds * run.spec.vcpus,
      gbHours: before.gbHours + ((seconds / 3_600) * run.spec.memoryMb) / 1_000,
    })
  }
  const specs = specsIn(entries)
  const seen = new Set<string>()
  for (const { record } of entries) {
    if (!isInstance(record)) continue
    const { service, number, state, since, live, specClock, incarnation } = record.message
    const key = `${service}#${number} ${record.from}`
    // The same word may have been taken in for two domains.
    const word = `${key} ${incarnation} ${record.message.sequence}`
    if (seen.has(word)) continue
    seen.add(word)
    end(key, since)
    const submitted = specs.get(`${service} ${specClock.wall} ${specClock.counter}`)
    if (!live || !isRunning(state) || submitted === undefined) continue
    runs.set(key, { ...submitted, from: since, owner: record.signer.operator })
  }
  for (const key of [...runs.keys()]) end(key, now)
  const owners = new Map<ServiceId, OperatorId>()
  for (const { record } of entries) if (isSpec(record)) owners.set(record.message.service, record.signer.operator)
  for (const { message, signer } of uses) {
    const operator = owners.get(message.service)
    if (operator === undefined || message.used === undefined) continue
    const before = sumOf(operator, signer.operator)
    const { cpuMs, memoryMbSeconds, carriedBytes } = message.used
    sums.set(`${operator} ${signer.operator}`, {
      ...before,
      usedCpuSeconds: before.usedCpuSeconds + cpuMs / 1_000,
      usedGbHours: before.usedGbHours + memoryMbSeconds / 3_600_000,
      carriedBytes: before.carriedBytes + carriedBytes,
    })
  }
  return [...sums.values()].sort((a, b) => (`${a.operator} ${a.owner}` < `${b.operator} ${b.owner}` ? -1 : 1))
}

const NOTHING_USED = {
  instanceSeconds: 0,
  coreSeconds: 0,
  gbHours: 0,
  usedCpuSeconds: 0,
  usedGbHours: 0,
  carriedBytes: 0,
}

function specsIn(entries: readonly AuditEntry[]): ReadonlyMap<string, Pick<Run, 'spec' | 'operator'>> {
  const specs = new Map<string, Pick<Run, 'spec' | 'operator'>>()
  for (const { record } of entries) {
    if (!isSpec(record) || record.message.spec === null) continue
    const { service, clock, spec: bytes } = record.message
    const spec = decodeSpec(bytes)
    const { operator } = record.signer
    if (spec.ok) specs.set(`${service} ${clock.wall} ${clock.counter}`, { spec: spec.value, operator })
  }
  return specs
}
