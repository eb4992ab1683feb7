// A daemon runs once on every device that matches. Who has which number is read from the placements, so a number stays
// with its child, and a new leader gives out only what nobody has.

import { type ChildId, instanceKey, isDomain, type ServiceId } from '../overlay/kernel/ids.ts'
import { CHILDREN_PER_NUMBER, type PlacementRecord } from '../services-registry/record.ts'
import { candidateOf } from './candidate.ts'
import { ruledOutBy } from './constraint.ts'
import { isLost, placementOf } from './desire.ts'
import { promisedTo } from './ledger.ts'
import { reportUp } from './negotiation.ts'
import { clusterLabels } from './plan.ts'
import type { Turn } from './scheduler-state.ts'
import type { ServiceSpec } from './spec.ts'
import { findSpec, learnRecord, targetOf } from './versions.ts'

/** What makes a device none of a daemon's. A device that only lacks room is meant all the same, and says so. */
const NOT_MEANT: readonly string[] = ['cluster-selector', 'node-selector', 'runtime']

interface Range {
  readonly spec: ServiceSpec
  /** The numbers that may be given out. */
  readonly first: number
  readonly last: number
}

/** Gives each matching child of the domain its number. */
export function giveNumbers(turn: Turn, service: ServiceId): void {
  const { state } = turn
  const ranges = rangesOf(turn, service)
  if (ranges.length === 0) {
    state.slots.delete(service)
    return
  }
  const [range] = ranges
  if (range === undefined || state.lead === null || state.lead.listenUntil !== null) return
  const before = state.slots.get(service) ?? new Map<ChildId, number>()
  const slots = new Map<ChildId, number>()
  // Where a number stands it is taken until that place was taken away, also of a device that shall run it no more.
  const taken = new Set<number>()
  for (const { message } of state.view.store.placements(service)) {
    const placed = placementOf(state, instanceKey(service, message.number)) ?? message
    if (placed.child !== null) taken.add(placed.number)
    keep(turn, range, placed, slots)
  }
  for (const [child, number] of before) {
    if (slots.has(child) || taken.has(number) || !isMeant(turn, range.spec, child)) continue
    slots.set(child, number)
    taken.add(number)
  }
  let next = range.first
  for (const child of [...turn.children.keys()].sort()) {
    if (slots.has(child) || !isMeant(turn, range.spec, child)) continue
    while (taken.has(next)) next += 1
    if (next > range.last) break
    slots.set(child, next)
    taken.add(next)
  }
  state.slots.set(service, slots)
}

/** A number that was given out stays while its child is known, and alive or not is meant. */
function keep(
  turn: Turn,
  { spec, first, last }: Range,
  { child, number }: PlacementRecord,
  slots: Map<ChildId, number>,
): void {
  if (child === null || number < first || number > last || slots.has(child)) return
  const isKnown = turn.children.has(child) || !isLost(turn.state, child, turn.children, turn.context.now)
  const isAway = turn.children.get(child)?.alive !== true
  if (isKnown && (isAway || isMeant(turn, spec, child))) slots.set(child, number)
}

/** The daemon that the domain runs under this name, and the numbers that it may give out. */
function rangesOf({ state, children }: Turn, service: ServiceId): readonly Range[] {
  const own = targetOf(state, service)
  if (own !== null) {
    // Zero has no numbers of its own below it.
    const first = [...children.keys()].some(isDomain) ? 1 : 0
    return own.known.spec.kind === 'daemon' ? [{ spec: own.known.spec, first, last: CHILDREN_PER_NUMBER - 1 }] : []
  }
  const above = state.view.parentStore()
  const held = above?.spec(service)?.message ?? null
  if (held !== null) learnRecord(state, held)
  const orders = above?.placements(service) ?? []
  return orders.flatMap(({ message }) => {
    if (message.each !== true || message.child !== state.domain) return []
    const known = findSpec(state, service, message.specClock)
    const first = message.number * CHILDREN_PER_NUMBER
    return known === null ? [] : [{ spec: known.spec, first, last: first + CHILDREN_PER_NUMBER - 1 }]
  })
}

/** A leader that was told to run a daemon, and not what it is, asks for that: there is no instance yet that would. */
export function askForDaemon(turn: Turn, service: ServiceId): void {
  const { state } = turn
  for (const { message } of state.view.parentStore()?.placements(service) ?? []) {
    const isOurs = message.each === true && message.child === state.domain
    if (!isOurs || findSpec(state, service, message.specClock) !== null) continue
    const below = instanceKey(service, message.number * CHILDREN_PER_NUMBER)
    reportUp(turn, below, 'no-spec', 'it is not known here what the daemon is')
  }
}

/** Whether a daemon is for this child. */
function isMeant(turn: Turn, spec: ServiceSpec, child: ChildId): boolean {
  const { state } = turn
  const view = turn.children.get(child)
  const news = state.view.inventory.get(child)?.news
  if (view === undefined || !view.canWork || !view.alive || news === undefined) return false
  const promised = promisedTo(state.ledger, child, instanceKey('' as ServiceId, 0))
  const labels = clusterLabels(spec, state.view.inventory)
  const candidate = candidateOf(news, promised, { path: state.domain, labels })
  // A drained device gets rid of all that it runs; it has its daemons again when it is opened.
  if (candidate.intake === 'draining') return false
  const reason = ruledOutBy(spec, candidate)
  return reason === null || !NOT_MEANT.includes(reason.code)
}
