// What one elector of one domain knows, and the few questions that every handler asks of it.

import type { Emit, Persist, Send } from '../overlay/kernel/effect.ts'
import type { ChildId, DomainPath, NodeId } from '../overlay/kernel/ids.ts'
import type { StepContext } from '../overlay/kernel/machine.ts'
import { type Random, randomInt } from '../overlay/kernel/random.ts'
import { ok } from '../overlay/kernel/result.ts'
import type { Millis, UnixMillis } from '../overlay/kernel/time.ts'
import type { Opened } from '../overlay/wire/envelope.ts'
import { type ElectionTiming, EPOCH_STEP_MAX } from './constants.ts'
import type { Disturbance } from './credibility.ts'
import type { Announcement, ElectorMessage, Grant, PreVote, Vote, WitnessRequest } from './messages.ts'
import { electorIds, type Register, type RegisterVersion, versionOf } from './register.ts'
import { readSaved } from './saved.ts'
import { type Answers, type Pace, roundTripMsMost, shortestTimeoutMs, UNMEASURED } from './timing.ts'
import type { Pleas } from './witness.ts'

/** What the election has to know of a child: kept by the roster in a cluster, by announcements above. */
export interface ChildFact {
  readonly child: ChildId
  readonly alive: boolean
  /** Since when it has been alive without a break. */
  readonly steadySince: Millis
  /** 0 to 1. */
  readonly fitness: number
  readonly canLead: boolean
}

export interface Fence {
  readonly epoch: number
  readonly term: number
}

/** How far an elector has come, as its leader sees it. */
export interface Progress extends Answers {
  readonly held: RegisterVersion
  /** When the heartbeat was sent that it answered last. */
  readonly heardOf: Millis
  /** Until when the leader may count on it, by the longest promise that it gave. */
  readonly leaseUntil: Millis
  /** The ticket that it said it holds; null until it answered. */
  readonly ticket: string | null
  /** When it was seen to have lost the memory of another ticket; negative infinity where it never was. */
  readonly forgotAt: Millis
}

export interface Proposal {
  readonly index: number
  readonly token: string
  /** What happens once it is committed, besides telling who proposed it. */
  readonly then: readonly ElectionEffect[]
}

/** The line of a child domain as the leader book has it. */
export interface KnownLine {
  readonly line: string
  readonly epoch: number
  readonly electors: readonly ChildId[]
  /** When its leader last said something that nobody can have kept for it. */
  readonly spokenAt: Millis
}

/** Two lines of the domain met, here. */
export interface Meeting {
  readonly kept: string
  readonly left: string
  /** Wall clock. */
  readonly at: UnixMillis
}

/** What a domain that lost its majority does when nobody can be its witness (DESIGN section 6). */
export type Autonomy = 'automatic' | 'manual'

export interface Leading {
  readonly kind: 'leader'
  readonly since: Millis
  readonly votes: readonly Opened<Vote>[]
  /** Whether its register was committed in its own term: only then it gives orders. */
  readonly established: boolean
  readonly committedIndex: number
  readonly progress: ReadonlyMap<ChildId, Progress>
  readonly proposals: readonly Proposal[]
  readonly heartbeatAt: Millis
  /** When it last spoke to all electors, and the time before; negative infinity before it did. */
  readonly spokeAt: Millis
  readonly spokeBefore: Millis
  /** So many times in a row it spoke after all had answered, each of them soon. */
  readonly calmBeats: number
  /** Heartbeats so far; each carries the number of its own. */
  readonly heartbeats: number
  readonly announceAt: Millis
  readonly leaseUntil: Millis
  /** A learner that is being brought up to date before its promotion. */
  readonly probation: ChildId | null
  /** The index that changed the electors last; nothing changes them again before it is committed. */
  readonly electorsIndex: number
  /** Electors that gave their vote of this term to somebody else, and so can prove nothing for this leader. */
  readonly refusals: ReadonlySet<ChildId>
  readonly announcements: number
  /** Survivors of child domains that ask for a witness. */
  readonly pleas: ReadonlyMap<DomainPath, Pleas>
  /** Electors that are much fitter than this leader, and since when without a break. */
  readonly fitter: ReadonlyMap<ChildId, Millis>
  /** Who was asked to take over, and until when it may. */
  readonly handingOver: { readonly heir: ChildId; readonly until: Millis } | null
}

export type Role =
  | { readonly kind: 'follower' }
  | { readonly kind: 'pre-candidate'; readonly term: number; readonly granted: ReadonlySet<ChildId> }
  | {
      readonly kind: 'candidate'
      readonly since: Millis
      readonly votes: ReadonlyMap<ChildId, Opened<Vote>>
      /** Electors that gave their vote of this term to somebody else. */
      readonly refusals: ReadonlySet<ChildId>
    }
  | Leading

export interface KnownLeader {
  readonly child: ChildId
  /** Until when this elector helps nobody else: what it promised, or less if the connection to the leader closed. */
  readonly honouredUntil: Millis
}

