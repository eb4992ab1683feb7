// The leader's side: it speaks to its electors, counts who holds the register, keeps its lease, and changes one
// elector at a time.

import { invariant } from '../overlay/kernel/assert.ts'
import { emit } from '../overlay/kernel/effect.ts'
import type { ChildId } from '../overlay/kernel/ids.ts'
import type { StepContext } from '../overlay/kernel/machine.ts'
import type { Millis } from '../overlay/kernel/time.ts'
import type { Opened } from '../overlay/wire/envelope.ts'
import { MEMORY_BYTES_MAX, MEMORY_KEYS_MAX, MEMORY_TOTAL_BYTES_MAX } from './constants.ts'
import { nextElectorChange, nextOnProbation } from './electors.ts'
import { handOverToFitter } from './handing-over.ts'
import type { Heartbeat, HeartbeatAnswer, Vote } from './messages.ts'
import { allHeard } from './operator-order.ts'
import { announceIfDue, askForVotes } from './proving.ts'
import {
  compareTerms,
  compareVersions,
  electorIds,
  majorityOf,
  NO_VERSION,
  type Register,
  type RegisterVersion,
  versionOf,
} from './register.ts'
import { save } from './saved.ts'
import {
  drawRetry,
  drawTimeout,
  type ElectionEffect,
  type ElectionState,
  type Leading,
  lineOf,
  otherElectors,
  type Progress,
  type Proposal,
  patienceOf,
} from './state.ts'
import { isCalm, isQuick, leaseOf, type RoundTrip, UNANSWERED, withAnswer } from './timing.ts'

/**
 * So many beats pass at once where nobody hears them: as many as a lease outlasts (constants.ts), since the lease is
 * all that they renew.
 */
const BEATS_UNHEARD = 4
/**
 * And so many where each was answered soon, for long: answers are as many as where every other one is spared, so the
 * lease is renewed as often, and a timeout is still three of these intervals.
 */
const BEATS_CALM = 2

const NEVER: Millis = Number.NEGATIVE_INFINITY
const NO_PROGRESS: Progress = {
  held: NO_VERSION,
  heardOf: NEVER,
  leaseUntil: NEVER,
  ...UNANSWERED,
  ticket: null,
  forgotAt: NEVER,
}

/**
 * Won: re-commits the register in its own term, which also commits whatever an earlier leader left unfinished (Raft,
 * section 5.4.2).
 */
export function beginLeading(
  state: ElectionState,
  votes: readonly Opened<Vote>[],
  context: StepContext,
  out: ElectionEffect[],
): ElectionState {
  const { now } = context
  const { epoch, term } = state
  const register = { ...(state.register as Register), epoch, term, index: versionOf(state.register).index + 1 }
  const role: Leading = {
    kind: 'leader',
    since: now,
    votes,
    established: false,
    committedIndex: 0,
    progress: new Map(),
    proposals: [],
    heartbeatAt: now,
    spokeAt: NEVER,
    spokeBefore: NEVER,
    calmBeats: 0,
    heartbeats: 0,
    announceAt: now,
    leaseUntil: now + leaseOf(patienceOf(state)),
    probation: null,
    electorsIndex: register.index,
    refusals: new Set(),
    announcements: 0,
    pleas: new Map(),
    fitter: new Map(),
    handingOver: null,
  }
  out.push(emit('leader-elected', { domain: state.domain, leader: state.self, epoch, term, votes: votes.length }))
  const leading: ElectionState = { ...state, register, role, leader: null, standAt: null, leaderlessSince: now }
  return announceIfDue(beat(save(leading, out, []), context, out), context, out)
}

/** No longer leader, candidate or pre-candidate; waits for somebody else first. */
export function stepDown(state: ElectionState, { now, random }: StepContext, out: ElectionEffect[]): ElectionState {
  if (state.role.kind === 'leader') {
    out.push({ kind: 'unlead' })
    out.push(emit('leader-stepped-down', { domain: state.domain, epoch: state.epoch, term: state.term }))
  }
  const leaderlessSince = state.role.kind === 'leader' ? now : state.leaderlessSince
  return {
    ...state,
    role: { kind: 'follower' },
    leader: null,
    heard: allHeard(state),
    standAt: now + drawTimeout(state, random),
    leaderlessSince,
  }
}

