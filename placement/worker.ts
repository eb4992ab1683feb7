// Every node's own part of placement: it offers what it has, runs what it was given, and says how that goes. Records
// tell it what to run; a leader that is cut off changes nothing for what runs already.

import { unreachable } from '../overlay/kernel/assert.ts'
import {
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
import { compareClocks } from '../services-registry/record.ts'
import { isAskedByLeader, liveInstances, onAsk, onRelease, promised } from './admission.ts'
import { foldSends, unfold } from './batch.ts'
import { evict } from './eviction.ts'
import { decodeKept, type Kept, keptKey } from './kept.ts'
import {
  askForSpec,
  compareOrders,
  giveUpWaiting,
  launch,
  onRuntime,
  persist,
  reconcile,
  relaunch,
  replaceFound,
  stopAgain,
} from './lifecycle.ts'
import type { PlacementMessage } from './messages.ts'
import { NOTHING, needOf, type Resources } from './need.ts'
import { isOverruled, lastWord } from './own-word.ts'
import { NO_POLICY } from './policy.ts'
import { enforce } from './policy-keeping.ts'
import { followReach, onRunOn, reachDueAt, takeOver } from './reach.ts'
import type { FoundInstance } from './runtime.ts'
import { decodeSpec } from './spec.ts'
import { specIdOf } from './spec-id.ts'
import type { NodeSummary } from './summary.ts'
import { noteUse } from './usage.ts'
import type { WorkerView } from './view.ts'
import {
  authorReport,
  type Managed,
  reportEffect,
  reporting,
  tellWorker,
  type WorkerEffect,
  type WorkerInput,
  type WorkerState,
  type WorkerTurn,
} from './worker-state.ts'

export interface WorkerOptions {
  readonly self: NodeId
  /** Whose device it is. */
  readonly operator: OperatorId
  readonly domain: DomainPath
  /** Higher at each start of the node; orders its instance records. */
  readonly incarnation: number
  readonly view: WorkerView
  /** All entries of the node's store whose key begins with KEPT_PREFIX; what cannot be read is passed over. */
  readonly kept: readonly Uint8Array[]
}

export function createWorker(options: WorkerOptions): WorkerState {
  const { self, operator, domain, incarnation, view } = options
  const kept = options.kept.flatMap((value) => {
    const read = decodeKept(value)
    return read.ok ? [read.value] : []
  })
  return {
    self,
    operator,
    domain,
    incarnation,
    view,
    policy: NO_POLICY,
    summary: null,
    ready: new Set(),
    isStarted: false,
    sequence: 0,
    kept,
    reservations: new Map(),
    instances: new Map(),
    missing: new Map(),
    evicted: new Map(),
    reach: new Map(),
    declined: new Map(),
    uses: new Map(),
  }
}

export function step(
  state: WorkerState,
  input: WorkerInput,
  context: StepContext,
): Transition<WorkerState, WorkerEffect> {
  const turn: WorkerTurn = { state, effects: [], context }
  switch (input.kind) {
    case 'start':
      onStart(turn)
      break
    case 'incarnation':
      turn.state = { ...turn.state, incarnation: input.incarnation }
      for (const managed of turn.state.instances.values()) sayOver(turn, managed)
      break
    case 'capacity':
      onCapacity(turn, input.summary)
      break
    case 'message':
      for (const opened of unfold(input.opened)) onMessage(turn, opened)
      break
    case 'service-changed':
      onServiceChanged(turn, input.service, input.number ?? null)
      break
    case 'runtime':
      onRuntime(turn, input.event)
      break
    case 'found':
      onFound(turn, input.runtime, input.instances)
      break
    case 'policy':
      turn.state = { ...turn.state, policy: input.policy }
      enforce(turn)
      break
    case 'evict':
      evict(turn, input.key, input.reason)
      break
    case 'used':
      onUsed(turn, input)
      break
    case 'wake':
      onWake(turn)
      break
    default:
      return unreachable(input)
  }
  return { state: turn.state, effects: foldSends(turn.effects) }
}

/** When something is due: an offer runs out, a back-off or a stop is over, a spec is asked for again. */
export function wakeAt(state: WorkerState): Millis | null {
  let first: Millis | null = null
  for (const { expiresAt } of state.reservations.values()) first = earliest(first, expiresAt)
  for (const repeatAt of state.missing.values()) first = earliest(first, repeatAt)
  for (const { phase } of state.instances.values()) {
    if (phase.kind === 'backing-off' || phase.kind === 'waiting-for-runtime') first = earliest(first, phase.until)
    if (phase.kind === 'stopping') first = earliest(first, phase.repeatAt)
  }
  return earlier(first, reachDueAt(state))
}

/** What the node's summary says of it: instances that run or will, and what is promised in all. */
export const workerUse = (state: WorkerState): { readonly instances: number; readonly reserved: Resources } => ({
  instances: liveInstances(state),
  reserved: promised(state),
})

/** The instances that run here, or will. */
export const runningKeys = ({ instances }: WorkerState): readonly InstanceKey[] =>
  [...instances].filter(([, { phase }]) => phase.kind !== 'ended').map(([key]) => key)

/** Whose service it is that runs here; null where none does, or nobody showed whose it is. */
export const ownerHere = ({ instances }: WorkerState, service: ServiceId): OperatorId | null =>
  [...instances.values()].find((managed) => managed.service === service)?.owner ?? null

/** Takes up what was running before the node stopped; no network is needed for it. */
function onStart(turn: WorkerTurn): void {
  if (turn.state.isStarted) return
  const { kept } = turn.state
  turn.state = { ...turn.state, isStarted: true, kept: [] }
  for (const one of kept) takeUp(turn, one)
  reconcileOwn(turn)
}

function takeUp(turn: WorkerTurn, kept: Kept): void {
  const { state, effects } = turn
  const { key, fence, sequence, specClock, restarts } = kept
  const { service, number } = splitInstanceKey(key)
  const placed = state.view.store.placement(service, number)?.message ?? null
  const isOwn = placed !== null && (placed.child === state.self || placed.previous === state.self)
  const isElsewhere = placed !== null && !isOwn && compareOrders(placed, kept) >= 0
  const decoded = decodeSpec(kept.spec)
  const isOver = placed?.outcome !== undefined && compareClocks(placed.specClock, specClock) === 0
  if (isElsewhere || isOver || !decoded.ok) {
    effects.push({ kind: 'persist', key: keptKey(key), value: null, sync: false, then: [] })
    if (!decoded.ok) tellWorker(turn, 'kept-spec-unreadable', { service, number, reason: decoded.error }, 'warn')
    return
  }
  const managed: Managed = {
    key,
    service,
    number,
    obeys: { fence, sequence, specClock },
    bytes: kept.spec,
    spec: decoded.value,
    specId: specIdOf(decoded.value),
    need: needOf(decoded.value),
    // Older versions did not write it down: what this device ran then was its operator's, or let in by its hand.
    owner: kept.owner ?? state.operator,
    phase: { kind: 'ended' },
    restarts,
    crashes: 0,
    runningSince: null,
    report: reporting(turn, 'reserved', 'the node has started again'),
  }
  const ended = lastWord(state, kept)
  if (ended === null) return launch(turn, managed, false)
  const report = reporting(turn, ended.state, ended.reason, { live: false, done: ended.done === true })
  state.instances.set(key, { ...managed, need: NOTHING, report: { ...report, since: ended.since } })
}

function onCapacity(turn: WorkerTurn, summary: NodeSummary): void {
  const names = (one: NodeSummary | null): string => JSON.stringify(one?.runtimes.map(({ name }) => name) ?? null)
  const isNews = names(turn.state.summary) !== names(summary)
  turn.state = { ...turn.state, summary }
  if (isNews) reconcileOwn(turn)
  enforce(turn)
}

function onMessage(turn: WorkerTurn, opened: Opened<PlacementMessage>): void {
  const { message } = opened
  switch (message.kind) {
    case 'placement/ask': {
      const asked = opened as Opened<typeof message>
      if (!isAskedByLeader(turn.state, asked)) return
      const key = onAsk(turn, asked)
      if (message.reminds === true) sayAgain(turn, instanceKey(message.service, message.number))
      else if (key !== null) reconcile(turn, key)
      return
    }
    case 'placement/release':
      onRelease(turn, opened as Opened<typeof message>)
      return
    case 'placement/run-on':
      onRunOn(turn, opened as Opened<typeof message>)
      return
    case 'placement/may-run':
    case 'placement/summary':
    case 'placement/aggregate':
    case 'placement/offer':
    case 'placement/refuse':
    case 'placement/report':
    case 'placement/move':
    case 'placement/moved':
      return
    default:
      unreachable(message)
  }
}

/**
 * The leader has heard nothing of an order, perhaps because it was over at once: that an instance has ended is no part
 * of what stores compare. What was declined is looked at anew; of the rest the last word is said once more.
 */
function sayAgain(turn: WorkerTurn, key: InstanceKey): void {
  const { sequence } = turn.state
  turn.state.declined.delete(key)
  reconcile(turn, key)
  const { service, number } = splitInstanceKey(key)
  const managed = turn.state.instances.get(key)
  const isHere = turn.state.view.store.placement(service, number)?.message.child === turn.state.self
  if (isHere && managed !== undefined && turn.state.sequence === sequence) authorReport(turn, managed)
}

function onServiceChanged(turn: WorkerTurn, service: ServiceId, number: number | null): void {
  if (number !== null) {
    const key = instanceKey(service, number)
    reconcile(turn, key)
    const managed = turn.state.instances.get(key)
    if (managed !== undefined) sayOver(turn, managed)
    return
  }
  for (const { message } of turn.state.view.store.placements(service))
    reconcile(turn, instanceKey(service, message.number))
}

/**
 * What others remember of a life that this device forgot with its disk stood in the way of what it says now. The order
 * that it names may be on its way to the disk just now.
 */
function sayOver(turn: WorkerTurn, managed: Managed): void {
  if (isOverruled(turn.state, managed)) persist(turn, managed, true, [reportEffect(turn, managed)])
}

/** A runtime tells what it has: what is wanted is taken up, what is not is ended. */
function onFound(turn: WorkerTurn, runtime: string, instances: readonly FoundInstance[]): void {
  turn.state = { ...turn.state, ready: new Set([...turn.state.ready, runtime]) }
  for (const found of instances) sortOut(turn, runtime, found)
  for (const managed of [...turn.state.instances.values()]) {
    if (managed.phase.kind === 'waiting-for-runtime' && managed.spec.runtime === runtime) launch(turn, managed, false)
  }
  reconcileOwn(turn)
}

function sortOut(turn: WorkerTurn, runtime: string, { key, specId, running }: FoundInstance): void {
  const { state, effects } = turn
  const managed = state.instances.get(key)
  const isWaiting = managed?.phase.kind === 'waiting-for-runtime' && managed.spec.runtime === runtime
  if (managed !== undefined && isWaiting) {
    if (managed.specId !== specId && running) replaceFound(turn, managed)
    else if (running) takeOver(turn, managed)
    return
  }
  const { service, number } = splitInstanceKey(key)
  const placed = state.view.store.placement(service, number)?.message ?? null
  const mayRun = placed?.child === state.self && !state.declined.has(key)
  if (managed !== undefined || mayRun) return
  effects.push({ kind: 'runtime', runtime, operation: { kind: 'stop', key, graceMs: STRAY_GRACE_MS } })
  tellWorker(turn, 'stray-instance-stopped', { service, number, runtime }, 'warn')
}

function onUsed(turn: WorkerTurn, { key, used, isLast }: Extract<WorkerInput, { readonly kind: 'used' }>): void {
  const managed = turn.state.instances.get(key)
  if (noteUse(turn, key, used, isLast) && managed !== undefined) authorReport(turn, managed)
}

/** What runs without anybody wanting it has the descriptor's default grace; its own is not known. */
const STRAY_GRACE_MS = 10_000

function onWake(turn: WorkerTurn): void {
  const { state, context } = turn
  for (const [key, { expiresAt }] of state.reservations) if (expiresAt <= context.now) state.reservations.delete(key)
  followReach(turn)
  for (const managed of [...state.instances.values()]) {
    const { phase } = managed
    if (phase.kind === 'backing-off' && phase.until <= context.now) relaunch(turn, managed)
    if (phase.kind === 'waiting-for-runtime' && (phase.until ?? Infinity) <= context.now) giveUpWaiting(turn, managed)
    if (phase.kind === 'stopping' && phase.repeatAt <= context.now) stopAgain(turn, managed)
  }
  for (const [key, repeatAt] of [...state.missing]) if (repeatAt <= context.now) remindOfSpec(turn, key)
}

function remindOfSpec(turn: WorkerTurn, key: InstanceKey): void {
  const { state } = turn
  const { service, number } = splitInstanceKey(key)
  const placed = state.view.store.placement(service, number)?.message ?? null
  state.missing.delete(key)
  if (placed !== null && placed.child === state.self) askForSpec(turn, key, placed)
}

function reconcileOwn(turn: WorkerTurn): void {
  for (const { message } of turn.state.view.store.placedOn(turn.state.self)) {
    reconcile(turn, instanceKey(message.service, message.number))
  }
}
