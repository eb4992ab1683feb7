// A job runs until each of its instances has ended well, once. That it has is a fact of the version, whoever leads and
// whatever becomes of the device: it stands in the placement, and until it does in the record of the node that ran it.

import type { InstanceKey } from '../overlay/kernel/ids.ts'
import { compareClocks, type PlacementRecord } from '../services-registry/record.ts'
import { noteOutcome } from './commitment.ts'
import { JOB_ATTEMPTS_MAX } from './constants.ts'
import { attemptsOf, orderFor, type Verdict, type Wish } from './desire.ts'
import { reportUp } from './negotiation.ts'
import { doneBy, outcomeOf } from './outcome.ts'
import type { Turn } from './scheduler-state.ts'

/**
 * Takes note of a job that has ended: here, and with the parent's leader. Returns whether it has, so that nothing else
 * is left to do for it.
 */
export function concludeJob(
  turn: Turn,
  key: InstanceKey,
  placed: PlacementRecord | null,
  wish: Wish & { readonly kind: 'wanted' },
  verdict: Verdict,
): boolean {
  const { state } = turn
  if (placed === null || placed.child === null) return false
  // Nothing but a job comes to an end, so who lost the spec with its memory still knows that this was one.
  if (wish.known?.spec.kind !== 'job' && placed.outcome === undefined) return false
  if (compareClocks(placed.specClock, wish.clock) !== 0) return false
  const work = state.work.get(key)
  const outcome = outcomeOf(state.view.store, placed)
  if (outcome === null) {
    const attempts = attemptsOf(state, placed, work)
    if (verdict.kind !== 'replace' || attempts < JOB_ATTEMPTS_MAX) return false
    const last = verdict.failed?.detail ?? verdict.why
    noteOutcome(turn, key, placed, 'failed', `failed ${attempts} times; the last: ${last}`)
    return true
  }
  if (placed.outcome === undefined) {
    noteOutcome(turn, key, placed, outcome, doneBy(state.view.store, placed)?.reason ?? '')
  }
  const above = wish.by === 'parent' ? orderFor(state, placed.service, placed.number) : null
  if (above !== null && above.outcome === undefined) reportUp(turn, key, outcome, placed.reason)
  return true
}
