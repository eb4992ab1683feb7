// What is replicated: a few kinds of signed, versioned facts. Each has one owner, who alone may change it, and an
// order of its own in which a later version replaces an earlier one; there is no other way in which a record changes.

import type { ChildId, DomainPath, NodeId, ServiceId } from '../overlay/kernel/ids.ts'
import type { Opened } from '../overlay/wire/envelope.ts'
import {
  bytes,
  flag,
  type Infer,
  list,
  literal,
  nullable,
  number,
  object,
  optional,
  text,
  whole,
} from '../overlay/wire/schema.ts'

/** The largest canonical service specification, in bytes of CBOR; one with the version before it is no larger. */
export const SPEC_BYTES_MAX = 32_000
/** Of so many instances a spec says where they run already (a guess); those beyond are placed anew. */
export const RUNS_MAX = 64
/** Entries of `seenBy`: as many as there can be operators (bootstrap's charter), and one for all. */
export const SEEN_BY_MAX = 65

/**
 * The highest instance number. Where a domain gives each of its children one (a daemon), the children of those are
 * numbered below it, CHILDREN_PER_NUMBER to each, so three levels have room.
 */
export const INSTANCE_NUMBER_MAX = 999_999_999
export const CHILDREN_PER_NUMBER = 1_000

/**
 * A hybrid logical clock reading (Kulkarni et al., OPODIS 2014): wall milliseconds, then a counter. Ties go by
 * signer.
 */
export const clockSchema = object({ wall: whole(), counter: whole() })
export type Clock = Infer<typeof clockSchema>

/** What a leader puts on its orders; compared as (epoch, term). */
export const fenceSchema = object({ epoch: whole(), term: whole() })
export type Fence = Infer<typeof fenceSchema>

/**
 * What somebody wants to run. Owner: the submitter; ordered by its clock. `spec` is null when the service was
 * removed.
 */
export const specSchema = object({
  kind: literal('record/spec'),
  domain: text<DomainPath>(256),
  service: text<ServiceId>(255),
  clock: clockSchema,
  spec: nullable(bytes(SPEC_BYTES_MAX)),
  /**
   * The clock with which its operator took this name; this record's own clock when absent. `authorSpec` carries it
   * on.
   */
  claimed: optional(clockSchema),
  /**
   * The clock of the submission that began this version; this record's own when absent. Another number of replicas is
   * no other version.
   */
  version: optional(clockSchema),
  /** The version that this one replaces, to go back to; absent where there is none, or where both do not fit. */
  previous: optional(object({ clock: clockSchema, spec: bytes(SPEC_BYTES_MAX) })),
  /**
   * Where instances of this very version run already: the service was brought along from another federation, with the
   * devices that run it.
   */
  runs: optional(
    list(
      object({ number: whole(0, INSTANCE_NUMBER_MAX), domain: text<DomainPath>(256), node: text<NodeId>(128) }),
      RUNS_MAX,
    ),
  ),
  /**
   * Other operators that are told of it: their ids, or `*` for all but those with a `!` before their id. Nobody when
   * absent.
   */
  seenBy: optional(list(text(128), SEEN_BY_MAX)),
})
export type SpecRecord = Infer<typeof specSchema>

/** Which child runs an instance; null when none shall. Owner: the domain's leader; ordered by fence, then sequence. */
export const placementSchema = object({
  kind: literal('record/placement'),
  domain: text<DomainPath>(256),
  service: text<ServiceId>(255),
  number: whole(0, INSTANCE_NUMBER_MAX),
  child: nullable(text<ChildId>(256)),
  /**
   * The child that goes on running the instance until `child` does, while it is moved. Where `child` is a domain it may
   * be one outside this domain: then somebody above waits to hear that the instance runs.
   */
  previous: optional(text<ChildId>(256)),
  /**
   * The child that could not be reached when this placement was made, and the incarnation in which its node ran the
   * instance (0 for a domain): when it returns its copy goes on until the leader has chosen one of the two.
   */
  replaced: optional(object({ child: text<ChildId>(256), incarnation: whole() })),
  fence: fenceSchema,
  sequence: whole(),
  /** The clock of the spec that this placement was made for. */
  specClock: clockSchema,
  reason: text(500),
  /** What it runs, as `specIdOf` names it; absent before the child is known to run anything. */
  specId: optional(text(16)),
  /** The version that was rolled back: `specClock` is older than it, and meant all the same. */
  over: optional(clockSchema),
  /** Of a job: how it ended. It is never run again for this version. */
  outcome: optional(literal('done', 'failed')),
  /** Of a job: starts of this version that failed before this placement. */
  attempts: optional(whole(0, 10_000)),
  /** Of a daemon on a child domain: one on each device below, numbered `number` x CHILDREN_PER_NUMBER and on. */
  each: optional(flag),
})
export type PlacementRecord = Infer<typeof placementSchema>

