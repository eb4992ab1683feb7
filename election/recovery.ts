// Lines. A line is one unbroken succession of majorities. A new one begins where there was none, or where the
// majority is gone for good; and where two lines of one domain meet, a rule that both sides compute alike says which
// goes on.

import { emit } from '../overlay/kernel/effect.ts'
import { type ChildId, isDomain } from '../overlay/kernel/ids.ts'
import type { StepContext } from '../overlay/kernel/machine.ts'
import type { Millis } from '../overlay/kernel/time.ts'
import { disturbedBy, isFarAhead, votedTwice } from './credibility.ts'
import { stepDown } from './leading.ts'
import { barrenPatienceMs, hasLostVote, inquire } from './lost-votes.ts'
import type { Announcement, Grant } from './messages.ts'
import { recoveryProblem } from './operator-order.ts'
import { type Cause, compareTerms, electorIds, majorityOf, NO_VERSION, type Register, versionOf } from './register.ts'
import { save, withoutVotes } from './saved.ts'
import { adoptTerm, canvass, stand } from './standing.ts'
import {
  drawName,
  drawTimeout,
  type ElectionEffect,
  type ElectionState,
  epochAbove,
  isElector,
  type Leading,
  lineOf,
} from './state.ts'
import { plead } from './witness.ts'

/** Stands, founds or recovers, as the silence has lasted long enough for it. */
export function onSilence(state: ElectionState, context: StepContext, out: ElectionEffect[]): ElectionState {
  const { now } = context
  // The roster learns of this very child a moment after the start; a whole timeout would be long on a slow preset.
  const isKnown = state.children.has(state.self)
  if (state.register === null && !isKnown) return { ...state, standAt: now + state.timing.hintDelayMsMax }
  if (state.register === null)
    return mayFound(state, now) && hasListened(state, now) ? found(state, context, out) : waitOn(state, context)
  if (!isElector(state) && isOrphaned(state, now)) return onSilently(state, context, out)
  if (hasLostVote(state)) return inquire(state, context, out)
  if (!isElector(state)) return waitOn(state, context)
  if (isQuorumLost(state, now)) return onSilently(state, context, out)
  plead(state, context, out)
  return canvass(state, context, out)
}

/**
 * Whether this node was awake as it waited for word of a line. If it looks late, what was said may still wait to be
 * read. On a machine where it always does, one that never hears of anybody founds all the same.
 */
const hasListened = ({ standAt, leaderlessSince, timing, quorumLossMs }: ElectionState, now: Millis): boolean =>
  now - (standAt ?? now) < timing.heartbeatMs || now - leaderlessSince >= quorumLossMs

/** Begins the first line of a domain: with this child as its only elector, the others join as learners. */
function found(state: ElectionState, context: StepContext, out: ElectionEffect[]): ElectionState {
  const line = drawName(context.random)
  const epoch = epochAbove(state.epoch, context.random)
  out.push(emit('domain-founded', { domain: state.domain, line, epoch }))
  const electors = [{ child: state.self, ticket: state.ticket }]
  const register: Register = { line, epoch, term: state.term, index: 1, electors, predecessor: null, memory: {} }
  return stand({ ...state, epoch, register }, context, out, { transfer: true })
}

/** Nobody was there to be asked, and nobody spoke up. */
const onSilently = (state: ElectionState, context: StepContext, out: ElectionEffect[]): ElectionState =>
  goOn(state, 'silence', null, context, out)

/** The parent granted that this side is the domain. A leader that was heard since makes that needless. */
export function onGranted(
  state: ElectionState,
  grant: Grant,
  context: StepContext,
  out: ElectionEffect[],
): ElectionState {
  const isWanted = grant.child === state.self && grant.of === lineOf(state) && grant.epoch > state.epoch
  const isLed = state.role.kind === 'leader' || state.leader !== null
  return isWanted && !isLed && isElector(state) ? goOn(state, 'grant', grant, context, out) : state
}

/** An operator orders to go on; only where `recoveryProblem` has nothing against it. */
export const onOrdered = (state: ElectionState, context: StepContext, out: ElectionEffect[]): ElectionState =>
  recoveryProblem(state, context.now) === null ? goOn(state, 'order', null, context, out) : state

