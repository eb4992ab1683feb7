// Both sides of a vote: who stands asks first whether it could win (pre-vote, Ongaro's thesis, section 9.6), then for
// the vote itself; who is asked gives one vote per term, and only to a register at least as new as its own.

import { invariant } from '../overlay/kernel/assert.ts'
import { emit } from '../overlay/kernel/effect.ts'
import type { ChildId } from '../overlay/kernel/ids.ts'
import type { StepContext } from '../overlay/kernel/machine.ts'
import type { Millis } from '../overlay/kernel/time.ts'
import type { Opened } from '../overlay/wire/envelope.ts'
import { leavesItToOthers } from './handing-over.ts'
import { beginLeading, greet, stepDown } from './leading.ts'
import type { PreVote, PreVoteAnswer, StandNow, Vote, VoteRefused, VoteRequest } from './messages.ts'
import { isProven, isUnprovable, voteRequestOf } from './proving.ts'
import { compareTerms, compareVersions, electorIds, majorityOf, ticketIn, versionOf } from './register.ts'
import { save } from './saved.ts'
import {
  drawRetry,
  drawSplit,
  type ElectionEffect,
  type ElectionState,
  honoursAnother,
  isElector,
  type Leading,
  lineOf,
  otherElectors,
  patienceOf,
  type Role,
  retryMsMin,
} from './state.ts'

type Candidacy = Pick<PreVote, 'register' | 'candidate'>

/** Asks the electors whether they would vote for this one; changes nothing that anybody would have to remember. */
export function canvass(state: ElectionState, context: StepContext, out: ElectionEffect[]): ElectionState {
  const { domain, epoch, self, speaker } = state
  const term = state.term + 1
  const asking: ElectionState = {
    ...state,
    role: { kind: 'pre-candidate', term, granted: new Set([self]) },
    standAt: context.now + drawRetry(state, context.random),
  }
  const register = versionOf(state.register)
  const ask: Omit<PreVote, 'ticket'> = {
    kind: 'election/pre-vote',
    domain,
    line: lineOf(state),
    epoch,
    term,
    candidate: self,
    register,
    speaker,
  }
  for (const to of otherElectors(state)) {
    out.push({ kind: 'send', to, message: { ...ask, ticket: ticketIn(state.register, to) } })
  }
  out.push(emit('election-canvass', { domain, epoch, term }, 'debug'))
  return standIfGranted(asking, context, out)
}

/**
 * Stands in the next term (of `epoch`, where a line moves to a higher one). The others write their votes down while it
 * writes its own, which counts like theirs only from the disk, and without which it leads nothing: who forgot in a
 * crash that it stood may stand in the same term again. So what it asks with has to outlive the crash as well, or the
 * answers would be given to a newer register than it then has.
 */
export function stand(
  state: ElectionState,
  context: StepContext,
  out: ElectionEffect[],
  { transfer, epoch = state.epoch }: { readonly transfer: boolean; readonly epoch?: number },
): ElectionState {
  invariant(isElector(state), 'only an elector stands')
  const { domain, self, speaker } = state
  const line = lineOf(state)
  const term = state.term + 1
  const standing: ElectionState = {
    ...state,
    epoch,
    term,
    votedFor: self,
    role: { kind: 'candidate', since: context.now, votes: new Map(), refusals: new Set() },
    leader: null,
    // Enough for a slow disk; the time to try again is set when its own vote is on it.
    standAt: context.now + state.timing.electionTimeoutMsMax,
  }
  const ownVote: Vote = { kind: 'election/vote', domain, line, epoch, term, voter: self, candidate: self, speaker }
  out.push(emit('election-stand', { domain, epoch, term, transfer }, 'debug'))
  const requests = otherElectors(state).map((to) => ({
    kind: 'send' as const,
    to,
    message: voteRequestOf(standing, to, transfer),
  }))
  const outlivesCrash = compareVersions(state.durable, versionOf(state.register)) === 0
  if (outlivesCrash) out.push(...requests)
  return save(standing, out, [
    emit('election-vote-kept', { domain, epoch, term }, 'debug'),
    { kind: 'send', to: self, message: ownVote },
    ...(outlivesCrash ? [] : requests),
  ])
}

