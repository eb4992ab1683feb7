// What leaders and nodes say to one another about where things run. One paragraph per message stands in README.md.

import type { ChildId, DomainPath, NodeId, OperatorId, ServiceId } from '../overlay/kernel/ids.ts'
import type { MessageSchemas } from '../overlay/wire/codec.ts'
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
  sealed,
  text,
  whole,
} from '../overlay/wire/schema.ts'
import {
  clockSchema,
  fenceSchema,
  INSTANCE_NUMBER_MAX,
  SPEC_BYTES_MAX,
  type SpecRecord,
} from '../services-registry/record.ts'
import { BATCH_MAX, RESERVATION_MS } from './constants.ts'
import { reasonsSchema } from './refusal.ts'
import { SELECTOR_CHARS_MAX } from './selector.ts'
import { type AggregateMessage, aggregateSchema, type SummaryMessage, summarySchema } from './summary.ts'

const domain = text<DomainPath>(256)
const service = text<ServiceId>(255)
const instanceNumber = whole(0, INSTANCE_NUMBER_MAX)
const askId = text(64)
export const REQUEST_ID_CHARS_MAX = 64

/**
 * Further instances of the same service that all else of the message holds for as well; of an offer, the score of the
 * least and the time of the first to run out. Who says this field, also empty, reads it too; whoever does not know it
 * is spoken to of one instance at a time (`batch.ts`).
 */
const further = optional(list(object({ askId, number: instanceNumber }), BATCH_MAX - 1))

export const askSchema = object({
  kind: literal('placement/ask'),
  /** The domain whose leader asks, and the fence under which it does. */
  domain,
  fence: fenceSchema,
  askId,
  service,
  number: instanceNumber,
  spec: bytes(SPEC_BYTES_MAX),
  specClock: clockSchema,
  /** The operator of who submitted it, where who asks knows: believed of a leader of the device's own operator. */
  operator: optional(text<OperatorId>(128)),
  /**
   * What was submitted, as it was signed: the proof of whose service it is, for devices of other operators. Then `spec`
   * is empty (`specBytesOf`).
   */
  origin: optional(sealed<SpecRecord>('record/spec')),
  /** Nodes that shall not be offered. */
  avoid: list(text<NodeId>(128), 64),
  /** A selector of nodes and clusters: whoever asked for the move wants it there. */
  to: optional(text(SELECTOR_CHARS_MAX)),
  /** The child has the order already, and who gave it heard nothing of it: a node says again what became of it. */
  reminds: optional(flag),
  also: further,
})
export type AskMessage = Infer<typeof askSchema>

export const offerSchema = object({
  kind: literal('placement/offer'),
  domain,
  askId,
  service,
  number: instanceNumber,
  child: text<ChildId>(256),
  /** How well it fits, from 0 to 1. */
  score: number(0, 1),
  /** The device that keeps room for it. */
  node: text<NodeId>(128),
  nodeName: text(63),
  expiresInMs: whole(0, RESERVATION_MS),
  also: further,
})
export type OfferMessage = Infer<typeof offerSchema>

export const refuseSchema = object({
  kind: literal('placement/refuse'),
  domain,
  askId,
  service,
  number: instanceNumber,
  child: text<ChildId>(256),
  /** How many devices were considered. */
  devices: whole(0, 1_000_000),
  reasons: reasonsSchema,
  also: further,
})
export type RefuseMessage = Infer<typeof refuseSchema>

export const releaseSchema = object({
  kind: literal('placement/release'),
  domain,
  askId,
  /** Further asks that are let go; as above, said only to who knows the field. */
  also: optional(list(askId, BATCH_MAX - 1)),
})
export type ReleaseMessage = Infer<typeof releaseSchema>

export const reportSchema = object({
  kind: literal('placement/report'),
  /** The domain whose leader made the placement. */
  domain,
  child: text<ChildId>(256),
  service,
  number: instanceNumber,
  /**
   * `unplaceable`: no device below can run it. `no-spec`: the placement is known, what it is to run is not. `no-order`:
   * it is placed below, and no order for that is known; the fence is then that of the placement below. `running`: it
   * runs where it was moved to. `done`, `failed`: how a job ended for good.
   */
  problem: literal('unplaceable', 'no-spec', 'no-order', 'running', 'done', 'failed'),
  detail: text(500),
  /** The fence of the placement in question, and its sequence where that matters. */
  fence: fenceSchema,
  sequence: optional(whole()),
})
export type ReportMessage = Infer<typeof reportSchema>

export const moveSchema = object({
  kind: literal('placement/move'),
  /** The domain whose leader shall see to it. */
  domain,
  /** Of who asks; a repeated request is answered as before. */
  requestId: text(REQUEST_ID_CHARS_MAX),
  /** Who is told what comes of it. */
  requester: nullable(text<NodeId>(128)),
  service,
  number: instanceNumber,
  /** A selector of nodes and clusters that may take it; null for any. */
  to: nullable(text(SELECTOR_CHARS_MAX)),
  /** The leader that hands it on, down or up; null from who asks. */
  by: nullable(object({ domain, fence: fenceSchema })),
  /** Why those who were asked so far cannot. */
  refused: text(500),
})
export type MoveMessage = Infer<typeof moveSchema>

export const movedSchema = object({
  kind: literal('placement/moved'),
  /** The domain whose leader decided. */
  domain,
  requestId: text(REQUEST_ID_CHARS_MAX),
  service,
  number: instanceNumber,
  /** `moving`: it starts on `child`, and runs where it was until it runs there. */
  outcome: literal('moving', 'refused'),
  child: nullable(text<ChildId>(256)),
  reason: text(500),
})
export type MovedMessage = Infer<typeof movedSchema>

export const mayRunSchema = object({
  kind: literal('placement/may-run'),
  /** The cluster whose leader says whether the instance may run on. */
  domain,
  service,
  number: instanceNumber,
  /** When it was asked, by the clock of who asks; together with that start of the node. Both come back. */
  incarnation: whole(),
  askedAt: whole(),
})
export type MayRunMessage = Infer<typeof mayRunSchema>

export const runOnSchema = object({
  kind: literal('placement/run-on'),
  domain,
  /** Of the leader that says so. */
  fence: fenceSchema,
  service,
  number: instanceNumber,
  incarnation: whole(),
  askedAt: whole(),
})
export type RunOnMessage = Infer<typeof runOnSchema>

/** Where a message goes: a node, or (a domain path) the node that leads that domain. */
export type PlacementMessage =
  | SummaryMessage
  | AggregateMessage
  | AskMessage
  | OfferMessage
  | RefuseMessage
  | ReleaseMessage
  | ReportMessage
  | MayRunMessage
  | RunOnMessage
  | MoveMessage
  | MovedMessage

export const placementSchemas: MessageSchemas<PlacementMessage> = {
  'placement/summary': summarySchema,
  'placement/aggregate': aggregateSchema,
  'placement/ask': askSchema,
  'placement/offer': offerSchema,
  'placement/refuse': refuseSchema,
  'placement/release': releaseSchema,
  'placement/report': reportSchema,
  'placement/may-run': mayRunSchema,
  'placement/run-on': runOnSchema,
  'placement/move': moveSchema,
  'placement/moved': movedSchema,
}
