// Why an instance that runs well has to go elsewhere: somebody asked for it, or its device is drained. A request is
// handed down to the leader nearest to the instance, which tries its own children; what it cannot do goes up again.

import {
  type ChildId,
  type InstanceKey,
  instanceKey,
  isDomain,
  type NodeId,
  parentOf,
  splitInstanceKey,
} from '../overlay/kernel/ids.ts'
import type { Opened } from '../overlay/wire/envelope.ts'
import { mayDeploy } from '../services-registry/authority.ts'
import type { PlacementRecord } from '../services-registry/record.ts'
import { MOVES_ANSWERED_MAX, REASON_CHARS_MAX } from './constants.ts'
import { placementOf, wishOf } from './desire.ts'
import { type MovedMessage, type MoveMessage, REQUEST_ID_CHARS_MAX } from './messages.ts'
import {
  change,
  type Leave,
  nextQuestion,
  type SchedulerState,
  send,
  show,
  type Turn,
  tell,
} from './scheduler-state.ts'
import { callName } from './summary.ts'

/** Of a device's id, as its end differs most; two that share it would have to ask in the same term as well. */
const DEVICE_CHARS = 8

/** Why the instance shall leave the child that it is placed on; null when it may stay. */
export function leaveOf(state: SchedulerState, key: InstanceKey): Leave | null {
  const placed = placementOf(state, key)
  if (placed === null || placed.child === null || placed.previous !== undefined) return null
  const asked = state.work.get(key)?.leave ?? null
  if (asked !== null) return asked.from === placed.child ? asked : null
  return isMovedAbove(state, placed) ? null : drainOf(state, placed, placed.child)
}

/** The parent's leader moves it out of this domain already. */
function isMovedAbove(state: SchedulerState, { service, number }: PlacementRecord): boolean {
  const order = state.view.parentStore()?.placement(service, number)?.message ?? null
  return order !== null && order.child !== state.domain && order.previous === state.domain
}

function drainOf(state: SchedulerState, { sequence }: PlacementRecord, child: ChildId): Leave | null {
  const news = state.view.inventory.get(child)?.news
  if (news?.kind !== 'node' || news.summary.intake !== 'draining') return null
  const requestId = `drain-${news.child.slice(-DEVICE_CHARS)}-${sequence}`
  const why = `${callName(news)} is drained`
  return { requestId, requester: news.child, from: child, to: null, why, refused: '', isDrain: true }
}

/** Somebody wants an instance moved. Returns the instance to look at, null when that is settled already. */
export function onMove(turn: Turn, opened: Opened<MoveMessage>): InstanceKey | null {
  const { state } = turn
  const { message } = opened
  const { service, number, requestId, to } = message
  const key = instanceKey(service, number)
  const before = state.answered.get(requestId)
  if (before !== undefined && before.service === service && before.number === number) {
    if (message.requester !== null) send(turn, message.requester, before)
    return null
  }
  const refused = whyRefused(turn, opened)
  if (refused !== null) {
    answer(turn, key, message, 'refused', null, refused)
    return null
  }
  const placed = placementOf(state, key)
  if (placed === null || placed.child === null) {
    answer(turn, key, message, 'refused', null, 'it has no place yet that it could leave')
    return null
  }
  const comesFromBelow = message.by !== null && parentOf(message.by.domain) === state.domain
  if (isDomain(placed.child) && !comesFromBelow) {
    send(turn, placed.child, { ...message, domain: placed.child, by: ownMark(state) })
    return null
  }
  if (comesFromBelow && message.by?.domain !== placed.child) return null
  if (placed.previous !== undefined) {
    answer(turn, key, message, 'refused', null, `it is on its way to ${placed.child} already`)
    return null
  }
  const why = comesFromBelow ? `${placed.child} asks for it` : 'somebody asked for it'
  const leave = { requestId, requester: message.requester, from: placed.child, to, why, refused: message.refused }
  change(turn, key, placed, { leave: { ...leave, isDrain: false } })
  return key
}