/** Whatever the leader does by the clock. */
export function leadOn(state: ElectionState, context: StepContext, out: ElectionEffect[]): ElectionState {
  const { now } = context
  const renewed = renewLease(state, now)
  const { role } = renewed
  if (role.kind !== 'leader') return state
  if (now >= role.leaseUntil) return stepDown(state, context, out)
  const probation = nextOnProbation(state, role, now)
  const beating = now >= role.heartbeatAt ? beat({ ...renewed, role: { ...role, probation } }, context, out) : renewed
  return announceIfDue(handOverToFitter(changeElectors(beating, context, out), context, out), context, out)
}

/** Speaks to every elector, and to the learner on probation; those who lack the newest register get it whole. */
function beat(state: ElectionState, { now }: StepContext, out: ElectionEffect[]): ElectionState {
  if (state.role.kind !== 'leader') return state
  const { probation, heartbeats, spokeAt } = state.role
  const hearers = probation === null ? otherElectors(state) : [...otherElectors(state), probation]
  const calmBeats = calmBeatsAt(state, state.role, hearers, now)
  const role: Leading = { ...state.role, heartbeats: heartbeats + 1, calmBeats }
  for (const child of hearers) out.push({ kind: 'send', to: child, message: heartbeatFor(state, role, child, now) })
  askForVotes(state, out)
  const beats = hearers.length === 0 ? BEATS_UNHEARD : isCalm(calmBeats) ? BEATS_CALM : 1
  const heartbeatAt = nextBeat(now, beats * state.timing.heartbeatMs)
  return renewLease({ ...state, role: { ...role, heartbeatAt, spokeAt: now, spokeBefore: spokeAt } }, now)
}

/** How many times in a row all have answered by now; of who was spared the last answer, the one before counts. */
function calmBeatsAt({ timing }: ElectionState, role: Leading, hearers: readonly ChildId[], now: Millis): number {
  // Something new is said at once: what was said a moment ago nobody can have answered yet.
  if (now - role.spokeAt < timing.heartbeatMs / 2) return role.calmBeats
  const since = isCalm(role.calmBeats) ? role.spokeAt : role.spokeBefore
  const hasAnswered = (child: ChildId): boolean => {
    const { heardOf, roundTrip } = role.progress.get(child) ?? NO_PROGRESS
    return heardOf > NEVER && heardOf >= since && isQuick(timing, roundTrip)
  }
  return hearers.every(hasAnswered) ? role.calmBeats + 1 : 0
}

/** On the next full interval of this node's clock: whoever leads several domains wakes up once for all of them. */
const nextBeat = (now: Millis, intervalMs: Millis): Millis => (Math.floor(now / intervalMs) + 1) * intervalMs

/** Tells a child that asks around for votes who leads, and whether it is still an elector. */
export function greet(state: ElectionState, child: ChildId, { now }: StepContext, out: ElectionEffect[]): void {
  if (state.role.kind !== 'leader') return
  out.push({ kind: 'send', to: child, message: heartbeatFor(state, state.role, child, now) })
}

function heartbeatFor(state: ElectionState, role: Leading, child: ChildId, now: Millis): Heartbeat {
  const version = versionOf(state.register)
  const { held, roundTrip, heardOf } = role.progress.get(child) ?? NO_PROGRESS
  const { domain, epoch, term } = state
  const isHeardOf = heardOf >= role.spokeAt && heardOf > NEVER && isQuick(state.timing, roundTrip)
  const spared = isHeardOf && !isCalm(role.calmBeats)
  return {
    kind: 'election/heartbeat',
    domain,
    line: lineOf(state),
    epoch,
    term,
    leader: state.self,
    register: compareVersions(held, version) < 0 ? state.register : null,
    version,
    sentAt: now,
    sequence: role.heartbeats,
    roundTrip: roundTrip === null ? null : inWholeMs(roundTrip),
    ...(spared && { spared }),
  }
}

