// Who was proven to lead, as the registry needs to know it. The node fills it from proofs of leadership that it
// verified; an order counts for the leader that gave it at that fence, not for whoever leads now.

import type { DomainPath, NodeId } from '../overlay/kernel/ids.ts'
import type { Fence } from './record.ts'

export interface LeaderBook {
  /** The node that is proven to have spoken for the domain at that fence; null while no proof was seen. */
  leaderAt(domain: DomainPath, fence: Fence): NodeId | null
}
