// After the decision: a held offer becomes a placement, a silent child is reminded, and a child that cannot do what it
// was given says so.

import { type InstanceKey, instanceKey, isDomain, parentOf, splitInstanceKey } from '../overlay/kernel/ids.ts'
import type { Opened } from '../overlay/wire/envelope.ts'
import { CHILDREN_PER_NUMBER, compareFences, type PlacementRecord } from '../services-registry/record.ts'
import { beginAsk } from './asks.ts'
import { besideOf } from './beside.ts'
import { commit, disown, noteFailure, noteOutcome, repeatOrder } from './commitment.ts'
import { FORGIVE_MS, REMINDERS_MAX } from './constants.ts'
import { placementOf, type Wish, wishOf } from './desire.ts'
import { leaveOf } from './leave.ts'
import type { ReportMessage } from './messages.ts'
import { goingOn, onRunning } from './move.ts'
import { reportUp, sendAsk, speaksFor, startRound, toPending } from './negotiation.ts'
import { change, drop, letGo, nextQuestion, type Phase, send, show, type Turn, type Work } from './scheduler-state.ts'

/** Which placement is meant, as far as a child can say. */
type Named = Pick<PlacementRecord, 'service' | 'number' | 'fence'>

export function commitHeld(turn: Turn, key: InstanceKey, held: Phase & { readonly kind: 'held' }): void {
  const left = goingOn(turn, key) ?? besideOf(turn, key, held.known)
  commit(turn, key, held.child, held.known, held.why, left === held.child ? null : left)
}

/** Looks for another place for what runs well and shall leave; false when it may stay. */
export function depart(turn: Turn, key: InstanceKey, wish: Wish & { readonly kind: 'wanted' }): boolean {
  const leave = leaveOf(turn.state, key)
  if (leave === null) return false
  const phase = turn.state.work.get(key)?.phase
  const isUnderWay = phase?.kind === 'asking' || phase?.kind === 'queued'
  const isLater = phase?.kind === 'pending' && phase.retryAt > turn.context.now
  if (isUnderWay || isLater) return true
  if (wish.known === null) toPending(turn, key, null, wish.problem)
  else startRound(turn, key, wish.known, leave)
  return true
}

/** It is placed, and its node has not said yet that it obeys. */
export function awaitWord(turn: Turn, key: InstanceKey, work: Work | undefined): void {
  const kind = work?.phase.kind
  const isAnswering = work !== undefined && work.order !== null && (kind === 'asking' || kind === 'held')
  if (kind === 'confirming' || isAnswering) return
  if (work !== undefined) letGo(turn, work)
  const deadline = turn.context.now + turn.state.timing.confirmMs
  change(turn, key, splitInstanceKey(key), { phase: { kind: 'confirming', askId: null, deadline, reminders: 0 } })
}

/** A node that says nothing of its placement is reminded with the spec; in the end its silence is a refusal. */
export function onConfirmDeadline(turn: Turn, key: InstanceKey, work: Work): void {
  const { state } = turn
  const child = placementOf(state, key)?.child ?? null
  if (work.phase.kind !== 'confirming' || child === null || isDomain(child)) {
    change(turn, key, work, { phase: { kind: 'idle' } })
    return
  }
  const { reminders } = work.phase
  if (reminders >= REMINDERS_MAX) {
    noteFailure(turn, key, child, 'it was placed there and never reported')
    change(turn, key, work, { phase: { kind: 'idle' } })
    return
  }
  remind(turn, key, work, reminders + 1)
}

/**
 * Sends the ask of a placement again, which carries what the child may be missing. A new leader between two others may
 * be missing it too: the spec lies with whom it was submitted to, and came down with an ask to its predecessor.
 */
function remind(turn: Turn, key: InstanceKey, work: Work, reminders: number): void {
  const { state, context } = turn
  const { service, number } = splitInstanceKey(key)
  const child = placementOf(state, key)?.child ?? null
  const wish = wishOf(state, service, number)
  const known = wish.kind === 'wanted' ? wish.known : null
  const askId = child === null || known === null ? null : nextQuestion(turn)
  const deadline = context.now + state.timing.confirmMs
  change(turn, key, work, { phase: { kind: 'confirming', askId, deadline, reminders } })
  if (child === null || known === null || askId === null) {
    if (wish.kind === 'wanted' && known === null) reportUp(turn, key, 'no-spec', wish.problem)
    return
  }
  beginAsk(state.asks, askId, key)
  sendAsk(turn, key, child, askId, known, { reminds: true })
}