/** Whole numbers are shorter on the wire, and what is rounded up still is enough. */
const inWholeMs = ({ meanMs, deviationMs }: RoundTrip): RoundTrip => ({
  meanMs: Math.ceil(meanMs),
  deviationMs: Math.ceil(deviationMs),
})

export function onHeartbeatAnswer(
  state: ElectionState,
  message: HeartbeatAnswer,
  context: StepContext,
  out: ElectionEffect[],
): ElectionState {
  const { role } = state
  const isOfLine = message.line === lineOf(state) || message.line === ''
  if (role.kind !== 'leader' || !isOfLine || message.echo > context.now) return state
  if (message.line !== '' && compareTerms(message, state) > 0) {
    const { epoch, term } = message
    // Should nobody lead in that term, then whoever led until now need not wait as long as for a lease.
    const standAt = context.now + drawRetry(state, context.random)
    return save({ ...stepDown(state, context, out), epoch, term, votedFor: null, standAt }, out, [])
  }
  if (compareTerms(message, state) !== 0) return state
  const before = role.progress.get(message.child) ?? NO_PROGRESS
  const after: Progress = {
    held: newestHeld(before, message),
    heardOf: Math.max(before.heardOf, message.echo),
    leaseUntil: Math.max(before.leaseUntil, message.echo + leaseOf(message.promiseMs)),
    ...withAnswer(before, context.now - message.echo, context.now, state.timing.heartbeatMs),
    ticket: message.ticket,
    forgotAt: hasForgotten(before, message) ? context.now : before.forgotAt,
  }
  const progress = new Map(role.progress).set(message.child, after)
  const heard = renewLease({ ...state, role: { ...role, progress } }, context.now)
  return announceIfDue(changeElectors(commit(heard, out), context, out), context, out)
}

/** What is on a disk stays there under the same ticket: an answer that another one overtook takes nothing back. */
function newestHeld(before: Progress, { held, ticket }: HeartbeatAnswer): RegisterVersion {
  return before.ticket === ticket && compareVersions(held, before.held) < 0 ? before.held : held
}

const hasForgotten = (before: Progress, message: HeartbeatAnswer): boolean =>
  before.ticket !== null && before.ticket !== message.ticket

/**
 * The lease lasts for as long as a majority promised, each in its answers, to help nobody else (itself at any time).
 * What an elector promised it keeps, so the lease stays safe when estimates shrink later.
 */
function renewLease(state: ElectionState, now: Millis): ElectionState {
  const { role, register } = state
  if (role.kind !== 'leader' || register === null) return state
  const byMajority = promisedUntil(role, register, state.self, now + leaseOf(patienceOf(state)))
  return { ...state, role: { ...role, leaseUntil: Math.max(role.leaseUntil, byMajority) } }
}

/** Until when a majority has promised to help nobody else, this elector itself until `own`. */
function promisedUntil({ progress }: Leading, { electors }: Register, self: ChildId, own: Millis): Millis {
  const promised = electors.map(({ child, ticket }) => {
    if (child === self) return own
    const known = progress.get(child)
    return known?.ticket === ticket ? known.leaseUntil : NEVER
  })
  promised.sort((a, b) => b - a)
  return promised[majorityOf(promised.length) - 1] ?? NEVER
}

