// Asking the children, one after the other, best first: each ask ends in an offer, a refusal or silence, and each of
// those has a next step. When nobody is left the instance is pending, with the reasons counted, and is tried again
// later.

import {
  type ChildId,
  type InstanceKey,
  instanceKey,
  isDomain,
  isWithin,
  type OperatorId,
  parentOf,
  splitInstanceKey,
} from '../overlay/kernel/ids.ts'
import type { Opened } from '../overlay/wire/envelope.ts'
import { compareClocks, type SealedRecord, type SpecRecord } from '../services-registry/record.ts'
import { compareBytes } from '../services-registry/version.ts'
import { beginAsk, mayAsk } from './asks.ts'
import { roomFor, roomIn } from './batch.ts'
import { besideOf } from './beside.ts'
import { commit, failuresOf, noteFailure } from './commitment.ts'
import { ASK_TRIES_CURRENT, RESERVATION_MS } from './constants.ts'
import { baselineOf, isLost, lastWordOf, orderFor, placementOf, verdictOf, wishOf } from './desire.ts'
import { cannotLeave, leaveOf, onDeparture } from './leave.ts'
import { enterAsked } from './ledger.ts'
import type { AskMessage, OfferMessage, RefuseMessage } from './messages.ts'
import { goingOn } from './move.ts'
import { needOf } from './need.ts'
import { IN_ORIGIN, specInOrigin } from './origin.ts'
import { devicesOf, type PlanInput } from './plan.ts'
import { ownersOf } from './policy-offer.ts'
import { choosePlace } from './ranking.ts'
import { type Reason, refusal, refusalSentence, tally } from './refusal.ts'
import {
  change,
  drop,
  type KnownSpec,
  letGo,
  nextQuestion,
  type Order,
  type Round,
  type Submitter,
  send,
  show,
  type Turn,
  type Work,
} from './scheduler-state.ts'
import type { ChildView } from './view.ts'

/** What is left, and who may take it: see Round. */
type Departure = Pick<Round, 'from' | 'to'>

/** Begins a round of asking, or queues for one. */
export function startRound(turn: Turn, key: InstanceKey, known: KnownSpec, move: Partial<Departure> = {}): void {
  const { state } = turn
  const name = splitInstanceKey(key)
  const before = state.work.get(key)
  const { from = besideOf(turn, key, known), to = before?.order?.to ?? null } = move
  if (before !== undefined) letGo(turn, before)
  change(turn, key, name, { phase: { kind: 'idle' }, goodSince: null })
  if (!mayAsk(state.asks, name.service)) change(turn, key, name, { phase: { kind: 'queued' } })
  else askNext(turn, key, { known, from, to, tried: new Set(), reasons: [] })
}

/** Asks the best child that was not asked in this round. */
function askNext(turn: Turn, key: InstanceKey, round: Round): void {
  const { state, context } = turn
  const work = state.work.get(key)
  if (work === undefined || state.lead === null) return
  const places: PlanInput = {
    key,
    spec: round.known.spec,
    domain: state.domain,
    children: candidatesFor(turn, key),
    inventory: state.view.inventory,
    ledger: state.ledger,
    plugin: state.plugin,
    current: placementOf(state, key)?.child ?? null,
    operator: operatorOf(turn, key),
    leaving: round.from,
    to: round.to,
    tried: round.tried,
    avoid: failuresOf(turn, key, round.known),
    avoidNodes: work.order?.avoid ?? [],
    now: context.now,
    runs: (service) => state.view.store.placements(service).flatMap(({ message }) => message.child ?? []),
  }
  const { best, ruledOut } = choosePlace(places, state.rankings)
  const goesOn = goingOn(turn, key) ?? besideOf(turn, key, round.known)
  if (best === null && round.from !== null && round.from === goesOn) {
    // Nobody else can take it: what goes on for the time being may have it for good.
    askNext(turn, key, { ...round, from: null, tried: new Set(), reasons: [] })
    return
  }
  if (best === null) {
    exhausted(turn, key, round.known, [...round.reasons, ...ruledOut])
    return
  }
  const askId = nextQuestion(turn)
  if (askId === null) return
  beginAsk(state.asks, askId, key)
  const deadline = context.now + askMs(turn, best.child)
  change(turn, key, work, {
    phase: { kind: 'asking', askId, child: best.child, deadline, tries: 1, why: best.reason, round },
  })
  enterAsked(state.ledger, key, best.child, needOf(round.known.spec))
  sendAsk(turn, key, best.child, askId, round.known, round)
}

