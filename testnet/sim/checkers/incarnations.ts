// A start of a node never speaks under an incarnation that an earlier start spoke under: or a reboot would be mistaken
// for a partition, and old reports on it for new ones. Who lost its disk cannot know, and learns it from the others.

import { BrokenRule, type SafetyChecker } from './checker.ts'

export function checkIncarnations(): SafetyChecker {
  const said = new Map<string, { readonly boot: number; readonly incarnation: number }>()
  return {
    onSealed: (device, { message }) => {
      if (message.kind !== 'membership/member' && message.kind !== 'record/instance') return
      const { incarnation, kind } = message
      const name = `${kind} of ${device.node}, wiped ${device.wipes} times`
      const before = said.get(name)
      if (before !== undefined && before.boot !== device.boot && incarnation <= before.incarnation) {
        throw new BrokenRule('new-incarnation', `${name}, says ${incarnation} again after a restart`)
      }
      said.set(name, { boot: device.boot, incarnation: Math.max(incarnation, before?.incarnation ?? 0) })
    },
  }
}
