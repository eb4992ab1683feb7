// The leader of one domain, whatever its level: its children are nodes in a cluster and domains above. It compares what
// is wanted with what is placed and reported, and repairs the difference; whatever made the difference, the repair is
// the same.

import { unreachable } from '../overlay/kernel/assert.ts'
import {
  type ChildId,
  type DomainPath,
  type InstanceKey,
  isDomain,
  type NodeId,
  type ServiceId,
  splitInstanceKey,
} from '../overlay/kernel/ids.ts'
import type { StepContext, Transition } from '../overlay/kernel/machine.ts'
import { earlier, earliest, type Millis } from '../overlay/kernel/time.ts'
import type { Opened } from '../overlay/wire/envelope.ts'
import { compareClocks, compareFences, type Fence } from '../services-registry/record.ts'
import { noteFailure, renew, takeAway } from './commitment.ts'
import { ASKS_MAX, AUTHORED_MS_MAX, FORGIVE_MS, type PlacementTiming, RETRY_GAP_MS } from './constants.ts'
import { watchConstraints } from './constraint-watch.ts'
import { allKeys, isLost, keysOfService, placementOf, silentAt, verdictOf, type Wish, wishOf } from './desire.ts'
import { askWhoOrdered, commitHeld, depart, onConfirmDeadline, onReport } from './follow-up.ts'
import { onMove } from './leave.ts'
import { createLedger, enterLeaving, enterPlaced, placedOn } from './ledger.ts'
import type { PlacementMessage } from './messages.ts'
import { announce, followMove, forgetMove, goingOn, leftBy } from './move.ts'
import { NOTHING, needOf } from './need.ts'
import { onAskDeadline, onOffer, onRefuse, startRound, toPending } from './negotiation.ts'
import { onAsk, onRelease } from './order.ts'
import type { SchedulerPlugin } from './plugin.ts'
import { bestFit } from './plugins/best-fit.ts'
import {
  change,
  drop,
  letGo,
  type SchedulerEffect,
  type SchedulerInput,
  type SchedulerState,
  show,
  type Turn,
  type Work,
} from './scheduler-state.ts'
import type { SchedulerView } from './view.ts'

export interface SchedulerOptions {
  readonly domain: DomainPath
  readonly self: NodeId
  readonly timing: PlacementTiming
  readonly view: SchedulerView
  /** Default: best-fit. */
  readonly plugin?: SchedulerPlugin
}

export function createScheduler(options: SchedulerOptions): SchedulerState {
  return {
    domain: options.domain,
    self: options.self,
    plugin: options.plugin ?? bestFit,
    timing: options.timing,
    view: options.view,
    lead: null,
    silenceAt: null,
    ...emptyTables(),
  }
}

const emptyTables = () => ({
  ledger: createLedger(),
  work: new Map(),
  asks: new Map(),
  queue: new Set<InstanceKey>(),
  authored: new Map(),
  specs: new Map(),
  answered: new Map(),
  watched: new Map(),
})

export function step(
  state: SchedulerState,
  input: SchedulerInput,
  context: StepContext,
): Transition<SchedulerState, SchedulerEffect> {
  if (state.lead === null && input.kind !== 'lead') return { state, effects: [] }
  const children = new Map(state.view.children().map((child) => [child.child, child]))
  const turn: Turn = { state, effects: [], context, children }
  switch (input.kind) {
    case 'lead':
      onLead(turn, input.fence)
      break
    case 'unlead':
      return { state: { ...state, lead: null, silenceAt: null, ...emptyTables() }, effects: [] }
    case 'service-changed':
      for (const key of keysOfService(turn.state, input.service)) examine(turn, key)
      break
    case 'children-changed':
      onChildrenChanged(turn, input.child)
      break
    case 'message':
      onMessage(turn, input.opened)
      break
    case 'wake':
      onWake(turn)
      break
    default:
      return unreachable(input)
  }
  serveQueue(turn)
  turn.state = { ...turn.state, silenceAt: nextSilence(turn) }
  return { state: turn.state, effects: turn.effects }
}

/**
 * When something is due: the end of listening, a deadline of some instance, a silence, the next comparison of
 * everything.
 */
export function wakeAt(state: SchedulerState): Millis | null {
  const { lead } = state
  if (lead === null) return null
  let first = earliest(lead.listenUntil, lead.sweepAt, state.silenceAt)
  for (const work of state.work.values()) first = earlier(first, dueAt(work))
  return first
}

/** A new leader starts with empty tables and reads everything; it acts on absences only after it has listened. */
function onLead(turn: Turn, fence: Fence): void {
  const { state, context } = turn
  const isSame = state.lead !== null && compareFences(state.lead.fence, fence) === 0
  if (isSame) return
  const listenUntil = context.now + state.timing.listenMs
  turn.state = {
    ...state,
    ...emptyTables(),
    lead: { fence, since: context.now, listenUntil, sweepAt: listenUntil, nextAsk: 1 },
  }
  for (const key of allKeys(turn.state, turn.children.keys())) enterInBooks(turn, key)
}

