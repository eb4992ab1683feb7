// What the rest of the node may see of its core: how people and programs are answered.

import type { LeaderBook, LeaderBookView } from '../../election/index.ts'
import type { DomainPath, NodeId, OperatorId, ServiceId } from '../../overlay/kernel/ids.ts'
import type { Millis } from '../../overlay/kernel/time.ts'
import type { RosterView } from '../../overlay/membership/index.ts'
import type { SignerFacts } from '../../overlay/wire/envelope.ts'
import type { NodeSummary } from '../../placement/index.ts'
import type { SealedRecord, StoreView } from '../../services-registry/index.ts'
import type { IntakeKeeper } from './intake.ts'
import type { Inventories } from './inventories.ts'
import type { Intake } from './messages.ts'
import type { Names } from './names.ts'
import type { Neighbours } from './neighbours.ts'
import type { PendingInstance, Placing } from './placing.ts'
import type { Records } from './records.ts'
import type { Requests } from './requests.ts'
import type { RosterKeeper } from './roster-keeper.ts'
import type { Hierarchy, SeatView } from './seats.ts'
import type { Timetable } from './timetable.ts'

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
  /** The cluster of a connected peer, by its credential; of this operator's others, as was told with their names. */
  domainOf(peer: NodeId): DomainPath | null
  roundTripMs(peer: NodeId): Millis | null
  summaryOf(node: NodeId): NodeSummary | null
  /** Instances without a place, as far as this node's own leading knows. */
  pending(): readonly PendingInstance[]
  /** Whose service it is that this device runs, as far as that was shown. */
  ownerOf(service: ServiceId): OperatorId | null
  /** Whether this device takes new work. */
  intake(): Intake
  /** Submissions that no holder has taken in so far, or that are on their way to the disk here. */
  unaccepted(): readonly SealedRecord[]
  addressesOf(peer: NodeId): readonly string[]
  /** The name that a node of another cluster gives itself, or that others of this operator's devices have for it. */
  statedName(peer: NodeId): string | null
  /** Devices of this operator in other clusters, as far as their names were told. */
  ownElsewhere(): Iterable<NodeId>
  /** Whether it wakes up when one of its parts is due: for whoever checks that it never sleeps on. */
  isOnTime(): boolean
}

/** The parts that it looks into. */
interface Seen {
  readonly incarnation: number
  readonly book: LeaderBook
  readonly roster: RosterKeeper
  readonly hierarchy: Hierarchy
  readonly stores: CoreView['stores']
  readonly records: Pick<Records, 'specRevision' | 'settling'>
  readonly neighbours: Neighbours
  readonly names: Names
  readonly inventories: Inventories
  readonly placing: Placing
  readonly intake: IntakeKeeper
  readonly requests: Requests
  readonly timetable: Timetable
  readonly domainOf: CoreView['domainOf']
  readonly roundTrips: ReadonlyMap<NodeId, Millis>
}

export const coreView = (
  { self, name }: Pick<CoreView, 'self' | 'name'>,
  { incarnation, book, stores, domainOf, ...parts }: Seen,
): CoreView => ({
  self,
  name,
  incarnation,
  roster: parts.roster.view,
  leaders: () => book,
  seats: parts.hierarchy.seats,
  isHandedOver: parts.hierarchy.isHandedOver,
  stores,
  specRevision: parts.records.specRevision,
  isConnected: parts.neighbours.isConnected,
  domainOf: (peer) => domainOf(peer) ?? parts.names.domainOf(peer),
  roundTripMs: (peer) => parts.roundTrips.get(peer) ?? null,
  summaryOf: parts.inventories.summaryOf,
  pending: parts.placing.pending,
  ownerOf: parts.placing.ownerOf,
  intake: parts.intake.current,
  unaccepted: () => [...parts.requests.pending(), ...parts.records.settling()],
  addressesOf: parts.neighbours.addressesOf,
  statedName: (peer) => parts.neighbours.statementOf(peer)?.message.name || parts.names.nameOf(peer),
  ownElsewhere: parts.names.nodes,
  isOnTime: parts.timetable.isTrue,
})
