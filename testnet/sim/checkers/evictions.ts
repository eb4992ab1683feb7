// A device that ended an instance because it was short of something does not take the same one back for a while, so
// that two such devices never hand it to and fro. It forgets that when its process ends.

import type { DomainEvent } from '../../../overlay/kernel/effect.ts'
import { type InstanceKey, instanceKey, type ServiceId } from '../../../overlay/kernel/ids.ts'
import type { Millis } from '../../../overlay/kernel/time.ts'
import { EVICTED_MS_MAX, EVICTED_MS_MIN } from '../../../placement/constants.ts'
import { BrokenRule, type DeviceView, type SafetyChecker } from './checker.ts'

interface Evicted {
  readonly boot: number
  readonly at: Millis
  readonly times: number
  /** Whether it ran by then: a start may still wait for the disk, and goes before the stop. */
  readonly hadBegun: boolean
}

export interface Evictions extends SafetyChecker {
  /** Whether a device keeps an instance away still; `key` may be a whole service, for its daemons. */
  isKeptOut(device: DeviceView, key: InstanceKey | ServiceId): boolean
  count(): number
}

/** The clocks of devices are off by half of a hundredth at most (topology.ts). */
const CLOCK_SLACK = 0.01

export function checkEvictions(now: () => Millis): Evictions {
  const evicted = new Map<string, Evicted>()
  let count = 0
  const find = (device: DeviceView, key: string): Evicted | null => {
    const found = evicted.get(`${device.node} ${key}`)
    return found?.boot === device.boot ? found : null
  }
  const keptMs = ({ times }: Evicted): Millis => Math.min(EVICTED_MS_MAX, EVICTED_MS_MIN * 2 ** (times - 1))
  return {
    onEvent: (device, { name, fields }: DomainEvent) => {
      if (name !== 'pressure-evicted') return
      const service = fields.service as ServiceId
      for (const key of [instanceKey(service, fields.number as number), service]) {
        const times = (find(device, key)?.times ?? 0) + 1
        const hadBegun = device.instances.has(key as InstanceKey)
        evicted.set(`${device.node} ${key}`, { boot: device.boot, at: now(), times, hadBegun })
      }
      count += 1
    },
    onStarted: (device, key) => {
      const last = find(device, key)
      if (last === null || !last.hadBegun || now() - last.at >= keptMs(last) * (1 - CLOCK_SLACK)) return
      const afterS = ((now() - last.at) / 1_000).toFixed(1)
      throw new BrokenRule(
        'no-swinging',
        `${device.node} starts ${key} again ${afterS} s after it ended it to get well`,
      )
    },
    isKeptOut: (device, key) => {
      const last = find(device, key)
      return last !== null && now() - last.at < keptMs(last) * (1 + CLOCK_SLACK)
    },
    count: () => count,
  }
}
