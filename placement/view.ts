// What the machines of placement may look at: tables that others own, handed over once by reference and only ever read.

import type { ChildId } from '../overlay/kernel/ids.ts'
import type { LeaderBook } from '../services-registry/leaders.ts'
import type { StoreView } from '../services-registry/view.ts'
import type { InventoryView } from './inventory.ts'

export interface ChildView {
  readonly child: ChildId
  /** False once the roster says that it is dead or left, or the domain's election that it is gone. */
  readonly alive: boolean
  /** Whether its credential (for a domain: that of any node of it, as far as known) lets it take work. */
  readonly canWork: boolean
}

/** The children of a domain by id: a look into what others keep, good for one step. */
export interface ChildrenView {
  get(child: ChildId): ChildView | undefined
  has(child: ChildId): boolean
  keys(): Iterable<ChildId>
  values(): Iterable<ChildView>
  readonly size: number
}

export interface SchedulerView {
  /** The store of the scheduler's own domain. */
  readonly store: StoreView
  /** The store of the domain above; null for the root and while this node does not hold it. */
  readonly parentStore: () => StoreView | null
  readonly inventory: InventoryView
  readonly children: () => ChildrenView
  readonly leaders: LeaderBook
  /** Whether another side of the domain may have a leader as well: this one went on without a majority, in silence. */
  readonly isDoubtful: () => boolean
}

export interface WorkerView {
  /** The store of the node's cluster. */
  readonly store: StoreView
  readonly leaders: LeaderBook
}
