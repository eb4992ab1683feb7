// A node under pressure ends an instance of its own accord. It says so, its leader looks for another place, and the
// node does not take the same instance back for a while: two devices that both are short of something would otherwise
// hand it back and forth.

import type { InstanceKey } from '../overlay/kernel/ids.ts'
import type { Millis } from '../overlay/kernel/time.ts'
import { isEvicted } from './admission.ts'
import { EVICTED_MS_MAX, EVICTED_MS_MIN } from './constants.ts'
import type { Described } from './described.ts'
import { persist, stopEffect, stopping } from './lifecycle.ts'
import { larger, needOf } from './need.ts'
import type { PressedInstance } from './pressure.ts'
import { specIdOf } from './spec-id.ts'
import {
  type Managed,
  type Obeyed,
  reportEffect,
  reporting,
  update,
  type WorkerState,
  type WorkerTurn,
} from './worker-state.ts'

/** Ends an instance that runs here, and does not take it back for a while; one that does not run is left alone. */
export function evict(turn: WorkerTurn, key: InstanceKey, reason: string): void {
  const { state, context } = turn
  if (!sendAway(turn, key, reason)) return
  forgetOld(state, context.now)
  const times = (state.evicted.get(key)?.times ?? 0) + 1
  const until = context.now + Math.min(EVICTED_MS_MAX, EVICTED_MS_MIN * 2 ** (times - 1))
  state.evicted.set(key, { times, until })
}

/**
 * Ends an instance that runs here, for its leader to find another place; returns whether there was one. An offer that
 * was made for it before is void: the order that takes it up is told that it is lost here.
 */
export function sendAway(turn: WorkerTurn, key: InstanceKey, reason: string): boolean {
  const managed = turn.state.instances.get(key)
  if (managed === undefined || managed.phase.kind !== 'started') return false
  turn.state.reservations.delete(key)
  // Behind the same disk as the start, which may still wait for it.
  persist(turn, managed, false, [stopEffect(managed)])
  const report = reporting(turn, 'stopping', reason)
  update(turn, { ...managed, phase: stopping(turn, managed, 'give-up'), report })
  return true
}

/** Whether it is on its way out although it has a place here: its node ends it of its own accord. */
export const isSentAway = ({ state, context }: WorkerTurn, { key, phase }: Managed): boolean =>
  phase.kind === 'stopping' && (phase.then === 'give-up' || isEvicted(state, key, context.now))

/** It goes on ending, and is lost under the newer order once it has: who gave that has to look for another place. */
export function endUnder(turn: WorkerTurn, before: Managed, obeys: Obeyed, { bytes, spec, owner }: Described): void {
  turn.state.missing.delete(before.key)
  const need = larger(before.need, needOf(spec))
  const common = { obeys, bytes, spec, specId: specIdOf(spec), owner, need }
  const next: Managed = { ...before, ...common, phase: stopping(turn, before, 'give-up') }
  turn.state.instances.set(before.key, next)
  persist(turn, next, true, [reportEffect(turn, next)])
}

function forgetOld(state: WorkerState, now: Millis): void {
  for (const [key, { until }] of state.evicted) if (until + EVICTED_MS_MAX <= now) state.evicted.delete(key)
}

/** What runs here, as pressure has to know it; what is on its way in or out is not counted. */
export const pressedInstances = (state: WorkerState): readonly PressedInstance[] =>
  [...state.instances.values()].flatMap(({ key, spec, specId, restarts, phase, report }) => {
    if (phase.kind !== 'started') return []
    const { runtime, priority, vcpus, memoryMb } = spec
    return [{ key, runtime, specId, restarts, priority, vcpus, memoryMb, since: report.since }]
  })
