// A new version that starts before the old one ends: on another node of the cluster, while the node that runs the old
// one goes on (`order: start-first`). Where no other node can take it, it takes the old one's place after all.

import { type ChildId, type InstanceKey, isDomain } from '../overlay/kernel/ids.ts'
import { compareClocks } from '../services-registry/record.ts'
import { goBack } from './commitment.ts'
import { isLost, isOutdated, lastWordOf, placementOf, reportOf, type Wish } from './desire.ts'
import { leftBy } from './move.ts'
import type { KnownSpec, Turn } from './scheduler-state.ts'
import { runsSpec } from './versions.ts'

/** The node that goes on running the old version until the new one runs elsewhere; null where nobody shall. */
export function besideOf({ state, children, context }: Turn, key: InstanceKey, known: KnownSpec): ChildId | null {
  const placed = placementOf(state, key)
  if (known.spec.kind !== 'service' || known.spec.update.order !== 'start-first') return null
  if (placed === null || placed.child === null || isDomain(placed.child)) return null
  if (placed.previous !== undefined || runsSpec(placed, known)) return null
  if (isLost(state, placed.child, children, context.now)) return null
  return reportOf(state, placed, placed.child, state.work.get(key))?.live === true ? placed.child : null
}

/** The version is taken back while the old one still runs beside it: there is nothing to do but to end the new one. */
export function returnToOld(turn: Turn, key: InstanceKey, wish: Wish & { readonly kind: 'wanted' }): boolean {
  const { state, children, context } = turn
  const placed = placementOf(state, key)
  const left = leftBy(state, placed)
  if (placed === null || left === null || isDomain(left) || !isOutdated(placed, wish)) return false
  if (isLost(state, left, children, context.now)) return false
  const last = lastWordOf(state, placed.service, placed.number, left)
  if (last?.live !== true || compareClocks(last.specClock, wish.clock) !== 0) return false
  goBack(turn, key, placed, left, 'its new version was taken back')
  return true
}
