// The leader of one domain, whatever its level: its children are nodes in a cluster and domains above. It compares what
// is wanted with what is placed and reported, and repairs the difference; whatever made the difference, the repair is
// the same.

import { unreachable } from '../overlay/kernel/assert.ts'
import {
  type ChildId,
  type DomainPath,
  type InstanceKey,
  instanceKey,
  type NodeId,
  type OperatorId,
  type ServiceId,
  splitInstanceKey,
} from '../overlay/kernel/ids.ts'
import type { StepContext, Transition } from '../overlay/kernel/machine.ts'
import { earlier, earliest, type Millis } from '../overlay/kernel/time.ts'
import type { Opened } from '../overlay/wire/envelope.ts'
import { compareClocks, compareFences, type Fence } from '../services-registry/record.ts'
import { noteAbsence, reunite, stayAbsent } from './absence.ts'
import { adopt } from './adopt.ts'
import { createAsks, mayAsk, mayServe } from './asks.ts'
import { foldSends, unfold } from './batch.ts'
import { besideOf, returnToOld } from './beside.ts'
import { enterInBooks, nextSilence } from './books.ts'
import { noteFailure, renew, renewPending, takeAway } from './commitment.ts'
import { AUTHORED_MS_MAX, type PlacementTiming, RETRY_GAP_MS } from './constants.ts'
import { watchConstraints } from './constraint-watch.ts'
import { askForDaemon, giveNumbers } from './daemon.ts'
import { awaitOthers, waitsFor } from './dependency.ts'
import {
  allKeys,
  isLost,
  isOutdated,
  keysOfService,
  placementOf,
  servicesOf,
  verdictOf,
  type Wish,
  wishOf,
} from './desire.ts'
import { askWhoOrdered, awaitWord, commitHeld, depart, onConfirmDeadline, onReport, settle } from './follow-up.ts'
import { concludeJob } from './job.ts'
import { onMove } from './leave.ts'
import { createLedger, placedOn } from './ledger.ts'
import type { PlacementMessage } from './messages.ts'
import { announce, followMove, goingOn, standDown } from './move.ts'
import { onAskDeadline, onOffer, onRefuse, startRound, toPending } from './negotiation.ts'
import { onAsk, onRelease } from './order.ts'
import { keepPace } from './pace.ts'
import type { SchedulerPlugin } from './plugin.ts'
import { bestFit } from './plugins/best-fit.ts'
import { onMayRun } from './run-on.ts'
import {
  change,
  drop,
  dueAt,
  letGo,
  phaseDueAt,
  type SchedulerEffect,
  type SchedulerInput,
  type SchedulerState,
  type Turn,
  type Work,
} from './scheduler-state.ts'
import { targetOf } from './versions.ts'
import type { SchedulerView } from './view.ts'

export interface SchedulerOptions {
  readonly domain: DomainPath
  readonly self: NodeId
  /** Whose device this is; devices of other operators then get to see who submitted what they are asked for. */
  readonly operator?: OperatorId
  readonly timing: PlacementTiming
  readonly view: SchedulerView
  /** Default: best-fit. */
  readonly plugin?: SchedulerPlugin
}

export function createScheduler(options: SchedulerOptions): SchedulerState {
  return {
    domain: options.domain,
    self: options.self,
    operator: options.operator ?? null,
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
  rankings: new Map(),
  work: new Map(),
  asks: createAsks(),
  queue: new Set<InstanceKey>(),
  authored: new Map(),
  specs: new Map(),
  rollouts: new Map(),
  paces: new Map(),
  slots: new Map(),
  answered: new Map(),
  watched: new Map(),
})

