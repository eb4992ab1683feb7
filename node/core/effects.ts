// The one vocabulary between a node's core and its host: every machine's effects and inputs, brought to the node's
// level, where a child of a domain has become a node to send to.

import type { BootstrapMessage, CharterMessage } from '../../bootstrap/messages.ts'
import type { ElectionInput, ElectionMessage } from '../../election/index.ts'
import type { Emit, TopicName } from '../../overlay/kernel/effect.ts'
import type { DomainPath, InstanceKey, NodeId, ServiceId } from '../../overlay/kernel/ids.ts'
import type { Millis } from '../../overlay/kernel/time.ts'
import type { MembershipMessage } from '../../overlay/membership/index.ts'
import type { Opened, SignerFacts } from '../../overlay/wire/envelope.ts'
import type { HostReading } from '../../placement/host-reading.ts'
import type { PlacementMessage, RuntimeEvent, RuntimeOperation, ServiceSpec } from '../../placement/index.ts'
import type { PolicyFile } from '../../placement/policy.ts'
import type { FoundInstance } from '../../placement/runtime.ts'
import type {
  InstanceUse,
  PlainRecord,
  RegistryMessage,
  RolloutRecord,
  SealedRecord,
  SpecRecord,
} from '../../services-registry/index.ts'
import type { Answer, Question } from './asking.ts'
import type { IntakeMessage, IntakeStateMessage, NamesMessage, WhereMessage } from './messages.ts'

/** Everything that nodes say to each other in envelopes. */
export type CoreMessage =
  | BootstrapMessage
  | ElectionMessage
  | MembershipMessage
  | PlacementMessage
  | RegistryMessage
  | PlainRecord
  | WhereMessage
  | IntakeMessage
  | IntakeStateMessage
  | NamesMessage

export interface Topic {
  readonly domain: DomainPath
  readonly topic: TopicName
}

export interface RuntimeInfo {
  readonly name: string
  readonly version: string
}

/** A peer to stay connected to. */
export interface WantedNode {
  readonly peer: NodeId
  readonly addresses: readonly string[]
}

export type CoreEffect =
  | Emit
  | { readonly kind: 'send'; readonly to: NodeId; readonly message: CoreMessage }
  /** Seal with this node's key, hand the envelope back as a message from this node, and publish it to the topics. */
  | { readonly kind: 'author'; readonly message: CoreMessage; readonly topics: readonly Topic[] }
  /** Publish an envelope as it was signed. */
  | { readonly kind: 'spread'; readonly opened: Opened<CoreMessage>; readonly topics: readonly Topic[] }
  /** A null value deletes; `then` is carried out once the write is done (with sync: on disk). */
  | {
      readonly kind: 'persist'
      readonly key: string
      readonly value: Uint8Array | null
      readonly sync: boolean
      readonly then: readonly CoreEffect[]
    }
  | { readonly kind: 'again'; readonly input: CoreInput }
  | { readonly kind: 'runtime'; readonly runtime: string; readonly operation: RuntimeOperation }
  /** The peers to be connected to, and the topics to follow, from now on. */
  | { readonly kind: 'want'; readonly peers: readonly WantedNode[] }
  | { readonly kind: 'follow'; readonly topics: readonly Topic[] }
  /** Who may follow the cluster's topics from now on; null where not all of them need be connected to this node. */
  | { readonly kind: 'hearers'; readonly members: readonly NodeId[] | null }
  /** A member says what is new in the charter, or wants to know: for whoever keeps ours. */
  | { readonly kind: 'charter'; readonly message: CharterMessage; readonly from: NodeId }
  /** A record that is kept when a later one takes its place; `isStep` where it is not only a later word on its use. */
  | { readonly kind: 'audit'; readonly record: SealedRecord; readonly isStep: boolean }
  /** Somebody of our operator shows its policy; whoever keeps ours looks whether it is a later one. */
  | { readonly kind: 'policy'; readonly statement: string }
  | { readonly kind: 'answered'; readonly requestId: string; readonly answer: Answer }
  | { readonly kind: 'resolved'; readonly requestId: number; readonly answer: ResolvedService }

/** What is known of a service; `records` is null when nobody could be asked or nobody knows it. */
export interface ResolvedService {
  readonly service: ServiceId
  readonly records: readonly SealedRecord[] | null
  readonly reason: string | null
  /** Whether those who ought to know say that there is none. */
  readonly isAbsent: boolean
}