/** Goes on without the majority that is gone: a new line that remembers which one it broke off from, and why. */
function goOn(
  state: ElectionState,
  cause: Cause,
  grant: Grant | null,
  context: StepContext,
  out: ElectionEffect[],
): ElectionState {
  const before = state.register
  if (before === null) return state
  const line = grant?.line ?? drawName(context.random)
  const epoch = grant?.epoch ?? epochAbove(state.epoch, context.random)
  out.push(emit('quorum-recovered', { domain: state.domain, line, epoch, lost: before.line, cause }, 'warn'))
  const predecessor = { line: before.line, epoch: before.epoch, electors: electorIds(before), cause }
  const electors = [{ child: state.self, ticket: state.ticket }]
  const memory = withoutVotes(before.memory)
  const register: Register = { ...before, line, epoch, index: before.index + 1, electors, predecessor, memory }
  return stand({ ...state, epoch, register }, context, out, { transfer: true })
}

/**
 * The lowest of those who could found a domain does; the others see it and wait. Who has heard of a line (it then has
 * an epoch) waits for that one first, for as long as it may take to recover by itself. Not where its only elector was
 * this very child domain, by another line of its own that is left by now: nobody else could recover it. (A node that
 * hears of itself has lost its disk, and is in no hurry.)
 */
function mayFound(state: ElectionState, now: Millis): boolean {
  if (isOwnLine(state.self, state.heardOf)) return true
  const isFirst = state.epoch === 0
  const isGivenUp = state.autonomy === 'automatic' && now - state.leaderlessSince >= 2 * state.quorumLossMs
  return isLowestToLead(state) && (isFirst || isGivenUp)
}

/** Whether nobody but this child domain, as another line of its own, could ever lead that line. */
const isOwnLine = (self: ChildId, electors: readonly ChildId[]): boolean =>
  isDomain(self) && electors.length === 1 && electors[0] === self

/**
 * For a learner: the line that it knows has neither leader nor living elector, and of all others it is the lowest.
 * Electors that are alive would have recovered by now; twice that time, and they have all lost their memory.
 */
function isOrphaned(state: ElectionState, now: Millis): boolean {
  if (state.autonomy === 'manual') return false
  const electors = electorIds(state.register)
  const others = electors.filter((child) => child !== state.self)
  const silences = (now - state.leaderlessSince) / state.quorumLossMs
  // The only elector was this very child, which waited before it went on below and lost its vote by that.
  if (electors.length === 1 && others.length === 0) return true
  if (hasLostVote(state) && isBarren(state, now)) return true
  // It was an elector itself, and without the vote that it lost the others are no majority: they wait for one in vain.
  if (others.length < majorityOf(electors.length)) return silences >= 2 + rankOf(state, others)
  const isDeserted = !others.some((child) => isAlive(state, child))
  return isLowestToLead(state) && silences >= (isDeserted ? 2 : 4)
}

function isLowestToLead(state: ElectionState): boolean {
  const own = state.children.get(state.self)
  if (own === undefined || !own.canLead) return false
  const rivals = [...state.children.values()].filter((fact) => fact.alive && fact.canLead)
  return rivals.every((fact) => fact.child >= state.self)
}

/**
 * Whether the domain's `autonomy` (automatic) takes over: no leader for `quorumLossMs`, and no majority of electors
 * alive that have a vote. With a majority that is alive but cannot agree (one-way links, a disk that was lost and says
 * nothing) that time passes once more, and once more for each living elector that is lower than this one, so that they
 * do not all do it at once and none of them can keep the others from it.
 */
function isQuorumLost(state: ElectionState, now: Millis): boolean {
  if (state.autonomy === 'manual') return false
  if (isBarren(state, now)) return true
  const electors = electorIds(state.register)
  const voting = electors.filter((child) => isAlive(state, child) && !state.voteless.has(child))
  const patience = (voting.length < majorityOf(electors.length) ? 1 : 2) + rankOf(state, voting)
  return now - state.leaderlessSince >= patience * state.quorumLossMs
}

/** Whether the line was waited for as long as one is that nobody can lead any more. */
function isBarren(state: ElectionState, now: Millis): boolean {
  const patienceMs = barrenPatienceMs(state)
  return patienceMs !== null && now - state.leaderlessSince >= patienceMs
}

/** How many living electors go before this child. */
const rankOf = (state: ElectionState, electors: readonly ChildId[]): number =>
  electors.filter((child) => child < state.self && isAlive(state, child)).length

const isAlive = (state: ElectionState, child: ChildId): boolean =>
  child === state.self || (state.children.get(child)?.alive ?? false)

const waitOn = (state: ElectionState, { now, random }: StepContext): ElectionState => ({
  ...state,
  standAt: now + drawTimeout(state, random),
})

/**
 * Somebody else's proven leadership of this domain; `granted` is the line that the parent granted, as far as is known.
 */
