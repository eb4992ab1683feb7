// What electors say to each other. The README has one row for each: who says it, when, and what the hearer does.

import { unreachable } from '../overlay/kernel/assert.ts'
import type { ChildId, DomainPath, NodeId } from '../overlay/kernel/ids.ts'
import type { MessageSchemas } from '../overlay/wire/codec.ts'
import type { Opened } from '../overlay/wire/envelope.ts'
import {
  flag,
  type Infer,
  list,
  literal,
  nullable,
  number,
  object,
  optional,
  type Schema,
  sealed,
  text,
  whole,
} from '../overlay/wire/schema.ts'
import { PROMISE_MS_MAX, VOTES_MAX } from './constants.ts'
import { type Granted, grantsSchema } from './grants.ts'
import { type Predecessor, predecessorSchema, type RegisterVersion, registerSchema } from './register.ts'

const domain = text<DomainPath>(256)
const child = text<ChildId>(256)
const line = text(32)
/** The ticket that the hearer has in the candidate's register; empty where it is no elector there. */
const ticket = text(32)
const version = object({ epoch: whole(), term: whole(), index: whole() })

/** Proof that the sender speaks for a child domain: that domain's own announcement; null in a cluster. */
const speaker: Schema<Opened<Announcement> | null> = nullable(sealed<Announcement>('election/announcement'))

const preVoteSchema = object({
  kind: literal('election/pre-vote'),
  domain,
  line,
  epoch: whole(),
  /** The term that the sender would stand in. */
  term: whole(),
  candidate: child,
  register: version,
  ticket,
  speaker,
})
export type PreVote = Infer<typeof preVoteSchema>

const preVoteAnswerSchema = object({
  kind: literal('election/pre-vote-answer'),
  domain,
  line,
  epoch: whole(),
  /** When granted the term asked for, else the refuser's own. */
  term: whole(),
  voter: child,
  granted: flag,
  /** The refuser's own register, where that is newer than the candidate's and no leader could bring it; else null. */
  register: nullable(registerSchema),
  /** Whether the refuser has no vote in this line any more, and lacks it until a leader makes it an elector again. */
  voteless: optional(flag),
})
export type PreVoteAnswer = Infer<typeof preVoteAnswerSchema>

const voteRequestSchema = object({
  kind: literal('election/vote-request'),
  domain,
  line,
  epoch: whole(),
  term: whole(),
  candidate: child,
  register: version,
  ticket,
  /** The leader itself asked the candidate to stand, so no lease is to be honoured. */
  transfer: flag,
  speaker,
})
export type VoteRequest = Infer<typeof voteRequestSchema>

/** A vote that was given; a majority of these, signed, is the proof of leadership. */
export interface Vote {
  readonly kind: 'election/vote'
  readonly domain: DomainPath
  readonly line: string
  readonly epoch: number
  readonly term: number
  readonly voter: ChildId
  readonly candidate: ChildId
  readonly speaker: Opened<Announcement> | null
}
const voteSchema: Schema<Vote> = object({
  kind: literal('election/vote'),
  domain,
  line,
  epoch: whole(),
  term: whole(),
  voter: child,
  candidate: child,
  speaker,
})

const voteRefusedSchema = object({
  kind: literal('election/vote-refused'),
  domain,
  line,
  epoch: whole(),
  term: whole(),
  voter: child,
})
export type VoteRefused = Infer<typeof voteRefusedSchema>

const heartbeatSchema = object({
  kind: literal('election/heartbeat'),
  domain,
  line,
  epoch: whole(),
  term: whole(),
  leader: child,
  /** The register where the hearer does not hold the newest, else null. */
  register: nullable(registerSchema),
  version,
  /** The leader's monotonic clock, echoed in the answer. */
  sentAt: number(),
  /** Counts the leader's heartbeats within its term, so that the hearer sees which got lost. */
  sequence: whole(),
  /** What the leader measured between itself and the hearer; null before it did. */
  roundTrip: nullable(object({ meanMs: number(0), deviationMs: number(0) })),
  /** Whether the leader has no need of an answer: where nothing gets lost, the hearer may leave it at that. */
  spared: optional(flag),
})
export type Heartbeat = Infer<typeof heartbeatSchema>

const heartbeatAnswerSchema = object({
  kind: literal('election/heartbeat-answer'),
  domain,
  /** The sender's own line; empty while it has no register. */
  line,
  epoch: whole(),
  term: whole(),
  child,
  ticket: text(32),
  /** What the sender holds durably. */
  held: version,
  echo: number(),
  /** For how long from hearing the heartbeat on the sender helps no other candidate. */
  promiseMs: number(0, PROMISE_MS_MAX),
})
export type HeartbeatAnswer = Infer<typeof heartbeatAnswerSchema>

const standNowSchema = object({
  kind: literal('election/stand-now'),
  domain,
  line,
  epoch: whole(),
  term: whole(),
  leader: child,
})
export type StandNow = Infer<typeof standNowSchema>