export type CoreInput =
  /** `operators`: of how many the federation is, where that is known; default 1. */
  | { readonly kind: 'start'; readonly operators?: number }
  /** The federation is of so many operators now. */
  | { readonly kind: 'operators'; readonly count: number }
  | {
      readonly kind: 'message'
      readonly opened: Opened<CoreMessage>
      readonly deliveredBy: NodeId
      /** The domain on whose topic it came; null when it was sent to this node. */
      readonly gossipedIn: DomainPath | null
    }
  | { readonly kind: 'connected'; readonly peer: NodeId; readonly facts: SignerFacts }
  | { readonly kind: 'disconnected'; readonly peer: NodeId }
  | { readonly kind: 'round-trip'; readonly peer: NodeId; readonly ms: Millis }
  /** The node's own multiaddrs, or whether it carries connections for others, changed. */
  | { readonly kind: 'addresses'; readonly addresses: readonly string[]; readonly isRelay: boolean }
  | { readonly kind: 'reading'; readonly reading: HostReading; readonly loopDelayMs: Millis }
  | { readonly kind: 'runtimes'; readonly runtimes: readonly RuntimeInfo[] }
  | { readonly kind: 'runtime'; readonly event: RuntimeEvent }
  | { readonly kind: 'found'; readonly runtime: string; readonly instances: readonly FoundInstance[] }
  /** What an instance of this device has used so far; `isLast` where it is not read again soon. */
  | { readonly kind: 'used'; readonly key: InstanceKey; readonly used: InstanceUse; readonly isLast: boolean }
  /** Somebody on this device wants a service to run (or, with null, no longer). */
  | {
      readonly kind: 'submit'
      readonly domain: DomainPath
      readonly service: ServiceId
      readonly spec: ServiceSpec | null
      /** The version that somebody else holds, where this node holds no records of the domain. */
      readonly held?: SealedRecord<SpecRecord> | null
      /** How far that version has come, where this node holds no records of the domain. */
      readonly rollout?: SealedRecord<RolloutRecord> | null
      /** The same version in another number: nothing is to be started anew. */
      readonly isScale?: boolean
    }
  /** A service that this device brought along from another federation, as it was there. */
  | { readonly kind: 'carried'; readonly record: SpecRecord }
  | {
      readonly kind: 'resolve'
      readonly requestId: number
      readonly service: ServiceId
      /** Asks even where an earlier answer still holds; that one is for when nobody can be asked. */
      readonly isFresh?: boolean
    }
  /** Somebody on this device asks another node to do something. */
  | { readonly kind: 'ask'; readonly question: Question }
  /** Traffic is about to go to a node of that cluster: find out where it is, and stay connected for a while. */
  | { readonly kind: 'reach'; readonly peer: NodeId; readonly domain: DomainPath }
  /** A spec that its author brought is on the disk: it counts from now on. */
  | { readonly kind: 'synced'; readonly domain: DomainPath; readonly record: SealedRecord }
  /** A record is kept, and others who hold the domain's store are to hear of it. */
  | { readonly kind: 'gossip'; readonly domain: DomainPath; readonly opened: SealedRecord }
  /** Something about the charter, for one member or (null) for all. */
  | { readonly kind: 'charter'; readonly message: CharterMessage; readonly to: NodeId | null }
  /** Our operator's policy, checked and kept. */
  | {
      readonly kind: 'policy'
      readonly version: number
      readonly statement: string
      readonly policy: PolicyFile
    }
  /** A node's membership was revoked. */
  | { readonly kind: 'revoked'; readonly node: NodeId }
  /** It belongs again: its operator, which had left, was admitted once more. */
  | { readonly kind: 'readmitted'; readonly node: NodeId }
  /** An operator orders a domain to go on without its majority; refused while one is heard. */
  | { readonly kind: 'recover'; readonly domain: DomainPath }
  /** The node is about to stop: hand over what it leads. */
  | { readonly kind: 'hand-over' }
  /** What an election asked to hear again; `seat` tells it from an earlier election of the same domain. */
  | { readonly kind: 'election'; readonly domain: DomainPath; readonly seat: number; readonly input: ElectionInput }
  | { readonly kind: 'wake' }
