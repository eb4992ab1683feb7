// The life of an instance on its node, from the order that brings it to the one that takes it away. The latest
// placement is obeyed, an older one never; what must be remembered reaches the disk before anything is started.

import { type InstanceKey, type NodeId, splitInstanceKey } from '../overlay/kernel/ids.ts'
import { compareClocks, compareFences, type Endpoint, type PlacementRecord } from '../services-registry/record.ts'
import { whyNot } from './admission.ts'
import { MISSING_SPEC_REPEAT_MS, RUNTIME_WAIT_MS, STABLE_RUN_MS, STOP_REPEAT_MS } from './constants.ts'
import { type Described, describedBy } from './described.ts'
import { endUnder, isSentAway } from './eviction.ts'
import { encodeKept, keptKey } from './kept.ts'
import { mayRun } from './may-run.ts'
import { larger, NOTHING, needOf } from './need.ts'
import { hasOutlived } from './own-word.ts'
import { whyKept } from './policy-keeping.ts'
import { type Reason, refusalSentence } from './refusal.ts'
import { afterEnd, type End } from './restart-policy.ts'
import type { RuntimeEvent } from './runtime.ts'
import { specIdOf } from './spec-id.ts'
import {
  authorReport,
  type Managed,
  type ManagedPhase,
  type Obeyed,
  reportEffect,
  reporting,
  tellWorker,
  update,
  type WorkerEffect,
  type WorkerTurn,
} from './worker-state.ts'

/** Compares an instance with its placement, and takes the next step. */
export function reconcile(turn: WorkerTurn, key: InstanceKey): void {
  const { state } = turn
  const { service, number } = splitInstanceKey(key)
  const placed = state.view.store.placement(service, number)?.message ?? null
  const managed = state.instances.get(key)
  if (!state.isStarted || placed === null) return
  if (managed !== undefined && compareOrders(placed, managed.obeys) < 0) return
  if (placed.child !== state.self) {
    state.missing.delete(key)
    state.declined.delete(key)
    if (managed !== undefined && namesAsFormer(placed, state.self)) goOn(turn, managed, placed)
    else if (managed !== undefined) dismiss(turn, managed, placed)
    return
  }
  const declined = state.declined.get(key)
  const isObeyed = managed !== undefined && compareOrders(placed, managed.obeys) === 0
  if ((isObeyed && !hasOutlived(state, managed)) || (declined !== undefined && compareOrders(placed, declined) === 0))
    return
  const isDone = managed?.report.done === true && compareClocks(managed.obeys.specClock, placed.specClock) === 0
  if (placed.outcome !== undefined || isDone) {
    if (managed !== undefined) conclude(turn, managed, placed)
    return
  }
  const described = describedBy(turn, placed)
  if (described === null) askForSpec(turn, key, placed)
  else obey(turn, key, placed, described)
}

/** Orders of one instance: by fence, then sequence. */
export const compareOrders = (a: Omit<Obeyed, 'specClock'>, b: Omit<Obeyed, 'specClock'>): number =>
  compareFences(a.fence, b.fence) || a.sequence - b.sequence

/** Tells the leader that its placement is known and what it is to run is not; repeated until it is. */
export function askForSpec(turn: WorkerTurn, key: InstanceKey, placed: PlacementRecord): void {
  const { state, context, effects } = turn
  if ((state.missing.get(key) ?? context.now) > context.now) return
  state.missing.set(key, context.now + MISSING_SPEC_REPEAT_MS)
  effects.push({
    kind: 'send',
    to: state.domain,
    message: {
      kind: 'placement/report',
      domain: state.domain,
      child: state.self,
      service: placed.service,
      number: placed.number,
      problem: 'no-spec',
      detail: 'the node does not know what it is to run',
      fence: placed.fence,
    },
  })
}

