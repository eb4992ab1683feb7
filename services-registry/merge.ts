// How versions of a fact become one: the later one stays, by the total order of its kind. Taking the maximum is
// commutative, associative and idempotent, so stores converge whatever is lost, doubled or reordered on the way.

import { invariant } from '../overlay/kernel/assert.ts'
import type { Millis, UnixMillis } from '../overlay/kernel/time.ts'
import { TOMBSTONE_KEPT_MS } from './constants.ts'
import { compareClocks, type SealedRecord, type SpecRecord } from './record.ts'
import { claimOf, compareRecords, compareText, deletedAt, isTombstone, slotOf } from './version.ts'

/** The later of two versions of one fact. */
export function merge(a: SealedRecord, b: SealedRecord): SealedRecord {
  invariant(slotOf(a) === slotOf(b), 'only versions of one fact are merged')
  return compareRecords(a, b) >= 0 ? a : b
}

/**
 * Which of several operators' specs for one name counts: of those that want something to run, the one whose operator
 * claimed the name first; where nobody wants anything, the latest removal. A function of what is held, so it
 * converges as the records do.
 */
export function rulingSpec(contenders: Iterable<SealedRecord<SpecRecord>>): SealedRecord<SpecRecord> | null {
  let ruling: SealedRecord<SpecRecord> | null = null
  for (const contender of contenders) {
    if (ruling === null || goesBefore(contender, ruling)) ruling = contender
  }
  return ruling
}

function goesBefore(a: SealedRecord<SpecRecord>, b: SealedRecord<SpecRecord>): boolean {
  if (isTombstone(a) !== isTombstone(b)) return isTombstone(b)
  if (isTombstone(a)) return compareRecords(a, b) > 0
  const byClaim = compareClocks(claimOf(a.message), claimOf(b.message))
  return (byClaim || compareText(a.signer.operator, b.signer.operator)) < 0
}

/**
 * How much longer a deletion that was read back from disk is remembered. The monotonic clock, which counts from its
 * arrival, does not outlive the process, so its age is taken from the wall clock, and both ends are cut off: a wall
 * clock that jumped neither keeps it for ever nor, unless it jumped by days, forgets it too early. What comes back
 * after that is an old version of something unwanted, which its owner deletes again.
 */
export function remainingAtLoad(tombstone: SealedRecord, wall: UnixMillis): Millis {
  return Math.min(TOMBSTONE_KEPT_MS, Math.max(0, TOMBSTONE_KEPT_MS - (wall - deletedAt(tombstone))))
}