export function onAnnounced(
  state: ElectionState,
  announcement: Announcement,
  granted: string | null,
  context: StepContext,
  out: ElectionEffect[],
): ElectionState {
  if (isFarAhead(announcement, state)) return state
  const { leader, epoch, term } = announcement
  const told: ElectionState = { ...state, announced: { leader, epoch, term } }
  if (told.register === null) return heardOfLeader(told, announcement, context, out)
  if (announcement.line === lineOf(told)) return onOwnLine(told, announcement, context, out)
  return onOtherLine(told, told.register, announcement, granted, context, out)
}

function onOwnLine(
  state: ElectionState,
  announcement: Announcement,
  context: StepContext,
  out: ElectionEffect[],
): ElectionState {
  const order = compareTerms(announcement, state)
  if (order < 0) return state
  if (order === 0 && state.role.kind === 'leader' && announcement.leader !== state.self)
    return onTwin(state, state.role, announcement, context, out)
  if (order > 0 && state.role.kind === 'leader') return adoptTerm(state, announcement, context, out)
  // An elector waits for the leader's own voice; but there is a leader, so no quorum is lost.
  if (isElector(state) && !isReplaced(state, announcement)) return { ...state, leaderlessSince: context.now }
  return heardOfLeader({ ...state, role: { kind: 'follower' } }, announcement, context, out)
}

/**
 * Two leaders of one term: an elector voted for both, which is signed and stands in the announcements. Both give way
 * and wait, so that the next one is elected by those who are honest.
 */
function onTwin(
  state: ElectionState,
  role: Leading,
  announcement: Announcement,
  context: StepContext,
  out: ElectionEffect[],
): ElectionState {
  const liars = votedTwice(role.votes, announcement.votes).join(', ')
  const { domain, epoch, term } = state
  out.push(emit('elector-voted-twice', { domain, epoch, term, voters: liars, other: announcement.node }, 'warn'))
  return waitOn({ ...stepDown(state, context, out), leader: null }, context)
}

/** Whether a leader later than the register's has other electors: this one was replaced while it was away. */
const isReplaced = (state: ElectionState, announcement: Announcement): boolean =>
  !announcement.electors.includes(state.self) && compareTerms(announcement, versionOf(state.register)) > 0

function onOtherLine(
  state: ElectionState,
  register: Register,
  announcement: Announcement,
  granted: string | null,
  context: StepContext,
  out: ElectionEffect[],
): ElectionState {
  // A twin speaks in this child's own name there. Which of the two it really is gets decided one level below, and the
  // line above of whoever loses that dies with its seat: who left for it now would be left with neither.
  if (announcement.leader === state.self) return moveAbove(state, announcement, context, out)
  const isLeader = state.role.kind === 'leader'
  const isElecting = isElector(state)
  // A line that had no leader for so long is given up for one that has, whichever of the two would have gone on.
  const isForlorn = !isLeader && (!isElecting || context.now - state.leaderlessSince >= state.quorumLossMs)
  // So is one that nobody can lead any more, before this one goes on from it as well.
  const isGivenUp = isForlorn && (state.leader === null || barrenPatienceMs(state) !== null)
  const isHeld = isLeader || !isGivenUp
  if (isHeld && survives(sideOf(register), announcement, newestGrant(register, granted)))
    return moveAbove(state, announcement, context, out)
  // Nobody comes down to a lower epoch: the line that goes on will rise above this one; and what is below may be long
  // gone.
  if (isElecting && announcement.epoch <= state.epoch) return state
  out.push(emit('line-left', { domain: state.domain, line: lineOf(state), for: announcement.line }, 'warn'))
  const meeting = { kept: announcement.line, left: lineOf(state), at: context.wall }
  const left: ElectionState = { ...stepDown(state, context, out), register: null, durable: NO_VERSION, meeting }
  return save(withLeader(left, announcement, context), out, [])
}

/** Whoever was granted knows it before the parent's announcement has come round. */
function newestGrant({ line, predecessor }: Register, announced: string | null): string | null {
  const isNews = predecessor?.cause === 'grant' && (announced === null || announced === predecessor.line)
  return isNews ? line : announced
}

/** For those whom no heartbeat reaches: there is a leader, so nobody has to found or recover. */
function heardOfLeader(
  state: ElectionState,
  announcement: Announcement,
  context: StepContext,
  out: ElectionEffect[],
): ElectionState {
  const heard = { ...withLeader(state, announcement, context), heardOf: announcement.electors }
  return heard.epoch === state.epoch ? heard : save(heard, out, [])
}