/** Follows a placement on this node: keeps what runs if it is the same, replaces it if not, starts what is new. */
function obey(turn: WorkerTurn, key: InstanceKey, placed: PlacementRecord, described: Described): void {
  const { state } = turn
  const before = state.instances.get(key)
  const { bytes, spec, owner, isReserved } = described
  const isLive = before !== undefined && before.phase.kind !== 'ended'
  const obeys: Obeyed = { fence: placed.fence, sequence: placed.sequence, specClock: placed.specClock }
  if (before !== undefined && !isReserved && isSentAway(turn, before)) return endUnder(turn, before, obeys, described)
  const needsRoom = !isReserved && !(isLive && before.bytes === bytes)
  if (needsRoom && !isAdmitted(turn, key, placed, obeys, described)) return
  state.missing.delete(key)
  state.declined.delete(key)
  if (isReserved) state.reservations.delete(key)
  const specId = specIdOf(spec)
  const common = { key, ...splitInstanceKey(key), obeys, bytes, spec, specId, owner, need: needOf(spec) }
  const isSameSpec = before?.specId === specId
  // Each try of a job counts its own starts.
  const restarts = isSameSpec && spec.kind !== 'job' ? before.restarts : 0
  const fresh = { restarts, crashes: 0, runningSince: null }
  if (before === undefined || !isLive || (before.phase.kind === 'out-of-reach' && before.bytes !== bytes)) {
    const report = reporting(turn, 'reserved', placed.reason)
    launch(turn, { ...common, ...fresh, phase: { kind: 'ended' }, report }, true)
    return
  }
  const isSame = isSameSpec && before.phase.kind !== 'stopping'
  const next: Managed = isSame
    ? { ...before, ...common }
    : {
        ...common,
        ...fresh,
        need: larger(before.need, common.need),
        phase: stopping(turn, before, 'start'),
        report: replacedReport(turn, before),
      }
  state.instances.set(key, next)
  const stops = isSame || before.phase.kind === 'stopping' ? [] : [stopEffect(before)]
  // Said once it is on the disk: a node whose disk fails would start again under the order of before.
  persist(turn, next, true, [...stops, reportEffect(turn, next)])
}

/** A job that is over for good: there is nothing to start, whoever says so again. */
function conclude(turn: WorkerTurn, managed: Managed, placed: PlacementRecord): void {
  if (managed.phase.kind !== 'ended') {
    dismiss(turn, managed, placed)
    return
  }
  const { fence, sequence, specClock } = placed
  const next: Managed = { ...managed, obeys: { fence, sequence, specClock } }
  turn.state.instances.set(managed.key, next)
  persist(turn, next, true, [reportEffect(turn, next)])
}

/** Whether it is to run, and no driver has it. */
const isIdle = ({ kind }: ManagedPhase): boolean => kind === 'waiting-for-runtime' || kind === 'out-of-reach'

type Stopping = ManagedPhase & { readonly kind: 'stopping' }

const replacedReport = (turn: WorkerTurn, before: Managed): Managed['report'] =>
  before.phase.kind === 'stopping' && before.report.live
    ? before.report
    : reporting(turn, 'stopping', 'is replaced by a newer version')

/** Room for a placement that comes without an offer: there is, there is not, or it cannot be said yet. */
function isAdmitted(
  turn: WorkerTurn,
  key: InstanceKey,
  placed: PlacementRecord,
  obeys: Obeyed,
  { spec, owner }: Described,
): boolean {
  const { state } = turn
  // A runtime that never answers is no silence for the leader: it asks again, and that is refused.
  if (state.summary === null || !state.ready.has(spec.runtime)) return false
  const { service, number } = placed
  const lock = whyKept(turn, key, spec)
  if (lock !== null) {
    // What runs stays as it is: that is what the lock is for.
    state.declined.set(key, obeys)
    tellWorker(turn, 'update-locked', { service, number, reason: lock.detail }, 'warn')
    return false
  }
  const reason = whyNot(turn, key, spec, owner)
  if (reason === null) return true
  state.declined.set(key, obeys)
  const sentence = `${whyDeclined(reason)}: ${refusalSentence([reason], 1)}`
  const report = reporting(turn, 'lost', sentence, { live: false })
  const before = state.instances.get(key)
  if (before === undefined) authorReport(turn, { service, number, report, restarts: 0, obeys })
  else giveUp(turn, before, { ...before, obeys, report })
  tellWorker(turn, 'placement-declined', { service, number, reason: sentence }, 'warn')
  return false
}

function whyDeclined({ code }: Reason): string {
  if (code === 'policy') return 'it may not run here'
  return code === 'evicted' ? 'not again so soon' : 'its offer had expired and there is no room any more'
}

/** Ends what a declined order was to replace: it would run on under the older one, which nobody stands by any more. */
function giveUp(turn: WorkerTurn, before: Managed, last: Managed): void {
  const { key, phase } = before
  if (phase.kind === 'ended' || isIdle(phase)) {
    turn.state.instances.delete(key)
    authorReport(turn, last)
    turn.effects.push({ kind: 'persist', key: keptKey(key), value: null, sync: false, then: [] })
    return
  }
  if (phase.kind !== 'stopping') persist(turn, before, false, [stopEffect(before)])
  update(turn, { ...last, phase: stopping(turn, before, 'forget') })
}

