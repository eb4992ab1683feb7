// What the members of one cluster say to each other about being there. Statements and reports are facts with an owner
// and a version, kept in their envelopes and handed on; probes and digests are talk, worth nothing a second later.

import type { DomainPath, NodeId } from '../kernel/ids.ts'
import { decodeBounded, encodeCbor, type MessageSchemas } from '../wire/codec.ts'
import type { Opened } from '../wire/envelope.ts'
import { flag, type Infer, list, literal, nullable, number, object, sealed, text, whole } from '../wire/schema.ts'
import {
  ADDRESS_CHARS_MAX,
  ADDRESSES_MAX,
  DIGEST_ITEMS_MAX,
  DIGEST_PARTS_MAX,
  ENTRIES_ITEMS_MAX,
  NAME_CHARS_MAX,
} from './constants.ts'

const domain = text<DomainPath>(256)
const node = text<NodeId>(128)

/** What a node says about itself; replaced by one with a higher incarnation, then version. */
export const statementSchema = object({
  kind: literal('membership/member'),
  domain,
  node,
  /** Raised at each start and to refute; never lowered. */
  incarnation: whole(),
  /** Counts the statements of one incarnation. */
  version: whole(),
  state: literal('alive', 'left'),
  name: text(NAME_CHARS_MAX),
  /** Multiaddrs under which it may be reached. */
  addresses: list(text(ADDRESS_CHARS_MAX), ADDRESSES_MAX),
  /** 0 (worst) to 1 (best), as election/ reckons it. */
  fitness: number(0, 1),
  canLead: flag,
  isRelay: flag,
})
export type MemberStatement = Infer<typeof statementSchema>

/** A watcher's opinion on whom it watches; its latest by `sequence` counts. */
export const reportSchema = object({
  kind: literal('membership/report'),
  domain,
  subject: node,
  /** The subject's incarnation that it is about; of another one it says nothing. */
  incarnation: whole(),
  verdict: literal('unreachable', 'reachable'),
  /** What was seen; when the verdict is `reachable`, what is taken back. */
  cause: literal('connection-closed', 'probe-lost', 'probe-slow'),
  /** Grows with each report of this watcher, across its restarts. */
  sequence: whole(),
})
export type WatcherReport = Infer<typeof reportSchema>

export const probeSchema = object({ kind: literal('membership/probe'), domain, nonce: whole() })
export type Probe = Infer<typeof probeSchema>

export const ackSchema = object({ kind: literal('membership/ack'), domain, nonce: whole() })
export type Ack = Infer<typeof ackSchema>

/** What is held of one part of the roster: the members (and the reports on them) whose hash falls into the part. */
export const digestDetailSchema = object({
  part: whole(0, DIGEST_PARTS_MAX - 1),
  parts: whole(1, DIGEST_PARTS_MAX),
  members: list(object({ node, incarnation: whole(), version: whole(), isDead: flag }), DIGEST_ITEMS_MAX),
  reports: list(object({ subject: node, watcher: node, sequence: whole() }), DIGEST_ITEMS_MAX),
})
export type DigestDetail = Infer<typeof digestDetailSchema>

/** First only the hash over all; the detail follows where the hashes differ. */
export const digestSchema = object({
  kind: literal('membership/digest'),
  domain,
  hash: whole(),
  detail: nullable(digestDetailSchema),
  /** Whether a detail shall be answered with the receiver's own where that lacks something. */
  wantsAnswer: flag,
})
export type Digest = Infer<typeof digestSchema>

export const entriesSchema = object({
  kind: literal('membership/entries'),
  domain,
  members: list(sealed<MemberStatement>('membership/member'), ENTRIES_ITEMS_MAX),
  reports: list(sealed<WatcherReport>('membership/report'), ENTRIES_ITEMS_MAX),
})
export type Entries = Infer<typeof entriesSchema>

export type MembershipMessage = MemberStatement | WatcherReport | Probe | Ack | Digest | Entries

export const membershipSchemas: MessageSchemas<MembershipMessage> = {
  'membership/member': statementSchema,
  'membership/report': reportSchema,
  'membership/probe': probeSchema,
  'membership/ack': ackSchema,
  'membership/digest': digestSchema,
  'membership/entries': entriesSchema,
}

export type SealedStatement = Opened<MemberStatement>
export type SealedReport = Opened<WatcherReport>

/** Where the statements of a cluster's members stand in the node's store; the value is the sealed envelope. */
export const memberKeyPrefix = (of: DomainPath): string => `membership/${of}/member/`
export const memberKey = (of: DomainPath, member: NodeId): string => `${memberKeyPrefix(of)}${member}`

/** Where this node's own incarnation stands; whoever boots the node raises it by one, with sync, before it speaks. */
export const incarnationKey = (of: DomainPath): string => `membership/${of}/incarnation`
export const encodeIncarnation = (incarnation: number): Uint8Array => encodeCbor(incarnation)

/** The stored incarnation; null for bytes that hold none. */
export function decodeIncarnation(bytes: Uint8Array): number | null {
  const raw = decodeBounded(bytes)
  return raw.ok && Number.isSafeInteger(raw.value) && (raw.value as number) >= 0 ? (raw.value as number) : null
}
