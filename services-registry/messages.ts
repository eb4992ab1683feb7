// What registries say to each other. Records travel as the sealed envelopes that their owners made, so whoever passes
// one on can neither change it nor has to be believed.

import type { DomainPath, ServiceId } from '../overlay/kernel/ids.ts'
import type { MessageSchemas } from '../overlay/wire/codec.ts'
import {
  bytes,
  flag,
  type Infer,
  list,
  literal,
  nullable,
  object,
  sealed,
  text,
  whole,
} from '../overlay/wire/schema.ts'
import { BUCKETS, HASH_BYTES, PIECE_RECORDS_MAX, ROW_BYTES, ROWS_MAX } from './constants.ts'
import { instanceSchema, type PlainRecord, placementSchema, rolloutSchema, specSchema } from './record.ts'

const domain = text<DomainPath>(256)
const service = text<ServiceId>(255)
const sealedRecord = sealed<PlainRecord>('record/spec', 'record/placement', 'record/instance', 'record/rollout')
const sealedRecords = list(sealedRecord, PIECE_RECORDS_MAX)

/** What is live in a store: one combined hash per bucket. */
const digestSchema = object({ kind: literal('registry/digest'), domain, buckets: bytes(BUCKETS * HASH_BYTES) })

/** What the sender holds in the buckets that differ, a row per record; it wants what is missing there. */
const wantSchema = object({
  kind: literal('registry/want'),
  domain,
  buckets: list(whole(0, BUCKETS - 1), BUCKETS),
  rows: bytes(ROWS_MAX * ROW_BYTES),
})

/** The records asked for by the hashes of their keys. */
const fetchSchema = object({ kind: literal('registry/fetch'), domain, keys: bytes(ROWS_MAX * HASH_BYTES) })

/** Records for a holder; `more` when some are left for the next exchange. */
const recordsSchema = object({ kind: literal('registry/records'), domain, records: sealedRecords, more: flag })

/** New records of one signer, as gossip carries them when there are several. */
const gossipSchema = object({ kind: literal('registry/gossip'), domain, records: sealedRecords })

/** A new record for a holder to take in and to spread. */
const pushSchema = object({ kind: literal('registry/push'), domain, record: sealedRecord })

/** What became of a push: the mark names the version; `refusal` is null when it was taken in (or was known). */
const pushedSchema = object({
  kind: literal('registry/pushed'),
  domain,
  key: text(512),
  mark: bytes(HASH_BYTES),
  refusal: nullable(text(32)),
})

/** Asks what is known of a service; tell me of changes for a while. */
const lookupSchema = object({ kind: literal('registry/lookup'), domain, service, requestId: whole() })

/** What is known of a service: its spec, instances and placements, as many as fit one message, in that order. */
const answerSchema = object({
  kind: literal('registry/answer'),
  domain,
  service,
  requestId: whole(),
  records: sealedRecords,
  found: flag,
})

export type DigestMessage = Infer<typeof digestSchema>
export type WantMessage = Infer<typeof wantSchema>
export type FetchMessage = Infer<typeof fetchSchema>
export type RecordsMessage = Infer<typeof recordsSchema>
export type GossipMessage = Infer<typeof gossipSchema>
export type PushMessage = Infer<typeof pushSchema>
export type PushedMessage = Infer<typeof pushedSchema>
export type LookupMessage = Infer<typeof lookupSchema>
export type AnswerMessage = Infer<typeof answerSchema>

export type RegistryMessage =
  | DigestMessage
  | WantMessage
  | FetchMessage
  | RecordsMessage
  | GossipMessage
  | PushMessage
  | PushedMessage
  | LookupMessage
  | AnswerMessage

export const registrySchemas: MessageSchemas<RegistryMessage> = {
  'registry/digest': digestSchema,
  'registry/want': wantSchema,
  'registry/fetch': fetchSchema,
  'registry/records': recordsSchema,
  'registry/gossip': gossipSchema,
  'registry/push': pushSchema,
  'registry/pushed': pushedSchema,
  'registry/lookup': lookupSchema,
  'registry/answer': answerSchema,
}

/** Records are messages of their own on the `record` topic, and stand sealed inside the messages above. */
export const recordSchemas: MessageSchemas<PlainRecord> = {
  'record/spec': specSchema,
  'record/placement': placementSchema,
  'record/instance': instanceSchema,
  'record/rollout': rolloutSchema,
}
