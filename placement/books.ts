// The leader's books follow the records: what each child was promised, and which silences have to be waited for.

import { type InstanceKey, isDomain, type ServiceId, splitInstanceKey } from '../overlay/kernel/ids.ts'
import { earliest, type Millis } from '../overlay/kernel/time.ts'
import { placementOf, silentAt, wishOf } from './desire.ts'
import { enterLeaving, enterPlaced } from './ledger.ts'
import { leftBy } from './move.ts'
import { NOTHING, needOf } from './need.ts'
import type { KnownSpec, Turn } from './scheduler-state.ts'

/** Keeps the books in step with the records, and forgets what the store shows by now. */
export function enterInBooks(turn: Turn, key: InstanceKey): void {
  const { state } = turn
  const { service, number } = splitInstanceKey(key)
  const placed = placementOf(state, key)
  const own = state.authored.get(key)?.record
  if (own !== undefined && placed !== own) state.authored.delete(key)
  const known = knownSpecOf(turn, service, number)
  const isOver = known === null || placed?.outcome !== undefined || placed?.each === true
  const need = isOver ? NOTHING : needOf(known.spec)
  enterPlaced(state.ledger, key, placed?.child ?? null, need)
  enterLeaving(state.ledger, key, leftBy(state, placed), need)
}

function knownSpecOf(turn: Turn, service: ServiceId, number: number): KnownSpec | null {
  const wish = wishOf(turn.state, service, number)
  return wish.kind === 'wanted' ? wish.known : (turn.state.specs.get(service)?.[0] ?? null)
}

/** The next moment at which a child domain that runs something will have been silent for too long. */
export function nextSilence(turn: Turn): Millis | null {
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