export interface ElectionState {
  readonly domain: DomainPath
  readonly self: ChildId
  readonly timing: ElectionTiming
  readonly quorumLossMs: Millis
  readonly electorsMax: number
  readonly autonomy: Autonomy
  readonly fitness: number
  /** The proof that this node speaks for `self` where that is a domain. */
  readonly speaker: Opened<Announcement> | null

  readonly epoch: number
  readonly term: number
  readonly votedFor: ChildId | null
  readonly ticket: string
  readonly register: Register | null
  /** The register that is known to be on disk. */
  readonly durable: RegisterVersion

  /** When this elector began to listen. */
  readonly startedAt: Millis
  readonly role: Role
  readonly leader: KnownLeader | null
  /** What was measured between this elector and its leaders. */
  readonly pace: Pace
  /** When to stand, or to found a line where there is no register; null while leading. */
  readonly standAt: Millis | null
  /** Since when no leader was heard. */
  readonly leaderlessSince: Millis
  /** As the host keeps it, who may change it in place and says so each time: a cluster's members are hundreds. */
  readonly children: ReadonlyMap<ChildId, ChildFact>
  /** Children whose connection closed and has not opened again. */
  readonly closed: ReadonlySet<ChildId>
  /** When others were heard besides a leader, whom `leader` has, and its electors, whom `progress` has (allHeard). */
  readonly heard: ReadonlyMap<ChildId, Millis>
  /** The electors of the line that was announced last, for who has no register itself; empty while none was. */
  readonly heardOf: readonly ChildId[]
  /** Electors that said, when they were asked last, that they have no vote: they lost the memory of what they voted. */
  readonly voteless: ReadonlySet<ChildId>
  readonly meeting: Meeting | null
  /** Whose leadership was announced to this elector last, with the votes that prove it. */
  readonly announced: Pick<Announcement, 'leader' | 'epoch' | 'term'> | null
  /** Children that made it begin elections that may have been needless. */
  readonly disturbances: ReadonlyMap<ChildId | NodeId, Disturbance>
  /** Who asked around last and was refused only for the leader's lease, and when. */
  readonly refused: { readonly message: PreVote; readonly at: Millis } | null
}

export const childrenFrom = (facts: readonly ChildFact[]): ReadonlyMap<ChildId, ChildFact> =>
  new Map(facts.map((fact) => [fact.child, fact]))

export type ElectionInput =
  | { readonly kind: 'start' }
  | { readonly kind: 'message'; readonly opened: Opened<ElectorMessage> }
  | { readonly kind: 'children'; readonly children: ReadonlyMap<ChildId, ChildFact> }
  | { readonly kind: 'connection-closed'; readonly child: ChildId }
  | { readonly kind: 'connection-open'; readonly child: ChildId }
  /** Replaces one key of the domain's memory; `committed` with the token follows, or nothing if leadership is lost. */
  | { readonly kind: 'propose'; readonly key: string; readonly value: Uint8Array; readonly token: string }
  /**
   * An announcement of this domain that proves itself (checkProof) and is not this node's own, whether or not the
   * leader book goes along with it: what an elector has to hear of above all is another line that the book does not
   * believe. `granted` is the line that the parent has granted, null where it granted none.
   */
  | { readonly kind: 'announced'; readonly announcement: Announcement; readonly granted: string | null }
  /** Somebody pleads with this domain's leader for a child domain; `known` is what the leader book has of that. */
  | { readonly kind: 'plea'; readonly request: WitnessRequest; readonly known: KnownLine | null }
  /** The proven leader of the parent grants this elector that its side is the domain. */
  | { readonly kind: 'granted'; readonly grant: Grant }
  /** The parent asks whether anybody leads. */
  | { readonly kind: 'roll-call' }
  /** An operator orders to go on without the majority; nothing happens where `recoveryProblem` has one. */
  | { readonly kind: 'recover' }
  | { readonly kind: 'fitness'; readonly fitness: number }
  | { readonly kind: 'speaker'; readonly speaker: Opened<Announcement> }
  /** Hand leadership over, e.g. before a shutdown. */
  | { readonly kind: 'transfer' }
  | { readonly kind: 'written'; readonly version: RegisterVersion }
  | { readonly kind: 'wake' }

export type ElectionEffect =
  | Send<ElectorMessage | Grant>
  /** To whoever leads the parent; the host adds the parent's line. */
  | { readonly kind: 'ask-parent'; readonly message: Omit<WitnessRequest, 'under'> }
  /** Asks the leader of a child domain, as the book has it, whether it is there. */
  | { readonly kind: 'roll-call'; readonly domain: DomainPath }
  | Persist<ElectionEffect>
  | Emit
  /** Feeds an input back to this machine, e.g. after a write. */
  | { readonly kind: 'again'; readonly input: ElectionInput }
  /** Publish that this node leads; the host adds its name and addresses, seals it and tells its own leader book. */
  | { readonly kind: 'announce'; readonly announcement: OwnAnnouncement }
  /** From here on this node gives orders under the fence, and speaks for the domain in its parent. */
  | { readonly kind: 'lead'; readonly fence: Fence }
  | { readonly kind: 'unlead' }
  | { readonly kind: 'committed'; readonly token: string }