/** Starts an instance, once its runtime has told what runs already. */
export function launch(turn: WorkerTurn, managed: Managed, sync: boolean): void {
  const { runtime } = managed.spec
  const need = needOf(managed.spec)
  if (!turn.state.ready.has(runtime)) {
    const report = reporting(turn, 'reserved', `waits for the runtime ${runtime}`)
    persist(turn, managed, sync, [])
    const phase = { kind: 'waiting-for-runtime' as const, until: turn.context.now + RUNTIME_WAIT_MS }
    update(turn, { ...managed, need, phase, runningSince: null, report })
    return
  }
  if (!mayRun(turn, managed)) {
    awaitReach(turn, { ...managed, need }, sync)
    return
  }
  const { key, spec, specId, restarts } = managed
  const operation = { kind: 'start' as const, launch: { key, spec, specId, restarts } }
  persist(turn, managed, sync, [{ kind: 'runtime', runtime, operation }])
  const report = reporting(turn, 'starting', managed.report.reason)
  update(turn, { ...managed, need, phase: { kind: 'started' }, runningSince: null, report })
}

/** Nothing runs, and the order stands: it starts as soon as the leader says that it may. */
export function awaitReach(turn: WorkerTurn, managed: Managed, sync: boolean): void {
  const isNew = managed.report.state === 'reserved'
  const why = `waits for the leader of ${turn.state.domain} to be in reach (disconnect.stop_after)`
  const report = isNew ? reporting(turn, 'reserved', why) : reporting(turn, 'stopped', why)
  persist(turn, managed, sync, [])
  update(turn, { ...managed, phase: { kind: 'out-of-reach' }, runningSince: null, report })
}

/** Whether a node goes on with what it runs although another one shall run it. */
const namesAsFormer = ({ previous, replaced }: PlacementRecord, self: NodeId): boolean =>
  previous === self || replaced?.child === self

/**
 * Another node shall run it, and until it does this one goes on with what it runs: it obeys the order, and no older one
 * any more, but keeps the specification of before.
 */
function goOn(turn: WorkerTurn, managed: Managed, placed: PlacementRecord): void {
  const { phase, obeys } = managed
  const isOver = phase.kind === 'ended' || (phase.kind === 'stopping' && phase.then === 'forget')
  if (isOver || compareOrders(placed, obeys) === 0) return
  const { fence, sequence } = placed
  const next = { ...managed, obeys: { ...obeys, fence, sequence } }
  turn.state.instances.set(managed.key, next)
  persist(turn, next, true, [reportEffect(turn, next)])
}

/** Another node runs it now, or none shall: ends it here and forgets it. */
function dismiss(turn: WorkerTurn, managed: Managed, placed: PlacementRecord): void {
  const { phase } = managed
  const why = placed.child === null ? placed.reason : `moved to another device: ${placed.reason}`
  if (isIdle(phase)) {
    forget(turn, { ...managed, report: reporting(turn, 'stopping', why) })
    return
  }
  if (phase.kind === 'stopping') {
    if (phase.then !== 'forget') update(turn, { ...managed, phase: { ...phase, then: 'forget' } })
    return
  }
  // Behind the same disk as the start, which may still wait for it: a stop that came first would end nothing.
  persist(turn, managed, false, [stopEffect(managed)])
  const report = reporting(turn, 'stopping', why)
  update(turn, { ...managed, phase: stopping(turn, managed, 'forget'), report })
}

/** Says for the last time that it is over, unless it did, and drops what was kept. */
function forget(turn: WorkerTurn, managed: Managed): void {
  const { key, report } = managed
  turn.state.instances.delete(key)
  if (report.live)
    authorReport(turn, { ...managed, report: reporting(turn, 'stopped', report.reason, { live: false }) })
  turn.effects.push({ kind: 'persist', key: keptKey(key), value: null, sync: false, then: [] })
}

/** What the node did not want to go on with has ended: its leader shall look for another place. */
function endEvicted(turn: WorkerTurn, managed: Managed): void {
  const report = reporting(turn, 'lost', managed.report.reason, { live: false })
  update(turn, { ...managed, phase: { kind: 'ended' }, need: NOTHING, runningSince: null, report })
}

/** What the driver says of an instance that it was given. */
export function onRuntime(turn: WorkerTurn, event: RuntimeEvent): void {
  const managed = turn.state.instances.get(event.key)
  if (managed === undefined) return
  const { phase } = managed
  const isEnd = event.kind === 'exited' || event.kind === 'failed'
  if (phase.kind === 'stopping') {
    if (!isEnd) return
    if (phase.then === 'forget') forget(turn, managed)
    else if (phase.then === 'give-up') endEvicted(turn, managed)
    else launch(turn, managed, false)
    return
  }
  if (phase.kind !== 'started') return
  switch (event.kind) {
    case 'pulling':
      if (managed.report.state !== 'pulling')
        update(turn, { ...managed, report: reporting(turn, 'pulling', event.detail) })
      return
    case 'running':
      if (event.specId === managed.specId) onRunning(turn, managed, event.endpoint, event.adopted)
      return
    case 'health':
      onHealth(turn, managed, event.healthy, event.detail)
      return
    case 'exited':
    case 'failed':
      onEnd(turn, managed, event)
      return
  }
}