export function onPreVote(
  state: ElectionState,
  message: PreVote,
  context: StepContext,
  out: ElectionEffect[],
): ElectionState {
  if (message.line !== lineOf(state)) return state
  const { domain, self } = state
  const isLater = compareTerms(message, state) > 0
  const isLed = honoursAnother(state, message.candidate, context.now)
  const isKnown = electorIds(state.register).includes(message.candidate) || message.ticket === state.ticket
  const granted = isLater && isKnown && mayVote(state, message) && !isLed
  const isBehind = compareVersions(message.register, versionOf(state.register)) < 0
  const voteless = !hasVote(state, message)
  const answer: PreVoteAnswer = {
    kind: 'election/pre-vote-answer',
    domain,
    line: message.line,
    epoch: granted ? message.epoch : state.epoch,
    term: granted ? message.term : state.term,
    voter: self,
    granted,
    register: isBehind && !isLed && isKnown ? state.register : null,
    ...(voteless && { voteless }),
  }
  out.push({ kind: 'send', to: message.candidate, message: answer })
  if (granted) return giveWay(state, message, context)
  // Who was replaced while it was away learns it here, and stops asking.
  greet(state, message.candidate, context, out)
  return isLed ? { ...state, refused: firstOf(state, message, context.now) } : state
}

/** Of several that were refused the one that goes first (giveWay): all who notice late shall grant the same one. */
function firstOf(state: ElectionState, message: PreVote, now: Millis): ElectionState['refused'] {
  const { refused } = state
  const isOver = refused === null || now - refused.at > retryMsMin(state)
  return isOver || goesBefore(message, refused.message) ? { message, at: now } : refused
}

const goesBefore = (a: Candidacy, b: Candidacy): boolean =>
  (compareVersions(a.register, b.register) || (a.candidate < b.candidate ? 1 : -1)) > 0

/**
 * The connection to the leader closed here too: who saw that first, asked, and was refused need not ask again. It still
 * waits for answers, and otherwise would until the last of those who notice later has asked in its turn.
 */
export function grantLate(state: ElectionState, context: StepContext, out: ElectionEffect[]): ElectionState {
  const { refused } = state
  if (refused === null || context.now - refused.at > retryMsMin(state)) return state
  return onPreVote({ ...state, refused: null }, refused.message, context, out)
}

/**
 * Of two who ask at the same moment the one with the newer register goes first, then the lower one; the other waits
 * for as long as that may take, since a split vote would cost both a whole retry. Nobody is refused for it, so nobody
 * who cannot win stands in the way.
 */
function giveWay(state: ElectionState, message: PreVote, { now }: StepContext): ElectionState {
  const { role, standAt } = state
  if (role.kind === 'leader' || role.kind === 'candidate' || standAt === null) return state
  const isBetter = goesBefore(message, { register: versionOf(state.register), candidate: state.self })
  if (role.kind === 'pre-candidate' && !isBetter) return state
  return { ...state, role: { kind: 'follower' }, standAt: Math.max(standAt, now + 2 * state.timing.hintDelayMsMax) }
}

export function onPreVoteAnswer(
  state: ElectionState,
  message: PreVoteAnswer,
  context: StepContext,
  out: ElectionEffect[],
): ElectionState {
  if (message.line !== lineOf(state)) return state
  if (!message.granted) return onPreVoteRefused(noteVote(state, message), message, context, out)
  const { role } = state
  const isMine = role.kind === 'pre-candidate' && message.epoch === state.epoch && message.term === role.term
  if (!isMine || !electorIds(state.register).includes(message.voter)) return state
  const granted = new Set(role.granted).add(message.voter)
  return standIfGranted({ ...noteVote(state, message), role: { ...role, granted } }, context, out)
}

/**
 * A refusal may bring what the candidate missed. Whoever reaches a majority may be the only one who does, so it must
 * not stay behind for want of a leader to tell it (OmniPaxos, section 2, the constrained election). A version names one
 * register, whoever hands it on, so this is as good as having it from the leader that wrote it.
 */
