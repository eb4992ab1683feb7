// What goes along to another federation: the services that this node holds records of. Records are signed for one
// federation, so a specification is signed again there: it is the same version, and whatever runs of it stays.
// Orders are not taken along; leaders there give their own.

import type { OperatorId } from '../../overlay/kernel/ids.ts'
import { err, type Result } from '../../overlay/kernel/result.ts'
import type { UnixMillis } from '../../overlay/kernel/time.ts'
import { decodeBounded } from '../../overlay/wire/codec.ts'
import { encodeWith, readWith } from '../../overlay/wire/schema.ts'
import { decodeSpec, specIdOf } from '../../placement/index.ts'
import {
  type Clock,
  compareClocks,
  RUNS_MAX,
  type SealedRecord,
  type SpecRecord,
  type StoreView,
  specSchema,
} from '../../services-registry/index.ts'
import { claimOf, versionOf } from '../../services-registry/version.ts'

/** Under this in the node's store stands what is yet to be submitted in the new federation. */
export const CARRIED_PREFIX = 'carried/'
/** Of a record without its envelope: what is signed has to fit RECORD_BYTES_MAX (40,000) with it. */
const CARRIED_BYTES_MAX = 38_000

/** An order's time is in whole seconds. */
const ORDER_RESOLUTION_MS = 1_000

export const carriedKey = ({ domain, service }: SpecRecord): string => `${CARRIED_PREFIX}${domain}//${service}`
export const encodeCarried = (record: SpecRecord): Uint8Array => encodeWith(specSchema, record)
export function decodeCarried(bytes: Uint8Array): Result<SpecRecord, string> {
  const raw = decodeBounded(bytes)
  return raw.ok ? readWith(specSchema, raw.value, () => err('no envelope belongs here')) : err(raw.error.detail)
}

/** The operator's services, as they are to be submitted there; what is over for good is left behind. */
export function carriedSpecs(
  stores: readonly StoreView[],
  waiting: readonly SealedRecord[],
  operator: OperatorId,
  orderedAt: UnixMillis,
): readonly SpecRecord[] {
  const carried = new Map<string, SpecRecord>()
  const isOurs = ({ signer }: SealedRecord): boolean => signer.operator === operator
  for (const store of stores) {
    for (const record of store.specs()) {
      const spec = isOurs(record) ? carriedSpec(record.message, store) : null
      if (spec !== null) carried.set(carriedKey(spec), spec)
    }
  }
  for (const { message, ...sealed } of waiting) {
    if (message.kind !== 'record/spec' || !isOurs({ message, ...sealed })) continue
    const known = carried.get(carriedKey(message))
    if (known === undefined || compareClocks(message.clock, known.clock) > 0) carried.set(carriedKey(message), message)
  }
  return [...carried.values()].map((record) => asOf(record, orderedAt))
}

/**
 * The same version, with a clock after whatever was removed there before: a name that was given up for this one is
 * free. All devices reckon the same clock, so it is one record, whoever submits it.
 */
function asOf(record: SpecRecord, orderedAt: UnixMillis): SpecRecord {
  const wall = Math.max(record.clock.wall, orderedAt + ORDER_RESOLUTION_MS)
  return {
    ...record,
    clock: { wall, counter: record.clock.counter },
    version: versionOf(record),
    claimed: claimOf(record),
  }
}

function carriedSpec(record: SpecRecord, store: StoreView): SpecRecord | null {
  const version = goingOn(record, store)
  const decoded = version === null ? null : decodeSpec(version.spec)
  if (version === null || decoded === null || !decoded.ok || isOver(record, store)) return null
  const id = specIdOf(decoded.value)
  const isThisVersion = (number: number, clock: Clock): boolean =>
    compareClocks(clock, version.clock) === 0 || store.placement(record.service, number)?.message.specId === id
  const runs = store
    .instances(record.service)
    .filter(({ message }) => message.live && isThisVersion(message.number, message.specClock))
    .map(({ from, message }) => ({ number: message.number, domain: message.domain, node: from }))
  return fitting({ ...record, spec: version.spec, ...(runs.length > 0 && { runs: runs.slice(0, RUNS_MAX) }) })
}

/** The newest version, or the one that was gone back to: that it failed is said by a record that stays behind. */
function goingOn(record: SpecRecord, store: StoreView): { readonly clock: Clock; readonly spec: Uint8Array } | null {
  const { spec, clock, previous } = record
  if (store.rollout(record.service)?.message.state === 'rolled-back' && previous !== undefined) return previous
  return spec === null ? null : { clock, spec }
}

/** A job of which every instance has ended would run again, for how it ended is said by an order. */
function isOver({ service }: SpecRecord, store: StoreView): boolean {
  const placed = store.placements(service)
  return placed.length > 0 && placed.every(({ message }) => message.outcome !== undefined)
}

/** Without the way back, and then without the hints, where all of it is too much for one record. */
function fitting(record: SpecRecord): SpecRecord {
  if (encodeCarried(record).length <= CARRIED_BYTES_MAX) return record
  const { previous: _previous, ...without } = record
  if (encodeCarried(without).length <= CARRIED_BYTES_MAX) return without
  const { runs: _runs, ...bare } = without
  return bare
}
