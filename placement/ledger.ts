// What a leader has promised of each child: one entry per instance, whether it is placed there or only asked for. Sums
// are kept as entries come and go, so that looking at a thousand children costs a thousand look-ups.

import type { ChildId, InstanceKey, ServiceId } from '../overlay/kernel/ids.ts'
import { splitInstanceKey } from '../overlay/kernel/ids.ts'
import type { Promised } from './candidate.ts'
import { minus, NOTHING, plus, type Resources } from './need.ts'

interface Entry {
  readonly child: ChildId
  readonly need: Resources
}

export interface Ledger {
  /** Each instance has at most one place where it shall be, one that it leaves, and one where it is asked for. */
  readonly placed: Map<InstanceKey, Entry>
  readonly leaving: Map<InstanceKey, Entry>
  readonly asked: Map<InstanceKey, Entry>
  readonly sums: Map<ChildId, Resources>
  readonly onChild: Map<ChildId, Set<InstanceKey>>
  readonly siblings: Map<ServiceId, Map<ChildId, number>>
  /** The children that something was promised or given back of, in order; whoever follows it may empty it. */
  readonly touched: ChildId[]
}

export const createLedger = (): Ledger => ({
  placed: new Map(),
  leaving: new Map(),
  asked: new Map(),
  sums: new Map(),
  onChild: new Map(),
  siblings: new Map(),
  touched: [],
})

/** Enters where an instance is placed; null when nowhere. */
export const enterPlaced = (ledger: Ledger, key: InstanceKey, child: ChildId | null, need: Resources): void =>
  enter(ledger, ledger.placed, key, child, need)

/** Enters which child goes on running an instance until it runs where it is placed; null when none. */
export const enterLeaving = (ledger: Ledger, key: InstanceKey, child: ChildId | null, need: Resources): void =>
  enter(ledger, ledger.leaving, key, child, need)

/** Enters which child is asked, or holds room, for an instance; null when none. */
export const enterAsked = (ledger: Ledger, key: InstanceKey, child: ChildId | null, need: Resources): void =>
  enter(ledger, ledger.asked, key, child, need)

/** What a child was promised for all instances but one, and for that one where it is placed there. */
export function promisedTo(ledger: Ledger, child: ChildId, except: InstanceKey): Promised {
  const placed = ledger.placed.get(except)
  const own = [placed, ledger.leaving.get(except), ledger.asked.get(except)].filter((entry) => entry?.child === child)
  const { service } = splitInstanceKey(except)
  const siblings = (ledger.siblings.get(service)?.get(child) ?? 0) - own.length
  const sum = ledger.sums.get(child) ?? NOTHING
  return {
    resources: own.reduce((rest, entry) => minus(rest, entry?.need ?? NOTHING), sum),
    own: placed?.child === child ? placed.need : NOTHING,
    isPlace: placed?.child === child,
    siblings,
  }
}

/** The instances placed on a child, or leaving it. */
export const placedOn = (ledger: Ledger, child: ChildId): readonly InstanceKey[] => [
  ...(ledger.onChild.get(child) ?? []),
]

function enter(
  ledger: Ledger,
  entries: Map<InstanceKey, Entry>,
  key: InstanceKey,
  child: ChildId | null,
  need: Resources,
): void {
  const before = entries.get(key)
  if (before !== undefined) {
    entries.delete(key)
    ledger.touched.push(before.child)
    ledger.sums.set(before.child, minus(ledger.sums.get(before.child) ?? NOTHING, before.need))
    count(ledger, key, before.child, -1)
    const other = entries === ledger.placed ? ledger.leaving : ledger.placed
    const isStillThere = other.get(key)?.child === before.child
    if (entries !== ledger.asked && !isStillThere) ledger.onChild.get(before.child)?.delete(key)
  }
  if (child === null) return
  entries.set(key, { child, need })
  ledger.touched.push(child)
  ledger.sums.set(child, plus(ledger.sums.get(child) ?? NOTHING, need))
  count(ledger, key, child, 1)
  if (entries === ledger.asked) return
  const keys = ledger.onChild.get(child) ?? new Set()
  ledger.onChild.set(child, keys.add(key))
}

function count(ledger: Ledger, key: InstanceKey, child: ChildId, change: 1 | -1): void {
  const { service } = splitInstanceKey(key)
  const perChild = ledger.siblings.get(service) ?? new Map<ChildId, number>()
  const next = (perChild.get(child) ?? 0) + change
  if (next > 0) perChild.set(child, next)
  else perChild.delete(child)
  if (perChild.size > 0) ledger.siblings.set(service, perChild)
  else ledger.siblings.delete(service)
}