/** The children that may run it: all, or the one that a daemon's instance is for. */
function candidatesFor(turn: Turn, key: InstanceKey): readonly ChildView[] {
  const { state, children, context } = turn
  const { service, number } = splitInstanceKey(key)
  const wish = wishOf(state, service, number)
  const asSeen = (view: ChildView): ChildView => {
    const alive = !isLost(state, view.child, children, context.now)
    return alive === view.alive ? view : { ...view, alive }
  }
  const only = wish.kind === 'wanted' ? wish.only : undefined
  if (only !== undefined) return [...children.values()].filter(({ child }) => child === only).map(asSeen)
  turn.present ??= [...children.values()].map(asSeen)
  return turn.present
}

const askMs = (turn: Turn, child: ChildId): number =>
  isDomain(child) ? turn.state.timing.askDomainMs : turn.state.timing.askNodeMs

export function sendAsk(
  turn: Turn,
  key: InstanceKey,
  child: ChildId,
  askId: string,
  known: KnownSpec,
  { to = null, reminds = false }: { readonly to?: string | null; readonly reminds?: boolean } = {},
): void {
  const { state } = turn
  if (state.lead === null) return
  const operator = operatorOf(turn, key)
  const origin = originFor(turn, key, child, known)
  send(turn, child, {
    kind: 'placement/ask',
    domain: state.domain,
    fence: state.lead.fence,
    askId,
    ...splitInstanceKey(key),
    spec: origin === null ? known.bytes : IN_ORIGIN,
    specClock: known.clock,
    ...(origin !== null && { origin }),
    ...(operator !== null && { operator }),
    avoid: state.work.get(key)?.order?.avoid ?? [],
    ...(to !== null && { to }),
    ...(reminds && { reminds }),
    ...roomFor(state.view.inventory, child),
  })
}

/** Whose service it is: who signed its spec, or what the leader above said of it. */
function operatorOf(turn: Turn, key: InstanceKey): OperatorId | null {
  return submissionOf(turn, key)?.signer.operator ?? shownOf(turn, key)?.operator ?? null
}

function submissionOf({ state }: Turn, key: InstanceKey): SealedRecord<SpecRecord> | null {
  const { service } = splitInstanceKey(key)
  const held = state.view.store.spec(service) ?? state.view.parentStore()?.spec(service) ?? null
  return held ?? shownOf({ state }, key)?.origin ?? null
}

/** What a leader above showed of who submitted any version of it, be it long ago. */
function shownOf({ state }: Pick<Turn, 'state'>, key: InstanceKey): Submitter | null {
  const known = state.specs.get(splitInstanceKey(key).service) ?? []
  return known.find(({ submitter }) => submitter.operator !== null)?.submitter ?? null
}

/** Devices of another operator believe who submitted it by the signature; those of ours take our word. */
function originFor(turn: Turn, key: InstanceKey, child: ChildId, known: KnownSpec): SealedRecord<SpecRecord> | null {
  const { operator, view } = turn.state
  const news = view.inventory.get(child)?.news
  const owners = news === undefined ? [] : ownersOf(news)
  if (operator === null || owners.every((owner) => owner === operator)) return null
  const record = submissionOf(turn, key)
  const carries = record !== null && specInOrigin(record.message, known.clock)
  return carries && compareBytes(carries, known.bytes) === 0 ? record : null
}

/** A child keeps room. Whoever wanted to know gets it: the records if they call for it, else the parent's leader. */
export function onOffer(turn: Turn, opened: Opened<OfferMessage>): void {
  const { state, context } = turn
  const { askId, child, node, nodeName, score, expiresInMs } = opened.message
  const key = state.asks.byId.get(askId)
  const work = key === undefined ? undefined : state.work.get(key)
  if (key === undefined || work === undefined || !speaksFor(opened, child)) {
    release(turn, opened)
    return
  }
  const { phase } = work
  if (phase.kind === 'confirming') return
  if (phase.kind !== 'asking' || phase.child !== child) {
    release(turn, opened)
    return
  }
  const offer = { node, nodeName, score }
  const { known } = phase.round
  const by = nodeName === '' ? '' : `, offered by ${nodeName}`
  const why = isDomain(child) ? `on ${child}${by}: ${phase.why}` : `on ${nodeName}: ${phase.why}`
  if (work.order !== null) answerOffer(turn, work, work.order, offer, expiresInMs)
  const call = calledFor(turn, key, known)
  if (call !== null) {
    const leave = call === 'move' ? leaveOf(state, key) : null
    const { from } = phase.round
    const goesOn = from !== null && !isLost(state, from, turn.children, context.now)
    commit(turn, key, child, known, why, goesOn ? from : null)
    if (leave !== null) onDeparture(turn, key, leave, child, why)
    return
  }
  if (work.order === null) {
    drop(turn, key)
    return
  }
  const expiresAt = context.now + expiresInMs
  change(turn, key, work, { phase: { kind: 'held', askId, child, offer, known, why, expiresAt } })
  enterAsked(state.ledger, key, child, needOf(known.spec))
}