function onPreVoteRefused(
  state: ElectionState,
  message: PreVoteAnswer,
  context: StepContext,
  out: ElectionEffect[],
): ElectionState {
  const isAsking = state.role.kind === 'pre-candidate'
  const isLater = compareTerms(message, state) > 0
  const { epoch, term, register } = message
  if (!isAsking || register === null || compareVersions(versionOf(register), versionOf(state.register)) <= 0)
    return isLater ? adoptTerm(state, message, context, out) : state
  const yielding = isLater ? { ...stepDown(state, context, out), epoch, term, votedFor: null } : state
  const askAgainAt = context.now + state.timing.hintDelayMsMax * (1 + context.random.next())
  return save({ ...yielding, register, role: { kind: 'follower' }, standAt: askAgainAt }, out, [])
}

/** Who lives without its vote helps nobody, and is waited for in vain. */
function noteVote(state: ElectionState, { voter, voteless = false }: PreVoteAnswer): ElectionState {
  if (state.voteless.has(voter) === voteless) return state
  const next = new Set(state.voteless)
  if (voteless) next.add(voter)
  else next.delete(voter)
  return { ...state, voteless: next }
}

function standIfGranted(state: ElectionState, context: StepContext, out: ElectionEffect[]): ElectionState {
  if (state.role.kind !== 'pre-candidate') return state
  const isEnough = state.role.granted.size >= majorityOf(electorIds(state.register).length)
  return isEnough ? stand(state, context, out, { transfer: false }) : state
}

export function onVoteRequest(
  state: ElectionState,
  message: VoteRequest,
  context: StepContext,
  out: ElectionEffect[],
): ElectionState {
  // What another line's electors are in is nothing that this one may catch up with: its epochs are its own.
  if (message.line !== lineOf(state) || leavesItToOthers(state, message, context.now)) return state
  const { domain, self, speaker } = state
  const order = compareTerms(message, state)
  // A fresh lease is honoured before the term is looked at, or one cut-off node could depose a good leader (Raft,
  // section 6).
  if (order > 0 && !message.transfer && honoursAnother(state, message.candidate, context.now)) return state
  const isFree = order > 0 || (order === 0 && (state.votedFor === null || state.votedFor === message.candidate))
  if (order < 0 || !isFree || !mayVote(state, message)) {
    const { line } = message
    const later = order > 0 ? adoptTerm(state, message, context, out) : state
    const refusal: VoteRefused = {
      kind: 'election/vote-refused',
      domain,
      line,
      epoch: later.epoch,
      term: later.term,
      voter: self,
    }
    out.push({ kind: 'send', to: message.candidate, message: refusal })
    return later
  }
  const { line, epoch, term, candidate } = message
  const vote: Vote = { kind: 'election/vote', domain, line, epoch, term, voter: self, candidate, speaker }
  const yielding = order > 0 ? stepDown(state, context, out) : state
  const voting: ElectionState = {
    ...yielding,
    epoch,
    term,
    votedFor: candidate,
    role: { kind: 'follower' },
    standAt: context.now + patienceOf(state),
  }
  return save(voting, out, [{ kind: 'send', to: candidate, message: vote }])
}

export function onVote(
  state: ElectionState,
  opened: Opened<Vote>,
  context: StepContext,
  out: ElectionEffect[],
): ElectionState {
  const { role } = state
  const vote = opened.message
  const isMine = vote.line === lineOf(state) && vote.candidate === state.self && compareTerms(vote, state) === 0
  if (!isMine || !electorIds(state.register).includes(vote.voter)) return state
  if (role.kind === 'leader') return { ...state, role: withVote(state, role, opened, context.now) }
  if (role.kind !== 'candidate') return state
  const votes = new Map(role.votes).set(vote.voter, opened)
  const isWon = votes.has(state.self) && votes.size >= majorityOf(electorIds(state.register).length)
  if (isWon) return beginLeading(state, [...votes.values()], context, out)
  if (vote.voter !== state.self) return { ...state, role: { ...role, votes } }
  // Its own vote is on the disk: the others get as long for theirs, there and back, before it tries again; unless the
  // term was lost meanwhile (onSplit).
  const writeMs = context.now - role.since
  const patientAt = context.now + 2 * writeMs + drawRetry(state, context.random)
  return { ...state, role: { ...role, votes }, standAt: Math.min(state.standAt ?? patientAt, patientAt) }
}

