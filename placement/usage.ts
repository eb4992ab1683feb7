// What an instance used of its device: readings become totals here, and totals go into what the device signs of the
// instance. With the end of an instance it is said at once, of what runs now and then: whoever submitted it and whoever
// owns the device reckon with the same signed words.

import { type InstanceKey, instanceKey } from '../overlay/kernel/ids.ts'
import type { Millis } from '../overlay/kernel/time.ts'
import type { InstanceRecord, InstanceUse } from '../services-registry/record.ts'
import type { InstanceStats } from './runtime.ts'
import type { WorkerTurn } from './worker-state.ts'

/**
 * How often what runs says what it used, if nothing else is to be said of it. A record is 0.7 KB and reaches each
 * device of a cluster: of 100 instances that makes 70 KB an hour and link, where `metered` has 1 MB for everything.
 */
export const USE_SAID_MS = 3_600_000
/** Instances whose totals are remembered; the one unchanged for longest is forgotten, and begins anew. A guess. */
export const USES_MAX = 2_000

/** What an instance has used so far, and how its runtime's count stood when that was read. */
export interface Meter {
  /** As `InstanceUse`, with fractions. */
  readonly used: InstanceUse
  readonly at: Millis
  /** Null before the first reading of a run that began before we looked: what it used then is not counted. */
  readonly cpuSeconds: number | null
}

const NOTHING: InstanceUse = { cpuMs: 0, memoryMbSeconds: 0, carriedBytes: 0 }

/** A run begins, or (`isAdopted`) is found running. */
export const meterRun = (before: Meter | undefined, at: Millis, isAdopted: boolean): Meter => ({
  used: before?.used ?? NOTHING,
  at,
  cpuSeconds: isAdopted ? null : 0,
})

/**
 * With what was read now; null where the runtime does not say, then only the bytes count. `carriedBytes` are all since
 * the node's start.
 */
export function meterReading(meter: Meter, stats: InstanceStats | null, carriedBytes: number, at: Millis): Meter {
  const { used } = meter
  if (stats === null) return { ...meter, used: { ...used, carriedBytes }, at }
  const counted = meter.cpuSeconds ?? stats.cpuSeconds
  // A count that fell began anew: its runtime started it again.
  const cpuSeconds = stats.cpuSeconds < counted ? stats.cpuSeconds : stats.cpuSeconds - counted
  return {
    used: {
      cpuMs: used.cpuMs + cpuSeconds * 1_000,
      memoryMbSeconds: used.memoryMbSeconds + (stats.memoryMb * (at - meter.at)) / 1_000,
      carriedBytes,
    },
    at,
    cpuSeconds: stats.cpuSeconds,
  }
}

/**
 * With what the whole run took of the processor, known at its end: less than was read where it left programs behind
 * that nobody waited for. Of its memory the readings have to do.
 */
export function meterEnd(meter: Meter, cpuSeconds: number, carriedBytes: number, at: Millis): Meter {
  const { used } = meter
  const more = Math.max(0, cpuSeconds - (meter.cpuSeconds ?? cpuSeconds))
  return { used: { ...used, cpuMs: used.cpuMs + more * 1_000, carriedBytes }, at, cpuSeconds }
}

/** As it is said: whole numbers. */
export const useOf = ({ used }: Meter): InstanceUse => ({
  cpuMs: Math.round(used.cpuMs),
  memoryMbSeconds: Math.round(used.memoryMbSeconds),
  carriedBytes: Math.round(used.carriedBytes),
})

/** What the worker remembers of an instance's use. */
export interface Use {
  readonly used: InstanceUse
  /** When a record said it, or when it was first read. */
  readonly saidAt: Millis
}

/** Whether what was read now is to be said at once: `isLast` where nothing will be read for a while. */
export function noteUse(turn: WorkerTurn, key: InstanceKey, used: InstanceUse, isLast: boolean): boolean {
  const { state, context } = turn
  const managed = state.instances.get(key)
  const saidAt = state.uses.get(key)?.saidAt ?? context.now
  state.uses.delete(key)
  state.uses.set(key, { used, saidAt })
  const [oldest] = state.uses.keys()
  if (state.uses.size > USES_MAX && oldest !== undefined) state.uses.delete(oldest)
  if (managed === undefined) return false
  return isLast || managed.phase.kind === 'ended' || context.now - saidAt >= USE_SAID_MS
}

/** For a record of an instance that is about to be authored. */
export function useToSay(
  { state, context }: WorkerTurn,
  { service, number }: Pick<InstanceRecord, 'service' | 'number'>,
): Pick<InstanceRecord, 'used'> {
  const key = instanceKey(service, number)
  const known = state.uses.get(key)
  if (known === undefined) return {}
  state.uses.set(key, { ...known, saidAt: context.now })
  return { used: known.used }
}
