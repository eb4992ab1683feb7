// What devices are called is their operator's affair. In a federation of several operators a node says it only where
// its own cluster hears it: what goes to leaders and electors of other clusters carries ids, which are keys, and no
// names.

import { isDomain } from '../../overlay/kernel/ids.ts'
import type { CoreEffect, CoreMessage } from './effects.ts'

/** The same effects, without the names of devices in what others hear; `then` is looked into too. */
export const discreet = (effects: readonly CoreEffect[]): readonly CoreEffect[] =>
  effects.map((effect) => {
    if (effect.kind === 'send' || effect.kind === 'author') return { ...effect, message: unnamed(effect.message) }
    return effect.kind === 'persist' ? { ...effect, then: discreet(effect.then) } : effect
  })

function unnamed(message: CoreMessage): CoreMessage {
  switch (message.kind) {
    case 'election/announcement':
      return { ...message, name: '' }
    case 'record/instance': {
      // An order's reason names the device that offered, and what became of it repeats the reason.
      const { nodeName = '', ...rest } = message
      return { ...rest, reason: withoutName(rest.reason, nodeName) }
    }
    case 'membership/member':
      // Where a device is, is told to whoever may call what it runs; its cluster has the name in its summary.
      return { ...message, name: '' }
    case 'placement/offer':
      // A node's own offer stays in its cluster, whose roster has its name anyway.
      return isDomain(message.child) ? { ...message, nodeName: '' } : message
    case 'placement/refuse': {
      const { child } = message
      if (!isDomain(child)) return message
      // The best place that was not good enough: of which cluster, not which device.
      return { ...message, reasons: message.reasons.map((one) => (one.on === undefined ? one : { ...one, on: child })) }
    }
    default:
      return message
  }
}

/** Where the name stands as a word; a device that is called `a` leaves the other words as they are. */
function withoutName(reason: string, name: string): string {
  if (name === '') return reason
  const word = name.replace(/[^\p{L}\p{N}]/gu, (sign) => `\\u{${sign.codePointAt(0)?.toString(16)}}`)
  return reason.replace(new RegExp(`(?<![\\p{L}\\p{N}])${word}(?![\\p{L}\\p{N}])`, 'gu'), 'this device')
}
