// Both sides of a vote: who stands asks first whether it could win (pre-vote, Ongaro's thesis, section 9.6), then for the
// vote itself; who is asked gives one vote per term, and only to a register at least as new as its own.

import { invariant } from '../overlay/kernel/assert.ts'
import { emit } from '../overlay/kernel/effect.ts'
import type { StepContext } from '../overlay/kernel/machine.ts'
import type { Opened } from '../overlay/wire/envelope.ts'
import { beginLeading, stepDown } from './leading.ts'
import type { PreVote, PreVoteAnswer, StandNow, Vote, VoteRefused, VoteRequest } from './messages.ts'
import { compareTerms, compareVersions, electorIds, majorityOf, versionOf } from './register.ts'
import {
  drawRetry,
  type ElectionEffect,
  type ElectionState,
  honoursAnother,
  isElector,
  lineOf,
  otherElectors,
  save,
} from './state.ts'

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
  const ask: PreVote = {
    kind: 'election/pre-vote',
    domain,
    line: lineOf(state),
    epoch,
    term,
    candidate: self,
    register,
    speaker,
  }
  for (const elector of otherElectors(state)) out.push({ kind: 'send', to: elector, message: ask })
  return standIfGranted(asking, context, out)
}

/** Stands in the next term (of `epoch`, where a line moves to a higher one): its own vote reaches the disk before any request. */
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
    role: { kind: 'candidate', votes: new Map() },
    leader: null,
    standAt: context.now + drawRetry(state, context.random),
  }
  const register = versionOf(state.register)
  const request: VoteRequest = {
    kind: 'election/vote-request',
    domain,
    line,
    epoch,
    term,
    candidate: self,
    register,
    transfer,
    speaker,
  }
  const ownVote: Vote = { kind: 'election/vote', domain, line, epoch, term, voter: self, candidate: self, speaker }
  return save(standing, out, [
    { kind: 'send', to: self, message: ownVote },
    ...otherElectors(state).map((to) => ({ kind: 'send' as const, to, message: request })),
  ])
}

export function onPreVote(
  state: ElectionState,
  message: PreVote,
  { now }: StepContext,
  out: ElectionEffect[],
): ElectionState {
  const { domain, self } = state
  const granted =
    mayVote(state, message) && compareTerms(message, state) > 0 && !honoursAnother(state, message.candidate, now)
  const answer: PreVoteAnswer = {
    kind: 'election/pre-vote-answer',
    domain,
    line: message.line,
    epoch: granted ? message.epoch : state.epoch,
    term: granted ? message.term : state.term,
    voter: self,
    granted,
  }
  out.push({ kind: 'send', to: message.candidate, message: answer })
  return state
}

export function onPreVoteAnswer(
  state: ElectionState,
  message: PreVoteAnswer,
  context: StepContext,
  out: ElectionEffect[],
): ElectionState {
  if (!message.granted) return compareTerms(message, state) > 0 ? adoptTerm(state, message, context, out) : state
  const { role } = state
  const isMine = role.kind === 'pre-candidate' && message.epoch === state.epoch && message.term === role.term
  if (!isMine || !electorIds(state.register).includes(message.voter)) return state
  const granted = new Set(role.granted).add(message.voter)
  return standIfGranted({ ...state, role: { ...role, granted } }, context, out)
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
  const { domain, self, speaker } = state
  const order = compareTerms(message, state)
  // A fresh lease is honoured before the term is looked at, or one cut-off node could depose a good leader (Raft, section 6).
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
    standAt: context.now + state.timing.electionTimeoutMsMin,
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
  const isMine = role.kind === 'candidate' && vote.candidate === state.self && compareTerms(vote, state) === 0
  if (!isMine || vote.line !== lineOf(state) || !electorIds(state.register).includes(vote.voter)) return state
  const votes = new Map(role.votes).set(vote.voter, opened)
  const isWon = votes.size >= majorityOf(electorIds(state.register).length)
  if (!isWon) return { ...state, role: { ...role, votes } }
  return beginLeading(state, [...votes.values()], context, out)
}

export function onVoteRefused(
  state: ElectionState,
  message: VoteRefused,
  context: StepContext,
  out: ElectionEffect[],
): ElectionState {
  return compareTerms(message, state) > 0 ? adoptTerm(state, message, context, out) : state
}

/** The leader asks this elector to take over: nobody's lease stands in the way then. */
export function onStandNow(
  state: ElectionState,
  message: StandNow,
  context: StepContext,
  out: ElectionEffect[],
): ElectionState {
  const isFromLeader = state.leader?.child === message.leader && compareTerms(message, state) === 0
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

/** Whether this elector may vote for a candidate of this line with this register at all. */
const mayVote = (state: ElectionState, message: PreVote | VoteRequest): boolean =>
  isElector(state) &&
  message.line === lineOf(state) &&
  compareVersions(message.register, versionOf(state.register)) >= 0