/** A child cannot: its reasons are kept for the sentence at the end, and the next one is asked. */
export function onRefuse(turn: Turn, opened: Opened<RefuseMessage>): void {
  const { askId, child, reasons, devices } = opened.message
  const key = turn.state.asks.byId.get(askId)
  const work = key === undefined ? undefined : turn.state.work.get(key)
  if (key === undefined || work === undefined || !speaksFor(opened, child)) return
  const given = reasons.length > 0 ? reasons : [refusal('no-devices', '', Math.max(1, devices))]
  if (work.phase.kind === 'asking' && work.phase.child === child) {
    passOver(turn, key, work.phase, given)
    return
  }
  const placed = placementOf(turn.state, key)
  if (work.phase.kind !== 'confirming' || placed?.child !== child) return
  noteFailure(turn, key, child, refusalSentence(given, devices))
  // What it said before it was reminded, perhaps before it lost its power, is not what it does now.
  const last = isDomain(child) ? null : lastWordOf(turn.state, placed.service, placed.number, child)
  change(turn, key, work, { phase: { kind: 'idle' }, ...(last !== null && { baseline: baselineOf(last) }) })
}

/** An ask was not answered. The child that runs the instance is asked again before it counts as silent. */
export function onAskDeadline(turn: Turn, key: InstanceKey, work: Work): void {
  const { phase } = work
  if (phase.kind !== 'asking') return
  const { child, askId, tries, round } = phase
  const { state, context, children } = turn
  const isCurrent = placementOf(state, key)?.child === child && !isLost(state, child, children, context.now)
  if (isCurrent && tries < ASK_TRIES_CURRENT) {
    change(turn, key, work, { phase: { ...phase, tries: tries + 1, deadline: context.now + askMs(turn, child) } })
    sendAsk(turn, key, child, askId, round.known, round)
    return
  }
  letGo(turn, work)
  passOver(turn, key, phase, [refusal('silent', '', devicesOf(state.view.inventory, child))])
}

function passOver(turn: Turn, key: InstanceKey, phase: Work['phase'], reasons: readonly Reason[]): void {
  if (phase.kind !== 'asking') return
  const { round, child } = phase
  change(turn, key, splitInstanceKey(key), { phase: { kind: 'idle' } })
  askNext(turn, key, { ...round, tried: new Set([...round.tried, child]), reasons: [...round.reasons, ...reasons] })
}

/** Nobody is left to ask. */
function exhausted(turn: Turn, key: InstanceKey, known: KnownSpec, reasons: readonly Reason[]): void {
  const work = turn.state.work.get(key)
  if (work === undefined) return
  const devices = reasons.reduce((sum, reason) => sum + reason.count, 0)
  if (work.order !== null) answerRefuse(turn, work, work.order, devices, reasons)
  change(turn, key, work, { order: null })
  const call = calledFor(turn, key, known)
  const leave = call === 'move' ? leaveOf(turn.state, key) : null
  if (call === null) drop(turn, key)
  else if (leave !== null) cannotLeave(turn, key, leave, refusalSentence(reasons, devices))
  else toPending(turn, key, known, refusalSentence(reasons, devices))
}