/**
 * It is placed below, and nobody here knows who wanted it: an order was taken back while its next leader was away, or
 * has not arrived yet. The parent's leader is asked to say it again; until then it is left alone.
 */
export function askWhoOrdered(turn: Turn, { service, number, fence }: Named): void {
  const { domain } = turn.state
  const parent = parentOf(domain)
  if (parent === null) return
  const detail = 'it is placed here, and no order for it is known'
  const problem = 'no-order'
  send(turn, parent, {
    kind: 'placement/report',
    domain: parent,
    child: domain,
    service,
    number,
    problem,
    detail,
    fence,
  })
}

/**
 * A child cannot do what it was given, or does not know what it was given. Returns the instance to look at again, null
 * when the report is none of ours.
 */
export function onReport(turn: Turn, opened: Opened<ReportMessage>): InstanceKey | null {
  const { child, service, problem, detail, fence, sequence } = opened.message
  const number = orderedNumber(turn, opened.message)
  const key = instanceKey(service, number)
  const placed = placementOf(turn.state, key)
  if (problem === 'no-order') {
    if (!speaksFor(opened, child)) return null
    if (placed !== null) repeatOrder(turn, key, placed)
    else answerUnknown(turn, { service, number, fence })
    return null
  }
  const isCurrent = placed !== null && placed.child === child && compareFences(placed.fence, fence) === 0
  if (!isCurrent || !speaksFor(opened, child)) return null
  if (problem === 'done' || problem === 'failed') {
    if (placed.outcome === undefined) noteOutcome(turn, key, placed, problem, detail)
    return key
  }
  if (problem === 'running') return sequence === placed.sequence ? onRunning(turn, key, placed) : null
  const work = turn.state.work.get(key)
  const kind = work?.phase.kind ?? 'idle'
  if (kind !== 'idle' && kind !== 'confirming') return null
  const name = { service, number }
  if (problem === 'no-spec') {
    remind(turn, key, change(turn, key, name, {}), 0)
    return null
  }
  noteFailure(turn, key, child, detail)
  return key
}

/**
 * Nobody here knows the order either: who gave it was cut off then, and its record did not outlive it. That nobody
 * wants the instance is said where the service tells it, and where not even that is known it is asked about above.
 */
function answerUnknown(turn: Turn, named: Named): void {
  const { state } = turn
  if (state.lead?.listenUntil !== null) return
  const wish = wishOf(state, named.service, named.number)
  if (wish.kind === 'unknown') return askWhoOrdered(turn, named)
  if (wish.kind === 'unwanted') disown(turn, instanceKey(named.service, named.number), wish.why)
}

/** The number of the placement that a report is about; a child that knows no order names its own daemon's instance. */
function orderedNumber({ state }: Turn, { service, number }: ReportMessage): number {
  const above = Math.floor(number / CHILDREN_PER_NUMBER)
  return placementOf(state, instanceKey(service, above))?.each === true ? above : number
}

/** It is where it should be. Its failures are remembered until it has run for a while. */
export function settle(turn: Turn, key: InstanceKey, work: Work | undefined): void {
  if (work === undefined) return
  if (work.order !== null && (work.phase.kind === 'asking' || work.phase.kind === 'held')) return
  const goodSince = work.goodSince ?? turn.context.now
  const isForgiven = work.failures === 0 || turn.context.now - goodSince >= FORGIVE_MS
  if (work.order === null && isForgiven) {
    drop(turn, key)
    return
  }
  letGo(turn, work)
  show(turn, key, null)
  const memory = isForgiven ? { failures: 0, avoid: new Map() } : {}
  change(turn, key, work, {
    phase: { kind: 'idle' },
    goodSince,
    rounds: 0,
    stuckSince: null,
    baseline: null,
    ...memory,
  })
}