/** Counts who durably holds the register of this term; what a majority holds is committed. */
export function commit(state: ElectionState, out: ElectionEffect[]): ElectionState {
  const { role, register } = state
  if (role.kind !== 'leader' || register === null) return state
  const held = register.electors.map(({ child, ticket }) => {
    const progress = child === state.self ? { held: state.durable, ticket: state.ticket } : role.progress.get(child)
    const isHeld = progress !== undefined && progress.ticket === ticket && compareTerms(progress.held, state) === 0
    return isHeld ? progress.held.index : 0
  })
  held.sort((a, b) => b - a)
  const committedIndex = Math.max(role.committedIndex, held[majorityOf(held.length) - 1] ?? 0)
  if (committedIndex === role.committedIndex) return state
  if (!role.established) {
    const fence = { epoch: state.epoch, term: state.term }
    out.push({ kind: 'lead', fence })
  }
  // Until here it had the time of its own estimate to be heard in. Its orders count on what was promised.
  const byMajority = promisedUntil(role, register, state.self, Number.POSITIVE_INFINITY)
  const leaseUntil = role.established ? role.leaseUntil : Math.min(role.leaseUntil, byMajority)
  for (const proposal of role.proposals) {
    if (proposal.index <= committedIndex) out.push({ kind: 'committed', token: proposal.token }, ...proposal.then)
  }
  const proposals = role.proposals.filter((proposal) => proposal.index > committedIndex)
  // Others hear at once that it may give orders now.
  const announceAt = role.established ? role.announceAt : NEVER
  return { ...state, role: { ...role, established: true, announceAt, leaseUntil, committedIndex, proposals } }
}

/** Replaces one key of the domain's memory, and tells the electors at once. */
export function propose(
  state: ElectionState,
  change: Pick<Proposal, 'token' | 'then'> & { readonly key: string; readonly value: Uint8Array },
  context: StepContext,
  out: ElectionEffect[],
): ElectionState {
  const { role, register } = state
  if (role.kind !== 'leader' || register === null) return state
  const index = register.index + 1
  const memory = { ...register.memory, [change.key]: change.value }
  checkMemory(memory)
  const proposals = [...role.proposals, { index, token: change.token, then: change.then }]
  const next: ElectionState = { ...state, register: { ...register, index, memory }, role: { ...role, proposals } }
  return beat(save(next, out, []), context, out)
}

/** What does not fit into a heartbeat would never be committed: whoever remembers so much has to remember less. */
function checkMemory(memory: Readonly<Record<string, Uint8Array>>): void {
  const sizes = Object.values(memory).map(({ length }) => length)
  invariant(sizes.length <= MEMORY_KEYS_MAX, 'a domain remembers few things')
  invariant(
    sizes.every((size) => size <= MEMORY_BYTES_MAX),
    'a domain remembers small things',
  )
  invariant(sizes.reduce((sum, size) => sum + size, 0) <= MEMORY_TOTAL_BYTES_MAX, 'a domain remembers little')
}

/** One change of electors at a time, and only when the last one is committed in this term (Raft, section 6). */
export function changeElectors(state: ElectionState, context: StepContext, out: ElectionEffect[]): ElectionState {
  const { role, register } = state
  if (role.kind !== 'leader' || register === null || !role.established) return state
  if (role.committedIndex < role.electorsIndex) return state
  const change = nextElectorChange(state, role, register, context.now)
  if (change === null) return role.probation === null ? state : { ...state, role: { ...role, probation: null } }
  if (change.kind === 'probe') {
    if (role.probation === change.child) return state
    return beat({ ...state, role: { ...role, probation: change.child } }, context, out)
  }
  const index = register.index + 1
  const { electors } = change
  out.push(emit('electors-changed', { domain: state.domain, electors: electors.map(({ child }) => child).join(' ') }))
  const next: ElectionState = {
    ...state,
    register: { ...register, index, electors },
    role: { ...role, probation: null, electorsIndex: index, announceAt: context.now },
  }
  return beat(save(next, out, []), context, out)
}

/** A leader that sees the connections to a majority close steps down at once (DESIGN section 6). */
export function onElectorClosed(state: ElectionState, context: StepContext, out: ElectionEffect[]): ElectionState {
  const electors = electorIds(state.register)
  const open = electors.filter((child) => !state.closed.has(child)).length
  return open < majorityOf(electors.length) ? stepDown(state, context, out) : state
}
