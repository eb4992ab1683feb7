// What a store's machine is made of: its state, what it is told, and what it asks of its host.

import type { Emit, Persist, Send } from '../overlay/kernel/effect.ts'
import type { DomainPath, NodeId, ServiceId } from '../overlay/kernel/ids.ts'
import type { Millis } from '../overlay/kernel/time.ts'
import type { Opened, SignerFacts } from '../overlay/wire/envelope.ts'
import type { RefusalCode } from './authority.ts'
import type { StoreTiming } from './constants.ts'
import type { LeaderBook } from './leaders.ts'
import type { RegistryMessage } from './messages.ts'
import type { Clock, Fence, PlainRecord, SealedRecord, SpecRecord } from './record.ts'
import type { RecordTable } from './table.ts'
import type { StoreView } from './view.ts'

export interface StoreState {
  readonly domain: DomainPath
  /** What this node's own credential says. */
  readonly self: SignerFacts
  readonly leaders: LeaderBook
  readonly timing: StoreTiming
  readonly table: RecordTable
  /** The table for everyone else. */
  readonly view: StoreView
  /** The latest clock reading that was accepted; the next spec of this node is authored after it. */
  readonly clock: Clock
  /** Specs that their authors brought and that are on their way to the disk, by slot; updated in place. */
  readonly settling: Map<string, SettlingSpec>
  /** Placements whose leader was not proven yet, longest waiting first; updated in place. */
  readonly waiting: Map<string, WaitingRecord>
  /** When the proof for a fence was last asked for, longest ago first; updated in place. */
  readonly wantedProofs: Map<string, Millis>
  /**
   * Specs of revoked nodes that a node of their operator signs again, and when it is this node's turn; updated in
   * place.
   */
  readonly orphans: Map<string, Millis>
  /** Changed in place: the holders of a cluster's records are all of its members. */
  readonly holders: Set<NodeId>
  readonly connected: ReadonlySet<NodeId>
  /** Exchanges with peers, longest known first; updated in place. */
  readonly talks: Map<NodeId, Talk>
  /** Who was asked for what this node lacks, and how long that counts as under way; updated in place. */
  readonly fetches: Map<NodeId, Millis>
  /** Holders that differ and were not asked yet, since others were; updated in place. */
  readonly putOff: Set<NodeId>
  readonly nextExchangeAt: Millis
  /** Rounds that are still to follow soon, since the last news. */
  readonly roundsSoon: number
}

/** How a record came: authored here, pushed by its author, by gossip, or by anti-entropy. */
export type Origin = 'self' | 'push' | 'gossip' | 'exchange'

/** A spec that is being written; `reply` is carried out when it is kept. */
export interface SettlingSpec {
  readonly record: SealedRecord<SpecRecord>
  readonly reply: readonly StoreEffect[]
}

export interface WaitingRecord {
  readonly record: SealedRecord
  readonly origin: Origin
  readonly from: NodeId | null
}

/** Where the exchange with a peer stands, and how much the peer made us send in this window. */
export interface Talk {
  /** When our digest left that nothing came back for; null when none is out. */
  readonly digestSentAt: Millis | null
  /** Whether records came that we lacked since then. */
  readonly broughtNews: boolean
  readonly windowSince: Millis
  readonly windowBytes: number
}

export type StoreInput =
  /** A record of this node (`from` null) or by gossip from a neighbour. */
  | { readonly kind: 'record'; readonly opened: SealedRecord; readonly from: NodeId | null }
  | { readonly kind: 'message'; readonly opened: Opened<RegistryMessage> }
  /** The write of a spec is done. */
  | { readonly kind: 'synced'; readonly record: SealedRecord }
  /** All others who hold these records. */
  | { readonly kind: 'holders'; readonly nodes: readonly NodeId[] }
  /** One of them came or went. */
  | { readonly kind: 'holder'; readonly node: NodeId; readonly isThere: boolean }
  | { readonly kind: 'connected'; readonly peer: NodeId }
  | { readonly kind: 'disconnected'; readonly peer: NodeId }
  /** A leader was proven; what waited for it may be taken in now. */
  | { readonly kind: 'leaders-changed' }
  /** A node was revoked: nobody can open what it signed any more. */
  | { readonly kind: 'forget-signer'; readonly node: NodeId }
  /** A node of which that was said belongs again. */
  | { readonly kind: 'recall-signer'; readonly node: NodeId }
  | { readonly kind: 'wake' }

/** Spreads a record in its owner's own envelope. */
export interface PublishSealed {
  readonly kind: 'publish-sealed'
  readonly domain: DomainPath
  readonly topic: 'record'
  readonly opened: SealedRecord
}

/** A spec is on the disk: hand it back as a `synced` input. */
export interface SpecSynced {
  readonly kind: 'synced'
  readonly domain: DomainPath
  readonly record: SealedRecord
}

/** What is known under a key changed; `record` is null when nothing is known any more. */
export interface RecordChanged {
  readonly kind: 'record-changed'
  readonly domain: DomainPath
  readonly key: string
  readonly service: ServiceId
  readonly record: SealedRecord | null
}

export interface RecordRefused {
  readonly kind: 'record-refused'
  readonly code: RefusalCode
  readonly domain: DomainPath
  readonly key: string
  readonly from: NodeId | null
}

/** A placement waits for this proof; `from`, who delivered it, has seen the proof if it holds the record. */
export interface LeaderWanted {
  readonly kind: 'leader-wanted'
  readonly domain: DomainPath
  readonly fence: Fence
  readonly from: NodeId | null
}

/** Seal this record with this node's key and hand it back as a `record` input with `from` null. */
export interface AuthorRecord {
  readonly kind: 'author'
  readonly record: PlainRecord
}

export type StoreEffect =
  | Persist<StoreEffect>
  | PublishSealed
  | SpecSynced
  | Send<RegistryMessage>
  | Emit
  | RecordChanged
  | RecordRefused
  | LeaderWanted
  | AuthorRecord
