// Raft-lite: one elector of one domain, the same at every level of the tree. It is Raft (Ongaro and Ousterhout, ATC
// 2014) with a log of one entry, a register that is replaced as a whole; what it decides is who leads, and what the
// domain must remember.

import { unreachable } from '../overlay/kernel/assert.ts'
import { emit } from '../overlay/kernel/effect.ts'
import type { ChildId } from '../overlay/kernel/ids.ts'
import type { Step, StepContext } from '../overlay/kernel/machine.ts'
import { earliest, type Millis } from '../overlay/kernel/time.ts'
import type { Opened } from '../overlay/wire/envelope.ts'
import { disturbedBy, isCredible } from './credibility.ts'
import { handOverToFitter, transfer } from './handing-over.ts'
import { changeElectors, commit, leadOn, onElectorClosed, onHeartbeatAnswer, propose, stepDown } from './leading.ts'
import { type ElectorMessage, type Heartbeat, type HeartbeatAnswer, senderOf, type Vote } from './messages.ts'
import { allHeard } from './operator-order.ts'
import { isGenuine } from './proof.ts'
import { announceIfDue } from './proving.ts'
import { onAnnounced, onGranted, onOrdered, onSilence, riseAbove } from './recovery.ts'
import { compareTerms, compareVersions, electorIds, type RegisterVersion, versionOf } from './register.ts'
import { save } from './saved.ts'
import { grantLate, onPreVote, onPreVoteAnswer, onStandNow, onVote, onVoteRefused, onVoteRequest } from './standing.ts'
import {
  drawTimeout,
  type ElectionEffect,
  type ElectionInput,
  type ElectionState,
  isElector,
  lineOf,
  patienceOf,
} from './state.ts'
import { isWhole, type Pace, recounted, shortestTimeoutMs, withHeartbeat } from './timing.ts'
import { onPlea } from './witness.ts'

export const step: Step<ElectionState, ElectionInput, ElectionEffect> = (state, input, context) => {
  const effects: ElectionEffect[] = []
  return { state: handle(state, input, context, effects), effects }
}

function handle(
  state: ElectionState,
  input: ElectionInput,
  context: StepContext,
  out: ElectionEffect[],
): ElectionState {
  switch (input.kind) {
    case 'start':
      return onStart(state, context, out)
    case 'message':
      return onMessage(state, input.opened, context, out)
    case 'children': {
      const { children } = input
      const informed = children === state.children ? state : { ...state, children }
      return handOverToFitter(changeElectors(informed, context, out), context, out)
    }
    case 'connection-closed':
      return onClosed(state, input.child, context, out)
    case 'connection-open':
      return onOpen(state, input.child, context)
    case 'propose':
      return propose(state, { ...input, then: [] }, context, out)
    case 'announced':
      return onAnnounced(state, input.announcement, input.granted, context, out)
    case 'plea':
      return onPlea(state, input.request, input.known, context, out)
    case 'granted':
      return onGranted(state, input.grant, context, out)
    case 'roll-call':
      return onRollCall(state, context, out)
    case 'recover':
      return onOrdered(state, context, out)
    case 'fitness':
      return handOverToFitter({ ...state, fitness: input.fitness }, context, out)
    case 'speaker':
      return { ...state, speaker: input.speaker }
    case 'transfer':
      return transfer(state, context, out)
    case 'written':
      return onWritten(state, input.version, context, out)
    case 'wake':
      return onWake(state, context, out)
    default:
      return unreachable(input)
  }
}

/** When this machine next has something to do. */
export function wakeAt(state: ElectionState): Millis | null {
  if (state.role.kind !== 'leader') return state.standAt
  const { heartbeatAt, leaseUntil, announceAt } = state.role
  return earliest(heartbeatAt, leaseUntil, announceAt)
}

function onStart(state: ElectionState, context: StepContext, out: ElectionEffect[]): ElectionState {
  const { now, random } = context
  // A ticket is drawn once; should a crash come before it is on disk, nothing was promised under it.
  if (!isElector(state)) save(state, out, [])
  if (state.register === null) return { ...state, standAt: now + state.timing.formationMs * (1 + random.next()) }
  const electors = electorIds(state.register)
  // Alone there is nobody to wait for; and whoever led last under this very name need not wait for its own lease.
  const isAlone = electors.length === 1 && isElector(state)
  const ledBefore = isElector(state) && state.votedFor === state.self
  const waitMs = isAlone ? 0 : ledBefore ? random.next() * state.timing.hintDelayMsMax : drawTimeout(state, random)
  return { ...state, standAt: now + waitMs }
}