/** Who submitted the service may have it moved, and leaders hand requests on. */
function whyRefused({ state }: Turn, { from, signer, message }: Opened<MoveMessage>): string | null {
  const { by, service } = message
  if (by !== null) {
    const isNext = by.domain === parentOf(state.domain) || parentOf(by.domain) === state.domain
    const isLeader = state.view.leaders.leaderAt(by.domain, by.fence) === from
    return isNext && isLeader ? null : 'whoever handed it on is not known to lead its domain'
  }
  const spec = state.view.store.spec(service)
  if (spec === null || spec.message.spec === null) return `no service ${service} was submitted to ${state.domain}`
  if (spec.signer.operator !== signer.operator) return 'the service is another operator’s'
  return mayDeploy(signer, service) ? null : 'this device may not deploy to its namespace'
}

const ownMark = ({ domain, lead }: SchedulerState): MoveMessage['by'] =>
  lead === null ? null : { domain, fence: lead.fence }

/** No child can take it: whoever leads above may know another one. It stays where it is until then. */
export function cannotLeave(turn: Turn, key: InstanceKey, leave: Leave, reason: string): void {
  const { state } = turn
  const placed = placementOf(state, key)
  if (placed === null) return
  const { service, number } = placed
  const refused = [leave.refused, `in ${state.domain}: ${reason}`].filter((one) => one !== '').join('; ')
  const parent = parentOf(state.domain)
  const wish = wishOf(state, service, number)
  const isOwn = parent === null || wish.kind !== 'wanted' || wish.by === 'own'
  tell(turn, 'instance-cannot-leave', { service, number, child: leave.from, reason }, 'warn')
  if (!isOwn) {
    const { requester, to } = leave
    const requestId = leave.isDrain ? anotherTry(turn, leave) : leave.requestId
    const message = { kind: 'placement/move' as const, domain: parent, requestId, requester, service, number, to }
    send(turn, parent, { ...message, by: ownMark(state), refused: refused.slice(0, REASON_CHARS_MAX) })
  } else answer(turn, key, leave, 'refused', null, refused)
  change(turn, key, placed, { leave: null })
  if (leave.isDrain) waitToLeave(turn, key, `${leave.why}, and it cannot be moved: ${reason}`)
  else change(turn, key, placed, { phase: { kind: 'idle' } })
}

/**
 * Who hears a request again answers as before. What a drain or a measured limit wants moved is wanted for as long as
 * that lasts, each instance for itself, so each try is a request of its own.
 */
const anotherTry = (turn: Turn, { requestId, from }: Leave): string =>
  `leave-${from.slice(-DEVICE_CHARS)}-${nextQuestion(turn) ?? requestId}`.slice(0, REQUEST_ID_CHARS_MAX)

/** A drained device is emptied as soon as somebody can take what it has. */
function waitToLeave(turn: Turn, key: InstanceKey, reason: string): void {
  const { state, context } = turn
  const work = state.work.get(key)
  if (work === undefined) return
  const rounds = work.rounds + 1
  const { retryMsMin, retryMsMax } = state.timing
  const retryAt = context.now + Math.min(retryMsMax, retryMsMin * 2 ** Math.min(rounds - 1, 20))
  change(turn, key, work, { phase: { kind: 'pending', retryAt, plannedAt: context.now, clock: null }, rounds })
  show(turn, key, reason)
}

/** It is on its way; whoever asked is told where to. */
export function onDeparture(turn: Turn, key: InstanceKey, leave: Leave, child: ChildId, reason: string): void {
  answer(turn, key, leave, 'moving', child, reason)
  const work = turn.state.work.get(key)
  if (work !== undefined) change(turn, key, work, { leave: null })
}

function answer(
  turn: Turn,
  key: InstanceKey,
  { requestId, requester }: { readonly requestId: string; readonly requester: NodeId | null },
  outcome: MovedMessage['outcome'],
  child: ChildId | null,
  reason: string,
): void {
  const { domain, answered } = turn.state
  if (requester === null) return
  const said = { requestId, ...splitInstanceKey(key), outcome, child, reason: reason.slice(0, REASON_CHARS_MAX) }
  const message: MovedMessage = { kind: 'placement/moved', domain, ...said }
  answered.set(requestId, message)
  const oldest = answered.keys().next().value
  if (answered.size > MOVES_ANSWERED_MAX && oldest !== undefined) answered.delete(oldest)
  send(turn, requester, message)
}
