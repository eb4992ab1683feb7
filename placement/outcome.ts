// How an instance of a job ended, for good. Where the placement does not say it yet, the node that ran it does.

import { compareClocks, type InstanceRecord, type PlacementRecord } from '../services-registry/record.ts'
import type { StoreView } from '../services-registry/view.ts'

export type Outcome = NonNullable<PlacementRecord['outcome']>

/** How the placed version of a job ended; null while it has not. */
export function outcomeOf(store: StoreView, placed: PlacementRecord): Outcome | null {
  if (placed.outcome !== undefined) return placed.outcome
  return doneBy(store, placed) === null ? null : 'done'
}

/** The word of the node on which this version ended well. */
export function doneBy(store: StoreView, { service, number, specClock }: PlacementRecord): InstanceRecord | null {
  const records = store.instancesOf(service, number)
  const isIt = ({ message }: (typeof records)[number]): boolean =>
    message.done === true && compareClocks(message.specClock, specClock) === 0
  return records.find(isIt)?.message ?? null
}