export function step(
  state: SchedulerState,
  input: SchedulerInput,
  context: StepContext,
): Transition<SchedulerState, SchedulerEffect> {
  if (state.lead === null && input.kind !== 'lead') return { state, effects: [] }
  // What touched a child in this step is told to the rankings in this step; those of before look at all children.
  state.ledger.touched.length = 0
  const turn: Turn = { state, effects: [], context, children: state.view.children(), present: null }
  switch (input.kind) {
    case 'lead':
      onLead(turn, input.fence)
      break
    case 'unlead':
      return { state: { ...state, lead: null, silenceAt: null, ...emptyTables() }, effects: [] }
    case 'service-changed':
      onServiceChanged(turn, input.service, input.number ?? null)
      break
    case 'children-changed':
      onChildrenChanged(turn, input.child)
      break
    case 'message':
      for (const opened of unfold(input.opened)) onMessage(turn, opened)
      break
    case 'wake':
      onWake(turn)
      break
    default:
      return unreachable(input)
  }
  serveQueue(turn)
  turn.state = { ...turn.state, silenceAt: nextSilence(turn) }
  return { state: turn.state, effects: foldSends(turn.effects) }
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
  for (const pace of state.paces.values()) first = earlier(first, pace.dueAt)
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

/** Its instances are looked at again, and those of the services that wait for it to run. */
function onServiceChanged(turn: Turn, service: ServiceId, number: number | null): void {
  // What a record says of one instance is nothing to the others, unless they take turns or numbers.
  const isAlone = number !== null && !turn.state.slots.has(service) && !keepPace(turn, service, number)
  if (isAlone) examine(turn, instanceKey(service, number))
  else examineService(turn, service)
  for (const [key, work] of [...turn.state.work]) {
    if (work.phase.kind !== 'pending') continue
    const target = targetOf(turn.state, work.service)
    if (target?.known.spec.dependsOn.includes(service) !== true) continue
    change(turn, key, work, { phase: { ...work.phase, retryAt: turn.context.now } })
    examine(turn, key)
  }
}

function examineService(turn: Turn, service: ServiceId): void {
  prepare(turn, service)
  for (const key of keysOfService(turn.state, service)) examine(turn, key)
}

/** Whose turn it is for a new version, and which device has which number of a daemon. */
function prepare(turn: Turn, service: ServiceId): void {
  giveNumbers(turn, service)
  keepPace(turn, service)
}

/** What was placed on the child is looked at again; what found no place may find one now. */
function onChildrenChanged(turn: Turn, child: ChildId | null): void {
  const { state } = turn
  const keys = child === null ? [...state.ledger.placed.keys()] : placedOn(state.ledger, child)
  for (const key of keys) examine(turn, key)
  for (const service of [...state.slots.keys()]) examineService(turn, service)
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
    case 'placement/report':
      if (isOwn) lookAt(turn, onReport(turn, opened as Opened<typeof message>))
      return
    case 'placement/move':
      if (isOwn) lookAt(turn, onMove(turn, opened as Opened<typeof message>))
      return
    case 'placement/may-run':
      if (isOwn) onMayRun(turn, opened as Opened<typeof message>)
      return
    case 'placement/run-on':
    case 'placement/summary':
    case 'placement/aggregate':
    case 'placement/moved':
      return
    default:
      unreachable(message)
  }
}

const lookAt = (turn: Turn, key: InstanceKey | null): void => (key === null ? undefined : examine(turn, key))

function onWake(turn: Turn): void {
  const { context } = turn
  const { now } = context
  for (const [key, work] of [...turn.state.work]) if ((dueAt(work) ?? now + 1) <= now) onDue(turn, key, work)
  if (turn.state.silenceAt !== null && turn.state.silenceAt <= now) {
    for (const key of [...turn.state.ledger.placed.keys()]) examine(turn, key)
  }
  for (const [service, pace] of [...turn.state.paces]) {
    if (pace.dueAt !== null && pace.dueAt <= now) examineService(turn, service)
  }
  const { lead } = turn.state
  if (lead === null || lead.sweepAt > now) return
  turn.state = { ...turn.state, lead: { ...lead, listenUntil: null, sweepAt: now + turn.state.timing.sweepMs } }
  sweep(turn)
}

/** Compares everything; what nobody asks for any more is forgotten. */
function sweep(turn: Turn): void {
  const { authored, specs, rollouts } = turn.state
  for (const [key, { at }] of authored) if (at + AUTHORED_MS_MAX <= turn.context.now) authored.delete(key)
  const known = servicesOf(turn.state, turn.children.keys())
  for (const service of known) {
    prepare(turn, service)
    askForDaemon(turn, service)
  }
  const keys = allKeys(turn.state, turn.children.keys())
  for (const key of keys) examine(turn, key)
  for (const key of watchConstraints(turn, keys)) examine(turn, key)
  const services = new Set([...known, ...[...keys].map((key) => splitInstanceKey(key).service)])
  for (const service of specs.keys()) if (!services.has(service)) specs.delete(service)
  for (const service of rollouts.keys()) if (!services.has(service)) rollouts.delete(service)
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
  putOff(turn, key)
}

