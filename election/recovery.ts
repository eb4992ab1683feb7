// Lines. A line is one unbroken succession of majorities. A new one begins where there was none, or where the majority is
// gone for good; and where two lines of one domain meet, a rule that both sides compute alike says which goes on.

import { emit } from '../overlay/kernel/effect.ts'
import type { ChildId } from '../overlay/kernel/ids.ts'
import type { StepContext } from '../overlay/kernel/machine.ts'
import type { Millis } from '../overlay/kernel/time.ts'
import { stepDown } from './leading.ts'
import type { Announcement } from './messages.ts'
import { compareTerms, electorIds, majorityOf, NO_VERSION, type Register } from './register.ts'
import { adoptTerm, canvass, stand } from './standing.ts'
import { drawName, drawTimeout, type ElectionEffect, type ElectionState, isElector, lineOf, save } from './state.ts'

/** Stands, founds or recovers, as the silence has lasted long enough for it. */
export function onSilence(state: ElectionState, context: StepContext, out: ElectionEffect[]): ElectionState {
  if (state.register === null) return mayFound(state) ? found(state, context, out) : waitOn(state, context)
  if (!isElector(state)) return waitOn(state, context)
  if (isQuorumLost(state, context.now)) return recover(state, context, out)
  return canvass(state, context, out)
}

/** Begins the first line of a domain: with this child as its only elector, the others join as learners. */
function found(state: ElectionState, context: StepContext, out: ElectionEffect[]): ElectionState {
  const line = drawName(context.random)
  const epoch = state.epoch + 1
  out.push(emit('domain-founded', { domain: state.domain, line, epoch }))
  const electors = [{ child: state.self, ticket: state.ticket }]
  const register: Register = { line, epoch, term: state.term, index: 1, electors, predecessor: null, memory: {} }
  return stand({ ...state, epoch, register }, context, out, { transfer: true })
}

/** Goes on without the majority that is gone: a new line that remembers which one it broke off from. */
function recover(state: ElectionState, context: StepContext, out: ElectionEffect[]): ElectionState {
  const before = state.register
  if (before === null) return state
  const line = drawName(context.random)
  const epoch = state.epoch + 1
  out.push(emit('quorum-recovered', { domain: state.domain, line, epoch, lost: before.line }, 'warn'))
  const predecessor = { line: before.line, epoch: before.epoch, electors: electorIds(before) }
  const electors = [{ child: state.self, ticket: state.ticket }]
  const register: Register = { ...before, line, epoch, index: before.index + 1, electors, predecessor }
  return stand({ ...state, epoch, register }, context, out, { transfer: true })
}

/** The lowest of those who could found a domain does; the others see it and wait. */
function mayFound(state: ElectionState): boolean {
  const own = state.children.get(state.self)
  if (own === undefined || !own.canLead) return false
  const rivals = [...state.children.values()].filter((fact) => fact.alive && fact.canLead)
  return rivals.every((fact) => fact.child >= state.self)
}

/**
 * Whether the domain's `autonomy` (automatic) takes over: no leader for `quorumLossMs`, no majority of electors alive, and this is
 * the lowest of those that are. With a majority that is alive but cannot agree (a lost memory, one-way links) twice that time passes.
 */
function isQuorumLost(state: ElectionState, now: Millis): boolean {
  const silentMs = now - state.leaderlessSince
  if (silentMs < state.quorumLossMs) return false
  const electors = electorIds(state.register)
  const alive = electors.filter((child) => child === state.self || (state.children.get(child)?.alive ?? false))
  if (alive.some((child) => child < state.self)) return false
  return alive.length < majorityOf(electors.length) || silentMs >= 2 * state.quorumLossMs
}

const waitOn = (state: ElectionState, { now, random }: StepContext): ElectionState => ({
  ...state,
  standAt: now + drawTimeout(state, random),
})

/** Somebody else's proven leadership of this domain. */
export function onAnnounced(
  state: ElectionState,
  announcement: Announcement,
  context: StepContext,
  out: ElectionEffect[],
): ElectionState {
  const isOwnLine = state.register === null || announcement.line === lineOf(state)
  if (isOwnLine && state.role.kind === 'leader' && compareTerms(announcement, state) > 0) {
    return adoptTerm(state, announcement, context, out)
  }
  if (isOwnLine) return heardOfLeader(state, announcement, context)
  if (isElector(state) && survives(sideOf(state.register as Register), announcement)) {
    return moveAbove(state, announcement, context, out)
  }
  if (isElector(state) && announcement.epoch <= state.epoch) return state
  out.push(emit('line-left', { domain: state.domain, line: lineOf(state), for: announcement.line }, 'warn'))
  const left: ElectionState = { ...stepDown(state, context, out), register: null, durable: NO_VERSION }
  return save(heardOfLeader(left, announcement, context), out, [])
}

/** For those whom no heartbeat reaches: there is a leader, so nobody has to found or recover. */
function heardOfLeader(state: ElectionState, announcement: Announcement, context: StepContext): ElectionState {
  if (isElector(state) || state.role.kind !== 'follower') return state
  const leader = { child: announcement.leader, heardAt: context.now, honoured: true }
  return { ...state, leader, leaderlessSince: context.now, standAt: context.now + 3 * state.timing.announceMs }
}

/** The line that goes on moves above both epochs, so that its fences are higher than any the other one gave. */
function moveAbove(
  state: ElectionState,
  other: Announcement,
  context: StepContext,
  out: ElectionEffect[],
): ElectionState {
  if (state.role.kind !== 'leader' || other.epoch < state.epoch) return state
  out.push(emit('lines-met', { domain: state.domain, kept: lineOf(state), left: other.line }, 'warn'))
  const epoch = other.epoch + 1
  return stand(stepDown(state, context, out), context, out, { transfer: true, epoch })
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
 * Whether our line goes on where it meets another: the one that holds more of the last electors that both knew, then the one with
 * more electors, then the lower name. Only what both sides can see of each other enters, so both come to the same answer.
 */
export function survives(own: LineSide, other: LineSide): boolean {
  const common = lastCommonElectors(own, other)
  const held = (side: readonly ChildId[]): number => side.filter((child) => common.includes(child)).length
  const difference = held(own.electors) - held(other.electors) || own.electors.length - other.electors.length
  return difference === 0 ? own.line < other.line : difference > 0
}

function lastCommonElectors(a: LineSide, b: LineSide): readonly ChildId[] {
  if (a.predecessor !== null && a.predecessor.line === b.line) return a.predecessor.electors
  if (b.predecessor !== null && b.predecessor.line === a.line) return b.predecessor.electors
  if (a.predecessor !== null && a.predecessor.line === b.predecessor?.line) return a.predecessor.electors
  return []
}
