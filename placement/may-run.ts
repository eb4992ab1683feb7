// Whether an instance that ends itself may run: only while its leader said so not longer ago than the service allows.

import { RUN_ON_ASKS, RUN_ON_MS_MAX, RUN_ON_MS_MIN } from './constants.ts'
import type { Managed, WorkerTurn } from './worker-state.ts'

export function mayRun({ state, context }: Pick<WorkerTurn, 'state' | 'context'>, { key, spec }: Managed): boolean {
  if (spec.disconnect.stopAfterMs === null) return true
  return (state.reach.get(key)?.until ?? Number.NEGATIVE_INFINITY) > context.now
}

/** How often the leader is asked, in ms. */
export const runOnEveryMs = (stopAfterMs: number): number =>
  Math.min(RUN_ON_MS_MAX, Math.max(RUN_ON_MS_MIN, Math.floor(stopAfterMs / RUN_ON_ASKS)))