export type OwnAnnouncement = Pick<
  Announcement,
  | 'domain'
  | 'line'
  | 'epoch'
  | 'term'
  | 'leader'
  | 'electors'
  | 'predecessor'
  | 'grants'
  | 'established'
  | 'votes'
  | 'sequence'
>

export interface ElectionOptions {
  readonly domain: DomainPath
  readonly self: ChildId
  readonly timing: ElectionTiming
  readonly electorsMax: number
  readonly autonomy: Autonomy
  readonly fitness: number
  readonly speaker: Opened<Announcement> | null
  /** What `persist` wrote last; null on a first start. */
  readonly saved: Uint8Array | null
}

/**
 * The state to start from. A saved state that cannot be read is worth no vote: the elector starts with a new ticket,
 * as a learner, and `damaged` says so.
 */
export function createElection(
  options: ElectionOptions,
  { now, random }: StepContext,
): { readonly state: ElectionState; readonly damaged: string | null } {
  const { saved, ...rest } = options
  const read = saved === null ? ok(null) : readSaved(saved)
  const known = read.ok ? read.value : null
  const isCluster = !options.self.startsWith('/')
  const state: ElectionState = {
    ...rest,
    quorumLossMs: isCluster ? options.timing.quorumLossMs.cluster : options.timing.quorumLossMs.above,
    epoch: known?.epoch ?? 0,
    term: known?.term ?? 0,
    votedFor: known?.votedFor ?? null,
    ticket: known === null || known.ticket === '' ? drawName(random) : known.ticket,
    register: known?.register ?? null,
    durable: versionOf(known?.register ?? null),
    startedAt: now,
    role: { kind: 'follower' },
    leader: null,
    pace: UNMEASURED,
    standAt: null,
    leaderlessSince: now,
    children: new Map(),
    closed: new Set(),
    heard: new Map(),
    heardOf: [],
    voteless: new Set(),
    meeting: null,
    announced: null,
    disturbances: new Map(),
    refused: null,
  }
  return { state, damaged: read.ok ? null : read.error }
}

/** A name that nobody else draws: 52 bits, twice. */
export const drawName = (random: Random): string =>
  [0, 0]
    .map(() =>
      randomInt(random, 0, 2 ** 52)
        .toString(16)
        .padStart(13, '0'),
    )
    .join('')

/** Whether this child has a vote: its ticket stands in the register. */
export const isElector = (state: ElectionState): boolean =>
  state.register?.electors.some(({ child, ticket }) => child === state.self && ticket === state.ticket) ?? false

/** An epoch above the given one that no other line is likely to draw. */
export const epochAbove = (epoch: number, random: Random): number => epoch + randomInt(random, 1, EPOCH_STEP_MAX)

/** The electors besides this one. */
export const otherElectors = (state: ElectionState): readonly ChildId[] =>
  electorIds(state.register).filter((child) => child !== state.self)

export const lineOf = (state: ElectionState): string => state.register?.line ?? ''

/** The shortest silence in which this elector neither stands nor helps anybody else, by what it measured. */
export const patienceOf = (state: ElectionState): Millis => shortestTimeoutMs(state.timing, state.pace)

/** How long this elector waits in silence: drawn from the range, and the shorter the fitter it is. */
export function drawTimeout(state: ElectionState, random: Random): Millis {
  const { electionTimeoutMsMin, electionTimeoutMsMax } = state.timing
  const spread = electionTimeoutMsMax / electionTimeoutMsMin - 1
  return patienceOf(state) * (1 + spread * random.next() * (1 - state.fitness / 2))
}

/** How long a candidate waits before it tries again: a fraction of a timeout, since nobody leads anyway. */
export const drawRetry = (state: ElectionState, random: Random): Millis => retryMsMin(state) * (1 + random.next())

/** For at least so long a candidate waits for those whom it asked. */
export const retryMsMin = (state: ElectionState): Millis =>
  Math.max(state.timing.electionTimeoutMsMin / 5, roundTripMsMost(state.pace.roundTrip))

/** How long a candidate that lost its term waits: until a winner was heard, then as drawn, so that one asks first. */
export const drawSplit = (state: ElectionState, random: Random): Millis =>
  Math.max(state.timing.hintDelayMsMax, roundTripMsMost(state.pace.roundTrip)) * (1 + random.next())

/** Whether another leader's lease forbids this elector to help a candidate. */
export function honoursAnother(state: ElectionState, candidate: ChildId, now: Millis): boolean {
  if (state.role.kind === 'leader') return candidate !== state.self && now < state.role.leaseUntil
  const { leader } = state
  return leader !== null && leader.child !== candidate && now < leader.honouredUntil
}
