// The pressure on this device, between its readings and those who act on them: the runtimes give limits, the worker
// ends what has to go.

import type { DomainPath, InstanceKey } from '../../overlay/kernel/ids.ts'
import type { HostReading } from '../../placement/host-reading.ts'
import {
  createPressure,
  type PressedInstance,
  type PressureEffect,
  type PressureLevel,
  type PressureSettings,
  step,
} from '../../placement/pressure.ts'
import type { CoreEffect } from './effects.ts'

export interface Pressing {
  level(): PressureLevel
  /** Returns which instance has to go, and why. */
  onReading(
    reading: HostReading,
    instances: readonly PressedInstance[],
    out: CoreEffect[],
  ): readonly { readonly key: InstanceKey; readonly reason: string }[]
}

/**
 * Every how many readings (one in 5 s) pressure is looked at. Several nodes that start on one machine keep all of it
 * busy for a while; ending what runs is for what lasts. So level 1 takes half a minute and level 2 a whole one. A
 * guess.
 */
const READINGS_PER_LOOK = 2

/** `settings` is null where nobody looks at pressure; what was limited before is then put back. */
export function createPressing(
  domain: DomainPath,
  settings: PressureSettings | null,
  kept: Uint8Array | null,
): Pressing {
  let state = createPressure(settings ?? NEVER, kept)
  let readings = 0
  return {
    level: () => state.level,
    onReading: (reading, instances, out) => {
      readings += 1
      if (readings % READINGS_PER_LOOK !== 0) return []
      const stepped = step(state, { kind: 'reading', reading, instances })
      state = stepped.state
      for (const effect of stepped.effects) if (effect.kind !== 'evict') out.push(translated(effect, domain))
      return stepped.effects.flatMap((effect) => (effect.kind === 'evict' ? [effect] : []))
    },
  }
}

/** No share is above it, and each is below. */
const NEVER: PressureSettings = { high: Number.POSITIVE_INFINITY, low: Number.POSITIVE_INFINITY, readings: 1 }

function translated(effect: Exclude<PressureEffect, { readonly kind: 'evict' }>, domain: DomainPath): CoreEffect {
  switch (effect.kind) {
    case 'limit': {
      const { runtime, key, limits } = effect
      return { kind: 'runtime', runtime, operation: { kind: 'limit', key, limits } }
    }
    case 'persist': {
      return { ...effect, then: effect.then.map((next) => translated(next, domain)) }
    }
    case 'emit':
      return { kind: 'emit', event: { ...effect.event, domain } }
  }
}