function onMessage(
  state: ElectionState,
  opened: Opened<ElectorMessage>,
  context: StepContext,
  out: ElectionEffect[],
): ElectionState {
  const { message } = opened
  if (!isGenuine(opened, state.domain)) return state
  if (!isCredible(state, message)) {
    const fields = { domain: state.domain, claims: senderOf(message), from: opened.from, kind: message.kind }
    out.push(emit('election-message-refused', fields, 'debug'))
    return state
  }
  return onGenuine(noteHeard(state, message, context.now), opened, context, out)
}

function onGenuine(
  state: ElectionState,
  opened: Opened<ElectorMessage>,
  context: StepContext,
  out: ElectionEffect[],
): ElectionState {
  const { message } = opened
  switch (message.kind) {
    case 'election/pre-vote':
      return onPreVote(state, message, context, out)
    case 'election/pre-vote-answer':
      return onPreVoteAnswer(state, message, context, out)
    case 'election/vote-request':
      return onVoteRequest(state, message, context, out)
    case 'election/vote':
      return onVote(state, opened as Opened<Vote>, context, out)
    case 'election/vote-refused':
      return onVoteRefused(state, message, context, out)
    case 'election/heartbeat':
      return onHeartbeat(state, message, context, out)
    case 'election/heartbeat-answer':
      return onAnswer(state, message, context, out)
    case 'election/stand-now':
      return onStandNow(state, message, context, out)
    default:
      return unreachable(message)
  }
}

/** Heartbeats and their answers are kept elsewhere; what else is said is rare. */
function noteHeard(state: ElectionState, message: ElectorMessage, now: Millis): ElectionState {
  const isKept = message.kind === 'election/heartbeat' || message.kind === 'election/heartbeat-answer'
  const sender = senderOf(message)
  if (isKept || sender === state.self || message.line !== lineOf(state)) return state
  return { ...state, heard: new Map(state.heard).set(sender, now) }
}

/** Who leads says so at once, but not twice within a heartbeat. */
function onRollCall(state: ElectionState, context: StepContext, out: ElectionEffect[]): ElectionState {
  const { role, timing } = state
  if (role.kind !== 'leader' || context.now >= role.leaseUntil) return state
  const soonest = Math.max(context.now, role.announceAt - timing.announceMs + timing.heartbeatMs)
  const announceAt = Math.min(role.announceAt, soonest)
  return announceIfDue({ ...state, role: { ...role, announceAt } }, context, out)
}

/** A leader speaks: follow it, take its register if it is newer, and say what is held. */
function onHeartbeat(
  state: ElectionState,
  message: Heartbeat,
  context: StepContext,
  out: ElectionEffect[],
): ElectionState {
  // Without a register it belongs to no line yet, and follows whoever speaks to it.
  const isOwnLine = state.register === null || message.line === lineOf(state)
  if (!isOwnLine || message.leader === state.self) return state
  if (compareTerms(message, state) < 0) {
    out.push({ kind: 'send', to: message.leader, message: answerTo(state, message, state.durable) })
    return state
  }
  const isLater = compareTerms(message, state) > 0
  const isNewer = message.register !== null && compareVersions(message.version, versionOf(state.register)) > 0
  const yielding = isLater || state.role.kind !== 'follower' ? stepDown(state, context, out) : state
  const pace = paceWith(state, message, isLater)
  // What was promised to this leader before holds, also where less would do by now.
  const promisedUntil = state.leader?.child === message.leader ? state.leader.honouredUntil : context.now
  const honouredUntil = Math.max(promisedUntil, context.now + shortestTimeoutMs(state.timing, pace))
  const following: ElectionState = {
    ...yielding,
    epoch: message.epoch,
    term: message.term,
    votedFor: isLater ? null : state.votedFor,
    register: isNewer ? message.register : state.register,
    leader: { child: message.leader, honouredUntil },
    pace,
    leaderlessSince: context.now,
    standAt: Math.max(honouredUntil, context.now + drawTimeout({ ...state, pace }, context.random)),
  }
  if (state.leader?.child !== message.leader || isLater) {
    out.push(emit('leader-followed', { domain: state.domain, leader: message.leader, term: message.term }, 'debug'))
  }
  if (!isLater && !isNewer) {
    if (!isSpared(following, message))
      out.push({ kind: 'send', to: message.leader, message: answerTo(following, message, state.durable) })
    return following
  }
  const held = versionOf(following.register)
  return save(following, out, [{ kind: 'send', to: message.leader, message: answerTo(following, message, held) }])
}