export const INSTANCE_STATES = [
  'reserved',
  'pulling',
  'starting',
  'running',
  'unhealthy',
  'stopping',
  'stopped',
  'failed',
  'lost',
] as const
export type InstanceState = (typeof INSTANCE_STATES)[number]

export const endpointSchema = object({
  /** Where the instance answers, as its own node reaches it. */
  host: text(255),
  ports: list(
    object({
      /** The port that callers name. */
      declared: whole(1, 65_535),
      /** The port that answers at `host`. */
      actual: whole(1, 65_535),
      protocol: literal('tcp', 'udp'),
    }),
    64,
  ),
})
export type Endpoint = Infer<typeof endpointSchema>

/** What an instance is doing. Owner: the node that runs it; ordered by the node's incarnation, then sequence. */
export const instanceSchema = object({
  kind: literal('record/instance'),
  /** The cluster of the node. */
  domain: text<DomainPath>(256),
  service: text<ServiceId>(255),
  number: whole(0, INSTANCE_NUMBER_MAX),
  state: literal(...INSTANCE_STATES),
  incarnation: whole(),
  sequence: whole(),
  endpoint: nullable(endpointSchema),
  /** Since when it has been in this state, by the node's wall clock. */
  since: number(),
  restarts: whole(),
  reason: text(500),
  /** The fence of the placement that it obeys. */
  fence: fenceSchema,
  specClock: clockSchema,
  /** Whether the node means to keep running it; false once it is stopped for good. */
  live: flag,
  /** What the node calls itself, for people who are not in its cluster. */
  nodeName: optional(text(63)),
  /** Of a job: it ended well. */
  done: optional(flag),
  /** Whether a health check of this run has succeeded. */
  healthy: optional(flag),
  /**
   * What this instance has used on the device in this incarnation of its node, all its runs together; absent before it
   * was measured. It never falls, so of what a device said the last word counts.
   */
  used: optional(
    object({
      /** Processor time, in ms of one core. */
      cpuMs: whole(),
      /** Memory over time, in MB (10^6 bytes) times seconds. */
      memoryMbSeconds: whole(),
      /** Bytes both ways on tunnels from other devices. */
      carriedBytes: whole(),
    }),
  ),
})
export type InstanceRecord = Infer<typeof instanceSchema>
export type InstanceUse = NonNullable<InstanceRecord['used']>

export const ROLLOUT_STATES = ['rolling', 'done', 'paused', 'rolled-back', 'gone'] as const
export type RolloutState = (typeof ROLLOUT_STATES)[number]

/** How far a new version has come. Owner: the leader of the spec's domain; ordered by fence, then sequence. */
export const rolloutSchema = object({
  kind: literal('record/rollout'),
  domain: text<DomainPath>(256),
  service: text<ServiceId>(255),
  /** The version that is rolled out: `version` of its spec. */
  version: clockSchema,
  /** `gone`: the service was removed. */
  state: literal(...ROLLOUT_STATES),
  reason: text(500),
  fence: fenceSchema,
  sequence: whole(),
})
export type RolloutRecord = Infer<typeof rolloutSchema>

export type PlainRecord = SpecRecord | PlacementRecord | InstanceRecord | RolloutRecord
export type SealedRecord<R extends PlainRecord = PlainRecord> = Opened<R>

/** Where a record stands in a store; one place per fact. */
export function recordKey(record: PlainRecord, signer: NodeId): string {
  switch (record.kind) {
    case 'record/spec':
      return `spec/${record.service}`
    case 'record/placement':
      return `placement/${record.service}#${record.number}`
    case 'record/instance':
      return `instance/${record.service}#${record.number}/${signer}`
    case 'record/rollout':
      return `rollout/${record.service}`
  }
}

export const compareFences = (a: Fence, b: Fence): number => a.epoch - b.epoch || a.term - b.term
export const compareClocks = (a: Clock, b: Clock): number => a.wall - b.wall || a.counter - b.counter
