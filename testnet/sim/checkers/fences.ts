// No worker obeys a lower fence after a higher one: the order that each instance record names never goes back, neither
// in one life of the node nor, for what it ran, across its restarts; and no store puts a lower order in the place of a
// higher one.

import type { Fence } from '../../../election/index.ts'
import type { CoreMessage } from '../../../node/core/effects.ts'
import type { Opened } from '../../../overlay/wire/envelope.ts'
import { BrokenRule, type SafetyChecker } from './checker.ts'

interface Obeyed {
  readonly fence: Fence
  readonly boot: number
}

export function checkFences(open: (bytes: Uint8Array) => Opened<CoreMessage> | null): SafetyChecker {
  const stored = new Map<string, Obeyed>()
  const inThisLife = new Map<string, Obeyed>()
  const ran = new Map<string, Obeyed>()

  const rise = (
    seen: Map<string, Obeyed>,
    key: string,
    now: Obeyed,
    isComparable: (before: Obeyed) => boolean,
  ): void => {
    const before = seen.get(key)
    const isLower =
      before !== undefined &&
      isComparable(before) &&
      (now.fence.epoch - before.fence.epoch || now.fence.term - before.fence.term) < 0
    if (isLower) {
      const [is, was] = [now.fence, before.fence].map(({ epoch, term }) => `${epoch}.${term}`)
      throw new BrokenRule('fences-grow', `${key} obeys ${is} after ${was}`)
    }
    seen.set(key, now)
  }

  return {
    onDurable: (device, key, value) => {
      if (!key.startsWith('store/') || !key.includes('//placement/')) return
      const name = `${key} on ${device.node}`
      const message = value === null ? null : open(value)?.message
      if (message?.kind !== 'record/placement') return void stored.delete(name)
      rise(stored, name, { fence: message.fence, boot: device.boot }, (before) => before.boot === device.boot)
    },
    onSealed: (device, { message }) => {
      if (message.kind !== 'record/instance') return
      // Who lost its disk knows of no order; what it ran ended with its power.
      const life = device.wipes === 0 ? '' : `, wiped ${device.wipes} times`
      const key = `${message.service}#${message.number} on ${device.node}${life}`
      const now = { fence: message.fence, boot: device.boot }
      rise(inThisLife, key, now, (before) => before.boot === device.boot)
      if (message.state === 'running') rise(ran, key, now, () => true)
    },
  }
}
