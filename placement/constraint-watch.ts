// Whether what was near enough when it was placed still is. Each look of the leader is one measurement; of the last so
// many, at most the share that the rigidness leaves may break the limit. What stays broken for the convergence time is
// moved, the new one running before the old one ends.

import type { ChildId, InstanceKey } from '../overlay/kernel/ids.ts'
import { splitInstanceKey } from '../overlay/kernel/ids.ts'
import type { Millis } from '../overlay/kernel/time.ts'
import { AVOID_MS_MAX, AVOID_MS_MIN, MEASUREMENTS_KEPT } from './constants.ts'
import { placementOf, wishOf } from './desire.ts'
import { breaks, isMeasured, type Measure, nearnessOf } from './nearness.ts'
import { change, type SchedulerState, type Turn, tell } from './scheduler-state.ts'
import { callName } from './summary.ts'

/** What was measured of one instance since it is where it is. */
export interface Watched {
  readonly child: ChildId
  /** For each constraint that is measured, in the order of the spec. */
  readonly constraints: readonly WatchedConstraint[]
  /** Not moved again before; doubles with each try that came to nothing. */
  readonly quietUntil: Millis
  readonly tries: number
}

interface WatchedConstraint {
  /** Whether the last measurements broke the limit, the newest last. */
  readonly broke: readonly boolean[]
  /** Since when more of them did than may. */
  readonly brokenSince: Millis | null
}

/** Measures what is placed, and has it moved that broke a limit for too long. Returns the instances to look at. */
export function watchConstraints(turn: Turn, keys: Iterable<InstanceKey>): readonly InstanceKey[] {
  const { watched } = turn.state
  const seen = new Set<InstanceKey>()
  const leaving: InstanceKey[] = []
  for (const key of keys) {
    const measures = measuresOf(turn.state, key)
    if (measures === null) continue
    seen.add(key)
    const next = measured(watched.get(key), measures, turn.context.now)
    watched.set(key, next)
    if (leave(turn, key, next, measures)) leaving.push(key)
  }
  for (const key of watched.keys()) if (!seen.has(key)) watched.delete(key)
  return leaving
}

interface Measures {
  readonly child: ChildId
  readonly name: string
  readonly list: readonly Measure[]
}

/** Null where nothing is measured: no such constraint, no settled place, or nobody may move it. */
function measuresOf(state: SchedulerState, key: InstanceKey): Measures | null {
  const { service, number } = splitInstanceKey(key)
  const wish = wishOf(state, service, number)
  const spec = wish.kind === 'wanted' ? (wish.known?.spec ?? null) : null
  if (spec === null || spec.autonomy === 'manual' || !isMeasured(spec)) return null
  const placed = placementOf(state, key)
  if (placed === null || placed.child === null || placed.previous !== undefined) return null
  const news = state.view.inventory.get(placed.child)?.news
  if (news === undefined) return null
  const { inventory, store } = state.view
  const runs = (of: typeof service): readonly ChildId[] =>
    store.placements(of).flatMap(({ message }) => message.child ?? [])
  const list = nearnessOf(spec, { inventory, domain: state.domain, runs })(news)
  return { child: placed.child, name: callName(news), list }
}

function measured(before: Watched | undefined, { child, list }: Measures, now: Millis): Watched {
  const isSame = before?.child === child && before.constraints.length === list.length
  const constraints = list.map((measure, index): WatchedConstraint => {
    const known = isSame ? before.constraints[index] : undefined
    // What cannot be judged is no measurement.
    const fresh = measure.value === null ? [] : [breaks(measure)]
    const broke = [...(known?.broke ?? []), ...fresh].slice(-MEASUREMENTS_KEPT)
    return { broke, brokenSince: isBroken(broke, measure.rigidness) ? (known?.brokenSince ?? now) : null }
  })
  if (isSame) return { ...before, constraints }
  return { child, constraints, quietUntil: now, tries: before?.tries ?? 0 }
}

/** Whether more of the measurements broke the limit than the rigidness leaves (Oakestra's SLA). */
export function isBroken(broke: readonly boolean[], rigidness: number): boolean {
  const count = broke.filter(Boolean).length
  return count > (1 - rigidness) * broke.length + ROUNDING
}

/** 1 - 0.9 is a little more than a tenth. */
const ROUNDING = 1e-9

function leave(turn: Turn, key: InstanceKey, watched: Watched, { child, name, list }: Measures): boolean {
  const { state, context } = turn
  if (watched.quietUntil > context.now || (state.work.get(key)?.leave ?? null) !== null) return false
  const index = watched.constraints.findIndex(({ brokenSince }, at) => {
    const converged = list[at]?.convergenceMs ?? 0
    return brokenSince !== null && context.now - brokenSince >= converged
  })
  const broken = list[index]
  if (broken === undefined) return false
  const tries = watched.tries + 1
  const quietUntil = context.now + Math.min(AVOID_MS_MAX, AVOID_MS_MIN * 2 ** Math.min(watched.tries, 10))
  state.watched.set(key, { ...watched, tries, quietUntil })
  const { service, number } = splitInstanceKey(key)
  const why = `${name} is ${inWords(broken)}`
  tell(turn, 'constraint-broken', { service, number, child, reason: why }, 'warn')
  const requestId = `measured-${state.domain}-${key}-${context.now}`.slice(0, 64)
  const request = { requestId, requester: null, from: child, to: null, why, refused: '', isDrain: true }
  change(turn, key, { service, number }, { leave: request })
  return true
}

const UNITS = { geo: 'km', latency: 'ms', bandwidth: 'Mbit/s' } as const

function inWords({ kind, to, value, threshold }: Measure): string {
  const unit = UNITS[kind]
  const bound = kind === 'bandwidth' ? 'at least' : 'at most'
  const way = kind === 'bandwidth' ? 'connected with' : 'away by'
  return `${way} ${Math.round(value ?? 0)} ${unit} (${bound} ${threshold} ${unit} to ${to})`
}