/** An elector of a domain that has neither a leader nor a majority asks the leader of the parent to be its witness. */
export interface WitnessRequest {
  readonly kind: 'election/witness-request'
  /** The domain that lost its majority. */
  readonly domain: DomainPath
  readonly line: string
  readonly epoch: number
  /** The register that the elector holds. */
  readonly register: RegisterVersion
  readonly child: ChildId
  /** How many electors would vote for it, itself among them. */
  readonly reached: number
  /** The parent's line, as the elector knows it: another line of the parent is no witness. */
  readonly under: string
  readonly speaker: Opened<Announcement> | null
}
const witnessRequestSchema: Schema<WitnessRequest> = object({
  kind: literal('election/witness-request'),
  domain,
  line,
  epoch: whole(),
  register: version,
  child,
  reached: whole(1, 16),
  under: line,
  speaker,
})

const grantSchema = object({ kind: literal('election/grant'), domain, of: line, line, epoch: whole(), child })
/** Tells the survivor what the parent has committed. */
export type Grant = Infer<typeof grantSchema>

const rollCallSchema = object({ kind: literal('election/roll-call'), domain })
/** Asks the leader of a domain to announce itself, if it still leads. */
export type RollCall = Infer<typeof rollCallSchema>

/** Who leads, with the votes that prove it (DESIGN section 6, Proof of leadership). */
export interface Announcement {
  readonly kind: 'election/announcement'
  readonly domain: DomainPath
  readonly line: string
  readonly epoch: number
  readonly term: number
  readonly leader: ChildId
  /** The node that speaks for the leader; the leader itself in a cluster. */
  readonly node: NodeId
  readonly name: string
  readonly electors: readonly ChildId[]
  readonly predecessor: Predecessor | null
  /** Which lines of its children the domain has granted: they lead where two lines of a child meet. */
  readonly grants: readonly Granted[]
  /** Whether its register is committed in its term: from then on it gives orders. */
  readonly established: boolean
  readonly votes: readonly Opened<Vote>[]
  /** Multiaddrs where the node may be reached. */
  readonly addresses: readonly string[]
  /** Counts the leader's announcements within its term, so that an older one does not replace a newer. */
  readonly sequence: number
  /** 0 to 1; what the domain offers its parent as an elector. */
  readonly fitness: number
}
const announcementSchema: Schema<Announcement> = object({
  kind: literal('election/announcement'),
  domain,
  line,
  epoch: whole(),
  term: whole(),
  leader: child,
  node: text<NodeId>(128),
  name: text(128),
  electors: list(child, 16),
  predecessor: nullable(predecessorSchema),
  grants: grantsSchema,
  established: flag,
  votes: list(sealed<Vote>('election/vote'), VOTES_MAX),
  addresses: list(text(256), 16),
  sequence: whole(),
  fitness: number(0, 1),
})

const proofWantedSchema = object({
  kind: literal('election/proof-wanted'),
  domain,
  epoch: whole(),
  term: whole(),
})
/** Asks whoever passed on an order for the proof that its signer led; with epoch 0, who leads now. */
export type ProofWanted = Infer<typeof proofWantedSchema>

const proofSchema = object({
  kind: literal('election/proof'),
  announcement: sealed<Announcement>('election/announcement'),
})
/** Hands on somebody's announcement as it was signed. */
export type Proof = Infer<typeof proofSchema>

export type ElectionMessage =
  | PreVote
  | PreVoteAnswer
  | VoteRequest
  | Vote
  | VoteRefused
  | Heartbeat
  | HeartbeatAnswer
  | StandNow
  | Announcement
  | ProofWanted
  | Proof
  | WitnessRequest
  | Grant
  | RollCall

export const electionSchemas: MessageSchemas<ElectionMessage> = {
  'election/pre-vote': preVoteSchema,
  'election/pre-vote-answer': preVoteAnswerSchema,
  'election/vote-request': voteRequestSchema,
  'election/vote': voteSchema,
  'election/vote-refused': voteRefusedSchema,
  'election/heartbeat': heartbeatSchema,
  'election/heartbeat-answer': heartbeatAnswerSchema,
  'election/stand-now': standNowSchema,
  'election/announcement': announcementSchema,
  'election/proof-wanted': proofWantedSchema,
  'election/proof': proofSchema,
  'election/witness-request': witnessRequestSchema,
  'election/grant': grantSchema,
  'election/roll-call': rollCallSchema,
}

/** The messages that electors exchange; the rest is for everybody who wants to know who leads. */
export type ElectorMessage = Exclude<ElectionMessage, Announcement | ProofWanted | Proof | WitnessMessage>

/** What a domain that lost its majority and its parent say to each other. */
export type WitnessMessage = WitnessRequest | Grant | RollCall

export const isWitnessMessage = (message: { readonly kind: string }): message is WitnessMessage =>
  ['election/witness-request', 'election/grant', 'election/roll-call'].includes(message.kind)

/** The child in whose name a message speaks. */
export function senderOf(message: ElectorMessage): ChildId {
  switch (message.kind) {
    case 'election/pre-vote':
    case 'election/vote-request':
      return message.candidate
    case 'election/pre-vote-answer':
    case 'election/vote':
    case 'election/vote-refused':
      return message.voter
    case 'election/heartbeat':
    case 'election/stand-now':
      return message.leader
    case 'election/heartbeat-answer':
      return message.child
    default:
      return unreachable(message)
  }
}
