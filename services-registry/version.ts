// Which of two records is the later one. Every kind has a total order of its own, so that stores which saw the same
// records agree whatever the order of arrival. Specs are ordered by a hybrid logical clock, which follows the wall
// clock while that is sane and never runs backwards.

import type { NodeId, OperatorId } from '../overlay/kernel/ids.ts'
import { err, ok, type Result } from '../overlay/kernel/result.ts'
import type { UnixMillis } from '../overlay/kernel/time.ts'
import { CLOCK_AHEAD_MS_MAX, CLOCK_COUNTER_MAX, CLOCK_SIGNERS } from './constants.ts'
import { hashText } from './digest.ts'
import {
  type Clock,
  compareClocks,
  compareFences,
  type InstanceRecord,
  type PlacementRecord,
  type RolloutRecord,
  recordKey,
  type SealedRecord,
  type SpecRecord,
} from './record.ts'

export const CLOCK_ZERO: Clock = { wall: 0, counter: 0 }

/**
 * The reading for an event of our own: later than `last` and, where it can be, the wall clock's. No two signers make
 * the same one, but for one pair in CLOCK_SIGNERS: a placement names the spec that it was made for by its reading, and
 * two that were submitted in one moment out of each other's sight must not pass for one another.
 */
export function tick(last: Clock, wall: UnixMillis, signer: NodeId): Clock {
  const now = Math.max(0, Math.floor(wall))
  const own = hashText(signer).low % CLOCK_SIGNERS
  if (now > last.wall) return { wall: now, counter: own }
  const passed = last.counter - (last.counter % CLOCK_SIGNERS)
  const counter = passed + own > last.counter ? passed + own : passed + CLOCK_SIGNERS + own
  return counter > CLOCK_COUNTER_MAX ? { wall: last.wall + 1, counter: own } : { wall: last.wall, counter }
}

/**
 * The latest reading known after a record with the reading `remote`, from which the next `tick` goes on (Kulkarni et
 * al., OPODIS 2014). Refused as `ahead` when it is more than CLOCK_AHEAD_MS_MAX after both our wall clock and the last
 * reading: one wrong clock must not drag all the others away, and a device that woke up in 1970 must still follow.
 */
export function observe(last: Clock, remote: Clock, wall: UnixMillis): Result<Clock, 'ahead'> {
  if (remote.counter > CLOCK_COUNTER_MAX) return err('ahead')
  if (remote.wall - Math.max(last.wall, wall) > CLOCK_AHEAD_MS_MAX) return err('ahead')
  return ok(compareClocks(last, remote) >= 0 ? last : remote)
}

export const isSpec = (record: SealedRecord): record is SealedRecord<SpecRecord> =>
  record.message.kind === 'record/spec'
export const isPlacement = (record: SealedRecord): record is SealedRecord<PlacementRecord> =>
  record.message.kind === 'record/placement'
export const isRollout = (record: SealedRecord): record is SealedRecord<RolloutRecord> =>
  record.message.kind === 'record/rollout'
export const isInstance = (record: SealedRecord): record is SealedRecord<InstanceRecord> =>
  record.message.kind === 'record/instance'

/** The one instance that a record is about; null where it is about more, or about nothing that is known any more. */
export function numberIn(record: SealedRecord | null): number | null {
  if (record === null || (!isPlacement(record) && !isInstance(record))) return null
  return isPlacement(record) && record.message.each === true ? null : record.message.number
}

/** Whether a record says that there is nothing any more. */
export function isTombstone(record: SealedRecord): boolean {
  switch (record.message.kind) {
    case 'record/spec':
      return record.message.spec === null
    case 'record/placement':
      return record.message.child === null
    case 'record/instance':
      return !record.message.live
    case 'record/rollout':
      return record.message.state === 'gone'
  }
}

/**
 * Where versions of one fact replace each other. It is the record's key, and for a spec its operator as well: each
 * operator has a slot of its own for a name, so nobody's record ever replaces another's; `rulingSpec` says which of
 * them counts.
 */
export function slotOf(record: SealedRecord): string {
  const key = recordKey(record.message, record.from)
  return isSpec(record) ? specSlot(key, record.signer.operator) : key
}

const specSlot = (key: string, operator: OperatorId): string => `${key}/${operator}`

/** Which version a spec is: the clock of the submission that began it. */
export const versionOf = (spec: SpecRecord): Clock => spec.version ?? spec.clock

/** The reading with which the operator took the name. */
export const claimOf = (spec: SpecRecord): Clock => spec.claimed ?? spec.clock

/**
 * Negative when `a` is the earlier version, positive when it is the later, zero only for the same bytes; total on the
 * records of one slot. Specs by clock, placements and rollouts by fence then sequence, instances by incarnation then
 * sequence; ties by signer, then bytes.
 */
export function compareRecords(a: SealedRecord, b: SealedRecord): number {
  return compareVersions(a, b) || compareText(a.from, b.from) || compareBytes(a.bytes, b.bytes)
}

function compareVersions(a: SealedRecord, b: SealedRecord): number {
  if (isSpec(a) && isSpec(b)) return compareClocks(a.message.clock, b.message.clock)
  if ((isPlacement(a) && isPlacement(b)) || (isRollout(a) && isRollout(b))) {
    return compareFences(a.message.fence, b.message.fence) || a.message.sequence - b.message.sequence
  }
  if (isInstance(a) && isInstance(b)) {
    return a.message.incarnation - b.message.incarnation || a.message.sequence - b.message.sequence
  }
  return compareText(a.message.kind, b.message.kind)
}

export const compareText = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0)

export function compareBytes(a: Uint8Array, b: Uint8Array): number {
  const shared = Math.min(a.length, b.length)
  for (let i = 0; i < shared; i++) {
    const difference = (a[i] ?? 0) - (b[i] ?? 0)
    if (difference !== 0) return difference
  }
  return a.length - b.length
}

/** Whether two sealed records are the very same. */
export const isSameRecord = (a: SealedRecord, b: SealedRecord): boolean =>
  a === b || compareBytes(a.bytes, b.bytes) === 0

/** The wall clock at which a deletion was made, as far as the record tells; a placement and a rollout tell only that of
 * their spec. */
export function deletedAt(record: SealedRecord): UnixMillis {
  switch (record.message.kind) {
    case 'record/spec':
      return record.message.clock.wall
    case 'record/placement':
      return record.message.specClock.wall
    case 'record/instance':
      return record.message.since
    case 'record/rollout':
      return record.message.version.wall
  }
}