function onRunning(turn: WorkerTurn, managed: Managed, endpoint: Endpoint, adopted: boolean): void {
  // Why it had to be started again is worth knowing while it runs.
  const again = managed.crashes > 0 ? managed.report.reason : ''
  const reason = adopted ? 'was still running and is taken over' : again
  const report = reporting(turn, 'running', reason, { endpoint })
  update(turn, { ...managed, runningSince: turn.context.now, report })
}

function onHealth(turn: WorkerTurn, managed: Managed, healthy: boolean, detail: string): void {
  const { report } = managed
  const wanted = healthy ? 'running' : 'unhealthy'
  const answers = report.state === 'running' || report.state === 'unhealthy'
  if (!answers || (report.state === wanted && report.healthy === healthy)) return
  const { endpoint, since } = report
  const next = reporting(turn, wanted, detail, { endpoint, healthy })
  update(turn, { ...managed, report: report.state === wanted ? { ...next, since } : next })
}

function onEnd(turn: WorkerTurn, managed: Managed, end: End): void {
  const { context } = turn
  const ranMs = managed.runningSince === null ? 0 : context.now - managed.runningSince
  const crashes = ranMs >= STABLE_RUN_MS ? 1 : managed.crashes + 1
  const next = afterEnd(managed.spec, end, crashes)
  const { service, number } = managed
  tellWorker(turn, 'instance-ended', { service, number, reason: next.reason }, next.kind === 'done' ? 'info' : 'warn')
  const ended = { ...managed, crashes, runningSince: null }
  if (next.kind === 'again') {
    const phase: ManagedPhase = { kind: 'backing-off', until: context.now + next.delayMs }
    update(turn, { ...ended, phase, report: reporting(turn, 'starting', next.reason) })
    return
  }
  const done = next.kind === 'done' && managed.spec.kind === 'job'
  const report = reporting(turn, next.kind === 'done' ? 'stopped' : 'failed', next.reason, { live: false, done })
  update(turn, { ...ended, phase: { kind: 'ended' }, need: NOTHING, report })
}

/** Its runtime is not there for too long: whoever leads may look for another place. Where there is none it stays. */
export function giveUpWaiting(turn: WorkerTurn, managed: Managed): void {
  const why = `the runtime ${managed.spec.runtime} has not answered on this device for ${RUNTIME_WAIT_MS / 60_000} min`
  const report = reporting(turn, 'lost', why, { live: false })
  update(turn, { ...managed, phase: { kind: 'waiting-for-runtime', until: null }, report })
}

/** The back-off is over. */
export function relaunch(turn: WorkerTurn, managed: Managed): void {
  launch(turn, { ...managed, restarts: managed.restarts + 1 }, false)
}

/** Tells the driver again to end what should have ended by now. */
export function stopAgain(turn: WorkerTurn, managed: Managed): void {
  const { phase, key } = managed
  if (phase.kind !== 'stopping') return
  const { runtime, graceMs } = phase
  turn.effects.push({ kind: 'runtime', runtime, operation: { kind: 'stop', key, graceMs } })
  const repeatAt = turn.context.now + graceMs + STOP_REPEAT_MS
  turn.state.instances.set(key, { ...managed, phase: { ...phase, repeatAt } })
}

/** Replaces a run that is not the wanted one, found when the runtime told what it has. */
export function replaceFound(turn: WorkerTurn, managed: Managed): void {
  turn.effects.push(stopEffect(managed))
  const report = reporting(turn, 'stopping', 'an older version was still running')
  update(turn, { ...managed, phase: stopping(turn, managed, 'start'), report })
}

export function stopping(turn: WorkerTurn, managed: Managed, then: Stopping['then']): ManagedPhase {
  if (managed.phase.kind === 'stopping') return { ...managed.phase, then }
  const { runtime, stopGraceMs: graceMs } = managed.spec
  return { kind: 'stopping', runtime, graceMs, repeatAt: turn.context.now + graceMs + STOP_REPEAT_MS, then }
}

export const stopEffect = ({ key, spec }: Managed): WorkerEffect => ({
  kind: 'runtime',
  runtime: spec.runtime,
  operation: { kind: 'stop', key, graceMs: spec.stopGraceMs },
})

export function persist(turn: WorkerTurn, managed: Managed, sync: boolean, then: readonly WorkerEffect[]): void {
  const { key, obeys, bytes, restarts, owner } = managed
  const kept = { kind: 'worker/kept' as const, key, ...obeys, spec: bytes, restarts, ...(owner !== null && { owner }) }
  const value = encodeKept(kept)
  turn.effects.push({ kind: 'persist', key: keptKey(key), value, sync, then })
}