/** What was placed on the child is looked at again; what found no place may find one now. */
function onChildrenChanged(turn: Turn, child: ChildId | null): void {
  const { state } = turn
  const keys = child === null ? [...state.ledger.placed.keys()] : placedOn(state.ledger, child)
  for (const key of keys) examine(turn, key)
  for (const [key, work] of state.work) {
    if (work.phase.kind !== 'pending') continue
    const soonest = Math.max(turn.context.now, work.phase.plannedAt + RETRY_GAP_MS)
    change(turn, key, work, { phase: { ...work.phase, retryAt: Math.min(work.phase.retryAt, soonest) } })
    if (soonest <= turn.context.now) examine(turn, key)
  }
}

function onMessage(turn: Turn, opened: Opened<PlacementMessage>): void {
  const { message } = opened
  const isOwn = message.domain === turn.state.domain
  switch (message.kind) {
    case 'placement/ask':
      onAsk(turn, opened as Opened<typeof message>)
      return
    case 'placement/release':
      for (const key of onRelease(turn, opened as Opened<typeof message>)) examine(turn, key)
      return
    case 'placement/offer':
      if (isOwn) onOffer(turn, opened as Opened<typeof message>)
      return
    case 'placement/refuse':
      if (isOwn) onRefuse(turn, opened as Opened<typeof message>)
      return
    case 'placement/report': {
      const key = isOwn ? onReport(turn, opened as Opened<typeof message>) : null
      if (key !== null) examine(turn, key)
      return
    }
    case 'placement/move': {
      const key = isOwn ? onMove(turn, opened as Opened<typeof message>) : null
      if (key !== null) examine(turn, key)
      return
    }
    case 'placement/summary':
    case 'placement/aggregate':
    case 'placement/moved':
      return
    default:
      unreachable(message)
  }
}

function onWake(turn: Turn): void {
  const { context } = turn
  const { now } = context
  for (const [key, work] of [...turn.state.work]) if ((dueAt(work) ?? now + 1) <= now) onDue(turn, key, work)
  if (turn.state.silenceAt !== null && turn.state.silenceAt <= now) {
    for (const key of [...turn.state.ledger.placed.keys()]) examine(turn, key)
  }
  const { lead } = turn.state
  if (lead === null || lead.sweepAt > now) return
  turn.state = { ...turn.state, lead: { ...lead, listenUntil: null, sweepAt: now + turn.state.timing.sweepMs } }
  sweep(turn)
}

/** Compares everything; what nobody asks for any more is forgotten. */
function sweep(turn: Turn): void {
  const { authored, specs } = turn.state
  for (const [key, { at }] of authored) if (at + AUTHORED_MS_MAX <= turn.context.now) authored.delete(key)
  const keys = allKeys(turn.state, turn.children.keys())
  for (const key of keys) examine(turn, key)
  for (const key of watchConstraints(turn, keys)) examine(turn, key)
  const services = new Set([...keys].map((key) => splitInstanceKey(key).service))
  for (const service of specs.keys()) if (!services.has(service)) specs.delete(service)
}

/** When an instance's phase, or the parent's patience, runs out. */
function dueAt(work: Work): Millis | null {
  return earliest(phaseDueAt(work), work.move?.lookAt ?? null)
}

function phaseDueAt({ phase, order }: Work): Millis | null {
  switch (phase.kind) {
    case 'asking':
    case 'confirming':
      return earliest(phase.deadline, order?.until ?? null)
    case 'held':
      return phase.expiresAt
    case 'pending':
      return phase.retryAt
    case 'idle':
    case 'queued':
      return order?.until ?? null
  }
}

function onDue(turn: Turn, key: InstanceKey, work: Work): void {
  const { now } = turn.context
  const { phase, order } = work
  if ((phaseDueAt(work) ?? now + 1) > now) {
    examine(turn, key)
    return
  }
  if (phase.kind === 'held') {
    letGo(turn, work)
    change(turn, key, work, { phase: { kind: 'idle' }, order: null })
  } else if (order !== null && order.until <= now) change(turn, key, work, { order: null })
  else if (phase.kind === 'asking') {
    onAskDeadline(turn, key, work)
    return
  } else if (phase.kind === 'confirming') onConfirmDeadline(turn, key, work)
  examine(turn, key)
}

