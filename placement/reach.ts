// What ends itself when no leader is in reach (`disconnect.stop_after`). The node asks its leader again and again
// whether the instance may run on; each answer holds for that span from when it was asked, and for the placement that
// the leader has then. So whoever replaces it after that span never makes it run twice, and what has ended itself
// starts again only where it still belongs.

import { instanceKey } from '../overlay/kernel/ids.ts'
import { earliest, type Millis } from '../overlay/kernel/time.ts'
import type { Opened } from '../overlay/wire/envelope.ts'
import { compareFences } from '../services-registry/record.ts'
import { awaitReach, launch, persist, stopEffect, stopping } from './lifecycle.ts'
import { mayRun, runOnEveryMs } from './may-run.ts'
import type { RunOnMessage } from './messages.ts'
import { type Managed, reporting, tellWorker, update, type WorkerState, type WorkerTurn } from './worker-state.ts'

/** When the leader is asked next, or something has to end; null where nothing ends itself. */
export function reachDueAt(state: WorkerState): Millis | null {
  let first: Millis | null = null
  for (const managed of state.instances.values()) {
    if (spanOf(managed) === null) continue
    const reach = state.reach.get(managed.key)
    const endsAt = isActive(managed) ? (reach?.until ?? Number.NEGATIVE_INFINITY) : null
    first = earliest(first, reach?.askAt ?? Number.NEGATIVE_INFINITY, endsAt)
  }
  return first
}

/** How long it may run without a leader; null where that is no matter, or nothing is to run here. */
function spanOf({ spec, phase }: Managed): number | null {
  if (phase.kind === 'ended' || (phase.kind === 'stopping' && phase.then !== 'start')) return null
  return spec.disconnect.stopAfterMs
}

const isActive = ({ phase }: Managed): boolean => phase.kind === 'started' || phase.kind === 'backing-off'

/** Asks for what is due, and ends what has no leader's word any more. */
export function followReach(turn: WorkerTurn): void {
  const { state, context } = turn
  for (const key of state.reach.keys()) if (!state.instances.has(key)) state.reach.delete(key)
  for (const managed of [...state.instances.values()]) {
    const spanMs = spanOf(managed)
    if (spanMs === null) continue
    // It was running before its service wanted this: it has the whole span from now on.
    if (!state.reach.has(managed.key) && isActive(managed)) takeOver(turn, managed)
    if (isActive(managed) && !mayRun(turn, managed)) endItself(turn, managed, spanMs)
    const reach = state.reach.get(managed.key) ?? { until: null, askAt: context.now }
    if (reach.askAt > context.now) continue
    ask(turn, managed)
    state.reach.set(managed.key, { ...reach, askAt: context.now + runOnEveryMs(spanMs) })
  }
}

/** What runs already, when the node starts: nobody remembers when the leader was last heard, so it counts from now. */
export function takeOver({ state, context }: WorkerTurn, { key, spec }: Managed): void {
  const { stopAfterMs } = spec.disconnect
  if (stopAfterMs !== null) state.reach.set(key, { until: context.now + stopAfterMs, askAt: context.now })
}

function ask({ state, context, effects }: WorkerTurn, { service, number }: Managed): void {
  const { domain, incarnation } = state
  const askedAt = Math.floor(context.now)
  const message = { kind: 'placement/may-run' as const, domain, service, number, incarnation, askedAt }
  effects.push({ kind: 'send', to: domain, message })
}

function endItself(turn: WorkerTurn, managed: Managed, spanMs: number): void {
  const { service, number, phase } = managed
  const why = `no leader of ${turn.state.domain} in reach for ${spanMs / 1_000} s (disconnect.stop_after)`
  tellWorker(turn, 'instance-ends-itself', { service, number, reason: why }, 'warn')
  if (phase.kind === 'backing-off') {
    awaitReach(turn, managed, false)
    return
  }
  // Behind the same disk as the start, which may still wait for it.
  persist(turn, managed, false, [stopEffect(managed)])
  const report = reporting(turn, 'stopping', why)
  update(turn, { ...managed, phase: stopping(turn, managed, 'start'), report })
}

/** The leader says that it may run on; what had ended itself starts again. */
export function onRunOn(turn: WorkerTurn, { from, message }: Opened<RunOnMessage>): void {
  const { state, context } = turn
  const { domain, fence, service, number, incarnation, askedAt } = message
  const managed = state.instances.get(instanceKey(service, number))
  const isOwn = domain === state.domain && incarnation === state.incarnation && askedAt <= context.now
  if (managed === undefined || !isOwn || state.view.leaders.leaderAt(domain, fence) !== from) return
  const spanMs = spanOf(managed)
  if (spanMs === null || compareFences(fence, managed.obeys.fence) < 0) return
  const until = askedAt + spanMs
  const before = state.reach.get(managed.key)
  if (until <= Math.max(context.now, before?.until ?? 0)) return
  state.reach.set(managed.key, { until, askAt: before?.askAt ?? context.now })
  if (managed.phase.kind === 'out-of-reach') launch(turn, managed, false)
}