/** Shows why it has no place, tries again later, and hands back to the parent what it cannot place for too long. */
export function toPending(turn: Turn, key: InstanceKey, known: KnownSpec | null, reason: string): void {
  const { state, context } = turn
  const name = splitInstanceKey(key)
  const before = state.work.get(key)
  const { retryMsMin, retryMsMax, handBackMs } = state.timing
  const rounds = (before?.rounds ?? 0) + 1
  const stuckSince = before?.stuckSince ?? context.now
  const handBackAt = stuckSince + handBackMs
  const backOff = context.now + Math.min(retryMsMax, retryMsMin * 2 ** Math.min(rounds - 1, 20))
  const retryAt = context.now < handBackAt ? Math.min(backOff, handBackAt) : backOff
  change(turn, key, name, {
    phase: { kind: 'pending', retryAt, plannedAt: context.now, clock: known?.clock ?? null },
    rounds,
    stuckSince,
    goodSince: null,
  })
  show(turn, key, reason)
  if (known === null) reportUp(turn, key, 'no-spec', reason)
  else if (context.now >= handBackAt) reportUp(turn, key, 'unplaceable', reason)
}

/** Tells the parent's leader what became of its placement, or that it cannot be met here. */
export function reportUp(
  turn: Turn,
  key: InstanceKey,
  problem: 'unplaceable' | 'no-spec' | 'running' | 'done' | 'failed',
  detail: string,
): void {
  const { domain } = turn.state
  const parent = parentOf(domain)
  const { service, number: below } = splitInstanceKey(key)
  const placed = orderFor(turn.state, service, below)
  if (parent === null || placed === null || placed.child !== domain) return
  // A daemon is for this very domain: there is nobody to hand it back to.
  if (placed.each === true && problem === 'unplaceable') return
  const { number, fence, sequence } = placed
  send(turn, parent, {
    kind: 'placement/report',
    domain: parent,
    child: domain,
    service,
    number,
    problem,
    detail,
    fence,
    sequence,
  })
}

/** Whether the records call for a placement with this spec now, or for another one than there is. */
function calledFor(turn: Turn, key: InstanceKey, known: KnownSpec): 'place' | 'move' | null {
  const { state, children, context } = turn
  const { service, number } = splitInstanceKey(key)
  const wish = wishOf(state, service, number)
  if (wish.kind !== 'wanted' || compareClocks(known.clock, wish.clock) !== 0) return null
  if (state.lead?.listenUntil !== null) return null
  const verdict = verdictOf(state, placementOf(state, key), wish, children, state.work.get(key), context.now)
  if (verdict.kind === 'replace') return 'place'
  const mayLeave = verdict.kind === 'good' || verdict.kind === 'absent'
  return mayLeave && leaveOf(state, key) !== null ? 'move' : null
}

/** Whether the sender may speak for the child: the node itself, or a member of the domain. */
export const speaksFor = (opened: Opened, child: ChildId): boolean =>
  isDomain(child) ? isWithin(opened.signer.domain, child) : opened.from === child

/** An offer that nobody waits for any more gives its room back. */
function release(turn: Turn, opened: Opened<OfferMessage>): void {
  const { askId, child, service, number } = opened.message
  const key = instanceKey(service, number)
  const phase = turn.state.work.get(key)?.phase
  const isRepeated = phase?.kind === 'held' && phase.askId === askId
  if (isRepeated || placementOf(turn.state, key)?.child === child) return
  const to = speaksFor(opened, child) ? child : opened.from
  send(turn, to, { kind: 'placement/release', domain: turn.state.domain, askId, ...roomIn(opened.message) })
}

export function answerOffer(
  turn: Turn,
  work: Work,
  order: Order,
  offer: { readonly node: AskMessage['avoid'][number]; readonly nodeName: string; readonly score: number },
  expiresInMs: number,
): void {
  const { service, number } = work
  send(turn, order.leader, {
    kind: 'placement/offer',
    domain: parentOf(turn.state.domain) ?? turn.state.domain,
    askId: order.askId,
    service,
    number,
    child: turn.state.domain,
    score: offer.score,
    node: offer.node,
    nodeName: offer.nodeName,
    expiresInMs: Math.min(RESERVATION_MS, Math.max(0, Math.floor(expiresInMs))),
    ...order.room,
  })
}

export function answerRefuse(
  turn: Turn,
  name: { readonly service: Work['service']; readonly number: number },
  order: Pick<Order, 'askId' | 'leader' | 'room'>,
  devices: number,
  reasons: readonly Reason[],
): void {
  send(turn, order.leader, {
    kind: 'placement/refuse',
    domain: parentOf(turn.state.domain) ?? turn.state.domain,
    askId: order.askId,
    service: name.service,
    number: name.number,
    child: turn.state.domain,
    devices,
    reasons: tally(reasons),
    ...order.room,
  })
}
