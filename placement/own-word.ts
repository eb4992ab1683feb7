// What a device said of an order before it started again, as far as its store still has it: the disk keeps the order
// synced, and what was said of it since may be lost with the power.

import { type InstanceKey, splitInstanceKey } from '../overlay/kernel/ids.ts'
import { compareClocks, compareFences, type InstanceRecord } from '../services-registry/record.ts'
import type { Kept } from './kept.ts'
import type { Managed, WorkerState } from './worker-state.ts'

/** What this node said last of this very order, or of this version of a job that it has done, where that is the end. */
export function lastWord(state: WorkerState, kept: Kept): InstanceRecord | null {
  const own = ownWord(state, kept.key)
  if (own === null || own.live || compareClocks(own.specClock, kept.specClock) !== 0) return null
  return own.done === true || compareFences(own.fence, kept.fence) === 0 ? own : null
}

/**
 * Whether it was taken for over, and others remember that this node said of the order since that it runs: the end was
 * that of an earlier order under the same fence. Nothing runs now, and who leads believes that it does.
 */
export function hasOutlived(state: WorkerState, { key, phase, obeys }: Managed): boolean {
  if (phase.kind !== 'ended') return false
  const own = ownWord(state, key)
  if (own === null || !own.live || own.incarnation >= state.incarnation) return false
  return compareFences(own.fence, obeys.fence) === 0 && compareClocks(own.specClock, obeys.specClock) === 0
}

/** Whether others go by another word of this node than its last one, which was said under too low an incarnation. */
export function isOverruled(state: WorkerState, { key, report, obeys }: Managed): boolean {
  const own = ownWord(state, key)
  if (own === null || own.incarnation >= state.incarnation) return false
  return own.state !== report.state || own.since !== report.since || compareFences(own.fence, obeys.fence) !== 0
}

function ownWord({ view, self }: WorkerState, key: InstanceKey): InstanceRecord | null {
  const { service, number } = splitInstanceKey(key)
  return view.store.instancesOf(service, number).find(({ from }) => from === self)?.message ?? null
}