/** A vote that came after the election was decided is one more proof, and may be the one that was missing. */
function withVote(state: ElectionState, role: Leading, opened: Opened<Vote>, now: Millis): Leading {
  if (role.votes.some((vote) => vote.message.voter === opened.message.voter)) return role
  const announceAt = isProven(state, role) ? role.announceAt : now
  return { ...role, votes: [...role.votes, opened], announceAt }
}

export function onVoteRefused(
  state: ElectionState,
  message: VoteRefused,
  context: StepContext,
  out: ElectionEffect[],
): ElectionState {
  if (message.line !== lineOf(state)) return state
  const order = compareTerms(message, state)
  if (order > 0) return adoptTerm(state, message, context, out)
  const { role } = state
  if (order < 0) return state
  if (role.kind === 'candidate') return onSplit(state, role, message.voter, context)
  if (role.kind !== 'leader') return state
  const refused: Leading = { ...role, refusals: new Set(role.refusals).add(message.voter) }
  if (!isUnprovable(state, refused)) return { ...state, role: refused }
  // Its electors changed until those who once chose another are the majority: it asks all of them, in a term of its
  // own.
  return stand(stepDown(state, context, out), context, out, { transfer: true })
}

/**
 * Whoever gave its vote to another in this term gives it to nobody else. Once those who are left are too few the term
 * is lost: either another won it and will be heard, or nobody did and nobody else can.
 */
function onSplit(
  state: ElectionState,
  role: Role & { readonly kind: 'candidate' },
  voter: ChildId,
  { now, random }: StepContext,
): ElectionState {
  const refusals = new Set(role.refusals).add(voter)
  const electors = electorIds(state.register)
  const mayVoteYet = electors.filter(
    (child) => role.votes.has(child) || !(refusals.has(child) || state.closed.has(child)),
  )
  const refused: ElectionState = { ...state, role: { ...role, refusals } }
  if (mayVoteYet.length >= majorityOf(electors.length)) return refused
  const nextAt = now + (now - role.since) + drawSplit(state, random)
  return { ...refused, standAt: Math.min(state.standAt ?? nextAt, nextAt) }
}

/** The leader asks this elector to take over: nobody's lease stands in the way then. */
export function onStandNow(
  state: ElectionState,
  message: StandNow,
  context: StepContext,
  out: ElectionEffect[],
): ElectionState {
  const isOfNow = message.line === lineOf(state) && compareTerms(message, state) === 0
  const isFromLeader = isOfNow && state.leader?.child === message.leader
  if (!isFromLeader || !isElector(state)) return state
  out.push(emit('election-takeover', { domain: state.domain, from: message.leader }))
  return stand(state, context, out, { transfer: true })
}

/** Moves to a later term that somebody is in, with no vote given there yet. */
export function adoptTerm(
  state: ElectionState,
  later: { readonly epoch: number; readonly term: number },
  context: StepContext,
  out: ElectionEffect[],
): ElectionState {
  const yielding = stepDown(state, context, out)
  return save({ ...yielding, epoch: later.epoch, term: later.term, votedFor: null }, out, [])
}

/** The candidate's register counts too, as in Raft (section 6): this child may not have heard yet that it is one. */
const hasVote = (state: ElectionState, { ticket }: PreVote | VoteRequest): boolean =>
  isElector(state) || ticket === state.ticket

/** Whether this elector may vote for a candidate of this line with this register at all. */
const mayVote = (state: ElectionState, message: PreVote | VoteRequest): boolean =>
  hasVote(state, message) &&
  message.line === lineOf(state) &&
  compareVersions(message.register, versionOf(state.register)) >= 0