/** Compares one instance with what is wanted of it, and takes the next step. */
export function examine(turn: Turn, key: InstanceKey): void {
  const { state } = turn
  const { service, number } = splitInstanceKey(key)
  enterInBooks(turn, key)
  const isListening = state.lead === null || state.lead.listenUntil !== null
  if (isListening) return
  const work = state.work.get(key)
  const placed = placementOf(state, key)
  const wish = wishOf(state, service, number)
  if (wish.kind === 'unknown' && placed !== null && placed.child !== null) askWhoOrdered(turn, placed)
  if (wish.kind !== 'wanted') {
    forgetMove(turn, key)
    if (wish.kind === 'unwanted') takeAway(turn, key, placed, wish.why)
    else if (work !== undefined && work.order === null) drop(turn, key)
    return
  }
  const verdict = verdictOf(state, placed, wish, turn.children, work, turn.context.now)
  const wantsNewer = placed !== null && compareClocks(placed.specClock, wish.clock) < 0
  if (followMove(turn, key, placed, verdict, wantsNewer)) return
  switch (verdict.kind) {
    case 'good':
      if (depart(turn, key, wish)) return
      renew(turn, key, placed)
      settle(turn, key, work)
      announce(turn, key, placed)
      return
    case 'unconfirmed':
      awaitWord(turn, key, work)
      return
    case 'replace':
      replace(turn, key, work, wish, verdict.failed)
      return
  }
}

/** It is where it should be. Its failures are remembered until it has run for a while. */
function settle(turn: Turn, key: InstanceKey, work: Work | undefined): void {
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

function awaitWord(turn: Turn, key: InstanceKey, work: Work | undefined): void {
  const kind = work?.phase.kind
  const isAnswering = work !== undefined && work.order !== null && (kind === 'asking' || kind === 'held')
  if (kind === 'confirming' || isAnswering) return
  if (work !== undefined) letGo(turn, work)
  const deadline = turn.context.now + turn.state.timing.confirmMs
  change(turn, key, splitInstanceKey(key), { phase: { kind: 'confirming', askId: null, deadline, reminders: 0 } })
}

function replace(
  turn: Turn,
  key: InstanceKey,
  work: Work | undefined,
  wish: Wish & { readonly kind: 'wanted' },
  failed: { readonly child: ChildId; readonly detail: string } | null,
): void {
  const { state, context, children } = turn
  const phase = work?.phase
  const isNew = (clock: { readonly wall: number; readonly counter: number }): boolean =>
    compareClocks(clock, wish.clock) >= 0
  const isHere = (child: ChildId): boolean => !isLost(state, child, children, context.now)
  if (work !== undefined && phase?.kind === 'held' && isNew(phase.known.clock) && isHere(phase.child)) {
    commitHeld(turn, key, phase)
    return
  }
  if (phase?.kind === 'asking' && isNew(phase.round.known.clock) && isHere(phase.child)) return
  if (phase?.kind === 'queued') return
  if (phase?.kind === 'pending' && phase.clock !== null && isNew(phase.clock) && phase.retryAt > context.now) return
  if (phase?.kind === 'pending' && phase.clock === null && wish.known === null && phase.retryAt > context.now) return
  if (failed !== null && phase?.kind !== 'pending' && phase?.kind !== 'asking')
    noteFailure(turn, key, failed.child, failed.detail)
  if (wish.known === null) toPending(turn, key, null, wish.problem)
  else startRound(turn, key, wish.known, { from: goingOn(turn, key) })
}

function serveQueue(turn: Turn): void {
  for (const key of turn.state.queue) {
    if (turn.state.asks.size >= ASKS_MAX) return
    const work = turn.state.work.get(key)
    turn.state.queue.delete(key)
    if (work === undefined) continue
    change(turn, key, work, { phase: { kind: 'idle' } })
    if (work.order !== null) startRound(turn, key, work.order.known)
    else examine(turn, key)
  }
}

/** Keeps the books in step with the records, and forgets what the store shows by now. */
function enterInBooks(turn: Turn, key: InstanceKey): void {
  const { state } = turn
  const { service, number } = splitInstanceKey(key)
  const placed = placementOf(state, key)
  const own = state.authored.get(key)?.record
  if (own !== undefined && placed !== own) state.authored.delete(key)
  const known = knownSpecOf(turn, service, number)
  const need = known === null ? NOTHING : needOf(known.spec)
  enterPlaced(state.ledger, key, placed?.child ?? null, need)
  enterLeaving(state.ledger, key, leftBy(state, placed), need)
}

function knownSpecOf(turn: Turn, service: ServiceId, number: number) {
  const wish = wishOf(turn.state, service, number)
  return wish.kind === 'wanted' ? wish.known : (turn.state.specs.get(service) ?? null)
}

/** The next moment at which a child domain that runs something will have been silent for too long. */
function nextSilence(turn: Turn): Millis | null {
  const { state, context } = turn
  let first: Millis | null = null
  for (const [child, keys] of state.ledger.onChild) {
    const isWatched = keys.size > 0 && (isDomain(child) || !turn.children.has(child))
    if (!isWatched) continue
    const at = silentAt(state, child)
    if (at > context.now) first = earliest(first, at)
  }
  return first
}
