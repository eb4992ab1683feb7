// The orders that this node came to hold, kept after later ones took their place: who asked, who decided, who accepted,
// and when, each under its signer's signature. What each operator's services were given on whose devices follows from
// them, so both sides can reckon it up from the same signed words.

import type { OperatorId } from '../overlay/kernel/ids.ts'
import { decodeBounded, encodeCbor } from '../overlay/wire/codec.ts'
import type { Sealer } from '../overlay/wire/envelope.ts'
import { decodeSpec, type ServiceSpec } from '../placement/index.ts'
import { isInstance, isPlacement, isSpec, type SealedRecord } from '../services-registry/index.ts'
import type { AuditView, UsageView } from './control.ts'
import { isRunning } from './core/audit.ts'
import type { CoreMessage } from './core/effects.ts'
import type { Disk } from './io/disk.ts'

const PREFIX = 'audit/'
/** Orders that a node keeps; the oldest make room. A guess: some MB, and months of a small federation. */
export const AUDIT_ENTRIES_MAX = 10_000
const NUMBER_DIGITS = 12

export interface AuditEntry {
  /** When this node took it in, by its clock, in ms since 1970. */
  readonly takenInAt: number
  readonly record: SealedRecord
}

export interface AuditLog {
  note(record: SealedRecord): void
  /** In the order in which they were taken in; what cannot be proven any more is left out. */
  entries(): Promise<readonly AuditEntry[]>
}

export async function openAuditLog(
  disk: Pick<Disk, 'scan' | 'write'>,
  sealer: Pick<Sealer<CoreMessage>, 'open'>,
  wall: () => number,
): Promise<AuditLog> {
  const keys = [...(await disk.scan(PREFIX)).keys()]
  let next = Number(keys.at(-1)?.slice(PREFIX.length) ?? -1) + 1
  const keyOf = (number: number): string => `${PREFIX}${String(number).padStart(NUMBER_DIGITS, '0')}`
  const done = (): void => undefined
  return {
    note: ({ bytes }) => {
      disk.write(keyOf(next), encodeCbor([Math.floor(wall()), bytes]), false, done)
      if (next >= AUDIT_ENTRIES_MAX) disk.write(keyOf(next - AUDIT_ENTRIES_MAX), null, false, done)
      next += 1
    },
    entries: async () => {
      const found = await disk.scan(PREFIX)
      return [...found.values()].flatMap((value) => {
        const read = decodeBounded(value)
        const [takenInAt, bytes] = read.ok && Array.isArray(read.value) ? read.value : []
        if (typeof takenInAt !== 'number' || !(bytes instanceof Uint8Array)) return []
        const opened = sealer.open(bytes)
        return opened.ok ? [{ takenInAt, record: opened.value as SealedRecord }] : []
      })
    },
  }
}

const iso = (ms: number): string => new Date(ms).toISOString()

/** The orders of a service, or all, in words. */
export function auditViews(entries: readonly AuditEntry[], service: string | null): readonly AuditView[] {
  return entries
    .filter(({ record }) => service === null || record.message.service === service)
    .map(({ takenInAt, record }) => {
      const { domain, service: of } = record.message
      const by = { node: record.from, operator: record.signer.operator }
      return { at: iso(takenInAt), domain, service: of, ...by, ...stepOf(record) }
    })
}

type Step = Pick<AuditView, 'step' | 'number' | 'signedAt' | 'to' | 'reason'>

function stepOf(record: SealedRecord): Step {
  if (isSpec(record)) {
    const { spec, clock } = record.message
    return { step: spec === null ? 'removed' : 'asked', number: null, signedAt: iso(clock.wall), to: null, reason: '' }
  }
  if (isPlacement(record)) {
    const { number, child, reason } = record.message
    // A placement has no time of its own: its fence and sequence order it.
    return { step: child === null ? 'taken away' : 'decided', number, signedAt: null, to: child, reason }
  }
  if (isInstance(record)) {
    const { number, state, since, live, reason } = record.message
    const step = !live ? 'ended' : isRunning(state) ? 'runs' : 'accepted'
    return { step, number, signedAt: iso(since), to: null, reason }
  }
  return { step: 'decided', number: null, signedAt: null, to: null, reason: '' }
}

interface Run {
  readonly from: number
  readonly spec: ServiceSpec
  readonly operator: OperatorId
  readonly owner: OperatorId
}

/**
 * What each operator's services were given on each operator's devices: cores and memory as their submitters signed for,
 * from when to when the devices signed that they ran. What runs still counts until `now`.
 */
export function usageOf(entries: readonly AuditEntry[], now: number): readonly UsageView[] {
  const sums = new Map<string, UsageView>()
  const runs = new Map<string, Run>()
  const end = (key: string, at: number): void => {
    const run = runs.get(key)
    runs.delete(key)
    if (run === undefined) return
    const seconds = Math.max(0, at - run.from) / 1_000
    const name = `${run.operator} ${run.owner}`
    const before = sums.get(name) ?? { ...NOTHING_USED, operator: run.operator, owner: run.owner }
    sums.set(name, {
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
  return [...sums.values()].sort((a, b) => (`${a.operator} ${a.owner}` < `${b.operator} ${b.owner}` ? -1 : 1))
}

const NOTHING_USED = { instanceSeconds: 0, coreSeconds: 0, gbHours: 0 }

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
