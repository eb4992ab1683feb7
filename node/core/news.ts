// What one part of the core learned in a step and others have to hear of; told by core.ts, in order, before the step
// ends.

import type { InventoryNews } from './inventories.ts'
import type { RecordNews } from './records.ts'
import type { RosterNews } from './roster-keeper.ts'
import type { HierarchyEvent } from './seats.ts'

/** Takes in what was learned. */
export interface Sink<T> {
  push(...items: readonly T[]): unknown
}

export type News = HierarchyEvent | InventoryNews | RecordNews | RosterNews