/** Never back to a lower epoch: what was voted there once is forgotten by now. */
function withLeader(state: ElectionState, announcement: Announcement, { now, random }: StepContext): ElectionState {
  const { epoch, term, leader, electors } = announcement
  const { announceMs, formationMs } = state.timing
  // One that only this child could lead on, for which somebody else speaks no more: it is no line to wait for.
  const isLeft = state.register === null && isOwnLine(state.self, electors)
  const patienceMs = isLeft ? formationMs * (1 + random.next()) : 3 * announceMs
  const heard: ElectionState = {
    ...state,
    leader: { child: leader, honouredUntil: now },
    leaderlessSince: now,
    standAt: now + patienceMs,
  }
  return epoch > state.epoch ? { ...heard, epoch, term, votedFor: null } : heard
}

/**
 * The line that goes on moves above both epochs, so that its fences are higher than any the other one gave. Not again
 * right after it did: where one side has not heard yet what the parent granted, both would climb as fast as they can.
 * And ever more rarely for the sake of one and the same node: it may make up as many lines as it likes.
 */
function moveAbove(
  state: ElectionState,
  other: Announcement,
  context: StepContext,
  out: ElectionEffect[],
): ElectionState {
  if (state.role.kind !== 'leader') return state
  const meeting = { kept: lineOf(state), left: other.line, at: context.wall }
  // It is above the other already; that the two met is known to people all the same.
  if (other.epoch < state.epoch) return state.meeting?.left === other.line ? state : { ...state, meeting }
  if (context.now - state.role.since < state.timing.electionTimeoutMsMin) return state
  const noted = disturbedBy(state, other.node, context.now)
  if (noted === null) return state
  const fields = { domain: state.domain, kept: lineOf(state), left: other.line, claimant: other.node }
  out.push(emit('lines-met', fields, 'warn'))
  return riseAbove({ ...noted, meeting }, other.epoch, context, out)
}

/** The leader asks its electors for a term in an epoch above the given one. */
export function riseAbove(
  state: ElectionState,
  epoch: number,
  context: StepContext,
  out: ElectionEffect[],
): ElectionState {
  const above = epochAbove(epoch, context.random)
  return stand(stepDown(state, context, out), context, out, { transfer: true, epoch: above })
}

/** One line, as the rule sees it. */
export interface LineSide {
  readonly line: string
  readonly electors: readonly ChildId[]
  readonly predecessor: { readonly line: string; readonly electors: readonly ChildId[] } | null
}

const sideOf = ({ line, electors, predecessor }: Register): LineSide => ({
  line,
  electors: electors.map(({ child }) => child),
  predecessor,
})

/**
 * Whether our line goes on where it meets another. The one that the parent granted does; else the line that the other
 * one broke off from, since it kept a majority; of two that broke off from the same one, that which holds more of its
 * electors; else that with more electors, then the lower name. Only what both sides can see of each other, or hear from
 * the parent, enters, and in the same way, so both come to the same answer.
 */
export function survives(own: LineSide, other: LineSide, granted: string | null): boolean {
  if (granted === own.line || granted === other.line) return granted === own.line
  const isBranch = brokeOffFrom(own, other)
  const isTrunk = brokeOffFrom(other, own)
  if (isBranch !== isTrunk) return isTrunk
  const common = commonElectors(own, other)
  const held = (side: readonly ChildId[]): number => side.filter((child) => common.includes(child)).length
  const difference = held(own.electors) - held(other.electors) || own.electors.length - other.electors.length
  return difference === 0 ? own.line < other.line : difference > 0
}

/**
 * Of a trunk's electors so many must have been electors when the branch broke off that they may be its majority:
 * anybody can name a line of its own after one that was left, but not have it led by those who led it.
 */
function brokeOffFrom(branch: LineSide, trunk: LineSide): boolean {
  const { predecessor } = branch
  if (predecessor?.line !== trunk.line) return false
  const stayed = predecessor.electors.filter((child) => trunk.electors.includes(child))
  return stayed.length >= majorityOf(predecessor.electors.length)
}

/**
 * Two sides may have broken off at different moments: what counts is whom both saw as an elector of their common
 * line.
 */
function commonElectors(a: LineSide, b: LineSide): readonly ChildId[] {
  if (a.predecessor === null || a.predecessor.line !== b.predecessor?.line) return []
  const others = b.predecessor.electors
  return a.predecessor.electors.filter((child) => others.includes(child))
}
