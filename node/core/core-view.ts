// What the rest of the node may see of its core: how people and programs are answered.

import type { LeaderBookView } from '../../election/index.ts'
import type { DomainPath, NodeId, OperatorId, ServiceId } from '../../overlay/kernel/ids.ts'
import type { Millis } from '../../overlay/kernel/time.ts'
import type { RosterView } from '../../overlay/membership/index.ts'
import type { SignerFacts } from '../../overlay/wire/envelope.ts'
import type { NodeSummary } from '../../placement/index.ts'
import type { SealedRecord, StoreView } from '../../services-registry/index.ts'
import type { Intake } from './messages.ts'
import type { PendingInstance } from './placing.ts'
import type { SeatView } from './seats.ts'

/** What others may look at; nothing in it may be changed. */
export interface CoreView {
  readonly self: SignerFacts
  readonly name: string
  readonly incarnation: number
  roster(): RosterView
  leaders(): LeaderBookView
  seats(): readonly SeatView[]
  /** Whether others took over, as far as there are any, what this node was told to hand over. */
  isHandedOver(): boolean
  stores(): readonly StoreView[]
  /** Grows whenever another spec may count in one of the stores. */
  specRevision(): number
  isConnected(peer: NodeId): boolean
  /** The cluster of a connected peer, by its credential. */
  domainOf(peer: NodeId): DomainPath | null
  roundTripMs(peer: NodeId): Millis | null
  summaryOf(node: NodeId): NodeSummary | null
  /** Instances without a place, as far as this node's own leading knows. */
  pending(): readonly PendingInstance[]
  /** Whose service it is that this device runs, as far as that was shown. */
  ownerOf(service: ServiceId): OperatorId | null
  /** Whether this device takes new work. */
  intake(): Intake
  /** Submissions that no holder has taken in so far. */
  unaccepted(): readonly SealedRecord[]
  addressesOf(peer: NodeId): readonly string[]
  /** The name that a node of another cluster gives itself, where it was met. */
  statedName(peer: NodeId): string | null
}
