// The orders that this node came to hold, kept after later ones took their place: who asked, who decided, who accepted,
// and when, each under its signer's signature; and of what each instance used, the last that its device signed.

import { decodeBounded, encodeCbor } from '../overlay/wire/codec.ts'
import type { Sealer } from '../overlay/wire/envelope.ts'
import { type InstanceRecord, isInstance, isPlacement, isSpec, type SealedRecord } from '../services-registry/index.ts'
import type { AuditView } from './control.ts'
import { isRunning } from './core/audit.ts'
import type { CoreMessage } from './core/effects.ts'
import type { Disk } from './io/disk.ts'

const PREFIX = 'audit/'
const USE_PREFIX = 'use/'
/** Orders that a node keeps; the oldest make room. A guess: some MB, and months of a small federation. */
export const AUDIT_ENTRIES_MAX = 10_000
/** Last words on what was used; of those that were there at the start some, then the oldest make room. A guess. */
export const USES_KEPT_MAX = 10_000
const NUMBER_DIGITS = 12

export interface AuditEntry {
  /** When this node took it in, by its clock, in ms since 1970. */
  readonly takenInAt: number
  readonly record: SealedRecord
}

export interface AuditLog {
  /** `isStep` where it is an order or what became of one, and not only a later word on what was used. */
  note(record: SealedRecord, isStep: boolean): void
  /** The last word of each device on what each instance used, a start of its node each. */
  uses(): Promise<readonly SealedRecord<InstanceRecord>[]>
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
  const useKeys = new Set((await disk.scan(USE_PREFIX)).keys())
  const noteUse = (record: SealedRecord): void => {
    if (!isInstance(record) || record.message.used === undefined) return
    const { service, number, incarnation } = record.message
    const key = `${USE_PREFIX}${service}#${number} ${record.from} ${incarnation}`
    useKeys.delete(key)
    const [oldest] = useKeys.add(key)
    disk.write(key, record.bytes, false, done)
    if (useKeys.size <= USES_KEPT_MAX || oldest === undefined) return
    useKeys.delete(oldest)
    disk.write(oldest, null, false, done)
  }
  return {
    note: (record, isStep) => {
      noteUse(record)
      if (!isStep) return
      const { bytes } = record
      disk.write(keyOf(next), encodeCbor([Math.floor(wall()), bytes]), false, done)
      if (next >= AUDIT_ENTRIES_MAX) disk.write(keyOf(next - AUDIT_ENTRIES_MAX), null, false, done)
      next += 1
    },
    uses: async () => {
      const found = await disk.scan(USE_PREFIX)
      return [...found.values()].flatMap((bytes) => {
        const opened = sealer.open(bytes)
        const record = opened.ok ? (opened.value as SealedRecord) : null
        return record !== null && isInstance(record) ? [record] : []
      })
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