/**
 * Of two heartbeats one is answered where the leader heard of the one before, and none of the last gets lost: it keeps
 * three tries before its lease ends, instead of four, and half of what an idle domain says is left out.
 */
const isSpared = (state: ElectionState, { spared = false, version }: Heartbeat): boolean =>
  spared && isElector(state) && compareVersions(state.durable, version) === 0 && isWhole(state.pace)

/** A learner on probation hears only every other heartbeat or so, and counts none. */
function paceWith(state: ElectionState, { sequence, roundTrip }: Heartbeat, isLater: boolean): Pace {
  const pace = isLater || !isElector(state) ? recounted(state.pace) : state.pace
  return withHeartbeat(pace, sequence, roundTrip)
}

const answerTo = (state: ElectionState, message: Heartbeat, held: RegisterVersion): HeartbeatAnswer => ({
  kind: 'election/heartbeat-answer',
  domain: state.domain,
  line: lineOf(state),
  epoch: state.epoch,
  term: state.term,
  child: state.self,
  ticket: state.ticket,
  held,
  echo: message.sentAt,
  promiseMs: patienceOf(state),
})

/** A learner without a line that has seen a higher epoch than this one's cannot come down to it: the line goes up. */
function onAnswer(
  state: ElectionState,
  message: HeartbeatAnswer,
  context: StepContext,
  out: ElectionEffect[],
): ElectionState {
  const isAhead = message.line === '' && message.epoch > state.epoch && state.role.kind === 'leader'
  const isElectorOfOurs = electorIds(state.register).includes(message.child)
  if (isElectorOfOurs) return onHeartbeatAnswer(state, message, context, out)
  const isLater = message.line !== '' && compareTerms(message, state) > 0
  if (!isAhead && !isLater) return onHeartbeatAnswer(state, message, context, out)
  // Somebody who has no vote costs an election here; that may be honest once, and is not again and again.
  const noted = disturbedBy(state, message.child, context.now)
  if (noted === null) return state
  return isAhead ? riseAbove(noted, message.epoch, context, out) : onHeartbeatAnswer(noted, message, context, out)
}

/**
 * A closed connection is a hint: this elector no longer honours that leader's lease, and asks around whether others
 * agree.
 */
function onClosed(state: ElectionState, child: ChildId, context: StepContext, out: ElectionEffect[]): ElectionState {
  const { now, random } = context
  const closed = new Set(state.closed).add(child)
  if (state.role.kind === 'leader') return onElectorClosed({ ...state, closed }, context, out)
  if (state.leader?.child !== child || !isElector(state)) return { ...state, closed }
  const waitMs = random.next() * state.timing.hintDelayMsMax * (1 - state.fitness / 2)
  out.push(emit('leader-lost', { domain: state.domain, leader: child, why: 'its connection closed' }, 'debug'))
  const leaderless = { ...state, closed, leader: { ...state.leader, honouredUntil: now }, standAt: now + waitMs }
  return grantLate(leaderless, context, out)
}

function onOpen(state: ElectionState, child: ChildId, { now }: StepContext): ElectionState {
  const closed = new Set(state.closed)
  closed.delete(child)
  const { role } = state
  return { ...state, closed, role: role.kind === 'leader' ? { ...role, heartbeatAt: now } : role }
}

function onWritten(
  state: ElectionState,
  version: RegisterVersion,
  context: StepContext,
  out: ElectionEffect[],
): ElectionState {
  // A write that a change of line overtook says nothing about the register of now.
  const isOfNow = compareVersions(version, versionOf(state.register)) <= 0
  const isNewer = compareVersions(version, state.durable) > 0
  if (!isOfNow || !isNewer) return state
  return announceIfDue(changeElectors(commit({ ...state, durable: version }, out), context, out), context, out)
}

function onWake(state: ElectionState, context: StepContext, out: ElectionEffect[]): ElectionState {
  if (state.role.kind === 'leader') return leadOn(state, context, out)
  if (state.standAt === null || context.now < state.standAt) return state
  const leader = state.leader?.child ?? null
  if (leader !== null && !state.closed.has(leader)) {
    out.push(emit('leader-lost', { domain: state.domain, leader, why: 'it fell silent' }, 'debug'))
  }
  return onSilence({ ...state, heard: allHeard(state), leader: null }, context, out)
}