/** What was due and could not be done, because a later leader has spoken, is not due again at once. */
function putOff(turn: Turn, key: InstanceKey): void {
  const { now } = turn.context
  const work = turn.state.work.get(key)
  if (work?.phase.kind !== 'pending' || work.phase.retryAt > now) return
  change(turn, key, work, { phase: { ...work.phase, retryAt: now + RETRY_GAP_MS } })
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
    standDown(turn, key)
    if (wish.kind === 'unwanted') takeAway(turn, key, placed, wish.why)
    else if (work !== undefined && work.order === null) drop(turn, key)
    return
  }
  noteAbsence(turn, key, placed)
  const verdict = verdictOf(state, placed, wish, turn.children, state.work.get(key), turn.context.now)
  const isOver = concludeJob(turn, key, placed, wish, verdict)
  const isAway = wish.only !== undefined && isLost(state, wish.only, turn.children, turn.context.now)
  if (isOver || isAway) {
    if (isOver) renew(turn, key, placementOf(turn.state, key))
    if (work !== undefined && work.order === null) drop(turn, key)
    return
  }
  const isFirst = wish.by === 'own' && (placed === null || placed.child === null)
  const waits = isFirst && wish.known !== null ? waitsFor(state, wish.known.spec) : null
  if (waits !== null) {
    awaitOthers(turn, key, wish, waits)
    return
  }
  if (returnToOld(turn, key, wish)) return
  if (followMove(turn, key, placed, verdict, placed !== null && isOutdated(placed, wish))) return
  switch (verdict.kind) {
    case 'good':
      // Also of what shall go on to yet another place: who moved it here waits to hear that it runs.
      announce(turn, key, placed)
      if (reunite(turn, key, placed, wish.known) || depart(turn, key, wish)) return renewPending(turn, key, placed)
      renew(turn, key, placed)
      settle(turn, key, work)
      return
    case 'absent':
      if (!depart(turn, key, wish)) stayAbsent(turn, key, verdict)
      return
    case 'unconfirmed':
      awaitWord(turn, key, work)
      return
    case 'replace':
      if (!adopt(turn, key, wish)) replace(turn, key, work, wish, verdict.failed)
      return renewPending(turn, key, placed)
  }
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
  const isMeant = (clock: { readonly wall: number; readonly counter: number }): boolean =>
    compareClocks(clock, wish.clock) === 0
  const isHere = (child: ChildId): boolean => !isLost(state, child, children, context.now)
  if (work !== undefined && phase?.kind === 'held' && isMeant(phase.known.clock) && isHere(phase.child)) {
    commitHeld(turn, key, phase)
    return
  }
  if (phase?.kind === 'asking' && isMeant(phase.round.known.clock) && isHere(phase.child)) return
  if (phase?.kind === 'queued') return
  if (phase?.kind === 'pending' && phase.clock !== null && isMeant(phase.clock) && phase.retryAt > context.now) return
  if (phase?.kind === 'pending' && phase.clock === null && wish.known === null && phase.retryAt > context.now) return
  if (failed !== null && phase?.kind !== 'pending' && phase?.kind !== 'asking')
    noteFailure(turn, key, failed.child, failed.detail)
  if (wish.known === null) toPending(turn, key, null, wish.problem)
  else startRound(turn, key, wish.known, { from: goingOn(turn, key) ?? besideOf(turn, key, wish.known) })
}

function serveQueue(turn: Turn): void {
  const { asks, queue } = turn.state
  if (!mayServe(asks)) return
  for (const key of queue) {
    if (!mayAsk(asks, splitInstanceKey(key).service)) return
    const work = turn.state.work.get(key)
    turn.state.queue.delete(key)
    if (work === undefined) continue
    change(turn, key, work, { phase: { kind: 'idle' } })
    if (work.order !== null) startRound(turn, key, work.order.known)
    else examine(turn, key)
  }
}
