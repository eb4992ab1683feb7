// What is replicated: four kinds of signed, versioned facts. Each has one owner, who alone may change it, and an
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

/** The largest canonical service specification, in bytes of CBOR. */
export const SPEC_BYTES_MAX = 32_000

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
})
export type SpecRecord = Infer<typeof specSchema>

/** Which child runs an instance; null when none shall. Owner: the domain's leader; ordered by fence, then sequence. */
export const placementSchema = object({
  kind: literal('record/placement'),
  domain: text<DomainPath>(256),
  service: text<ServiceId>(255),
  number: whole(0, 100_000),
  child: nullable(text<ChildId>(256)),
  /**
   * The child that goes on running the instance until `child` does, while it is moved. Where `child` is a domain it may
   * be one outside this domain: then somebody above waits to hear that the instance runs.
   */
  previous: optional(text<ChildId>(256)),
  fence: fenceSchema,
  sequence: whole(),
  /** The clock of the spec that this placement was made for. */
  specClock: clockSchema,
  reason: text(500),
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
  number: whole(0, 100_000),
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
})
export type InstanceRecord = Infer<typeof instanceSchema>

export type PlainRecord = SpecRecord | PlacementRecord | InstanceRecord
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
  }
}

export const compareFences = (a: Fence, b: Fence): number => a.epoch - b.epoch || a.term - b.term
export const compareClocks = (a: Clock, b: Clock): number => a.wall - b.wall || a.counter - b.counter
