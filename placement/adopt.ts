// What runs already when its specification comes: the service was brought from another federation, with the devices
// that run it. Its first place is where it runs, and nobody is asked for room that is taken by this very instance.

import { type ChildId, childTowards, type InstanceKey, isWithin, splitInstanceKey } from '../overlay/kernel/ids.ts'
import { compareClocks, type Fence, type SpecRecord } from '../services-registry/record.ts'
import { commit } from './commitment.ts'
import { isLost, placementOf, runBelow, type Wish } from './desire.ts'
import { encodeKept, type Kept } from './kept.ts'
import { change, type SchedulerState, show, type Turn } from './scheduler-state.ts'

/** Below any order of a leader: what a device runs that was not told to by this federation. */
export const FENCE_OF_NOBODY: Fence = { epoch: 0, term: 0 }

/** What a worker kept, for its first start in another federation: any order there is later than what it obeyed here. */
export const carriedOver = (kept: Kept): Uint8Array => encodeKept({ ...kept, fence: FENCE_OF_NOBODY, sequence: 0 })

/**
 * The child that runs an instance which was never placed here; null where none is known to. Who submitted the spec says
 * it (`runs`); where that record is out of sight, the device's own word under no leader's fence.
 */
function runsAlready(
  state: SchedulerState,
  key: InstanceKey,
  wish: Wish & { readonly kind: 'wanted' },
): ChildId | null {
  const { service, number } = splitInstanceKey(key)
  const placed = placementOf(state, key)
  // What had this name here before may have left a withdrawn order behind; one for this very version is a decision.
  const isNew = placed === null || (placed.child === null && compareClocks(placed.specClock, wish.clock) < 0)
  if (wish.only !== undefined || !isNew) return null
  const record = specHere(state, service)
  if (record !== null) {
    const isMeant = compareClocks(record.clock, wish.clock) === 0
    const run = isMeant ? record.runs?.find((one) => one.number === number && isWithin(one.domain, state.domain)) : null
    return run === undefined || run === null ? null : childTowards(state.domain, run.domain, run.node)
  }
  const word = runBelow(state, service, number)
  const said = state.view.store.instancesOf(service, number).find(({ message }) => message === word)
  const isCarried = said !== undefined && said.message.fence.epoch === FENCE_OF_NOBODY.epoch
  return isCarried && compareClocks(said.message.specClock, wish.clock) <= 0 ? said.from : null
}

/**
 * For how many silences of a child its return is waited for, while what it runs may run on there. A guess: all devices
 * start again at once, and their cluster elects a leader.
 */
const SILENCES_WAITED = 4

/** Places an instance where it runs, or waits for that child to be there; false where it is to be placed anew. */
export function adopt(turn: Turn, key: InstanceKey, wish: Wish & { readonly kind: 'wanted' }): boolean {
  const { state, context, children } = turn
  const child = wish.known === null ? null : runsAlready(state, key, wish)
  if (wish.known === null || child === null) return false
  if (children.get(child)?.alive === true && !isLost(state, child, children, context.now)) {
    commit(turn, key, child, wish.known, 'it runs there already', null)
    return true
  }
  const work = state.work.get(key)
  const stuckSince = work?.stuckSince ?? context.now
  const retryAt = stuckSince + SILENCES_WAITED * state.timing.silentMs
  if (context.now >= retryAt) return false
  if (work?.phase.kind === 'pending' && work.phase.retryAt > context.now) return true
  const phase = { kind: 'pending', retryAt, plannedAt: context.now, clock: wish.clock } as const
  change(turn, key, splitInstanceKey(key), { phase, stuckSince })
  show(turn, key, `it runs on ${child}, which is not here yet`)
  return true
}

function specHere({ view }: SchedulerState, service: SpecRecord['service']): SpecRecord | null {
  return view.store.spec(service)?.message ?? view.parentStore()?.spec(service)?.message ?? null
}
