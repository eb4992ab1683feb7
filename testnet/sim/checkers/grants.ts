// No two lines of a domain are ever both granted by its parent: of those that broke off from one line, the parent's
// line lets one go on.

import { parentOf } from '../../../overlay/kernel/ids.ts'
import { BrokenRule, type SafetyChecker } from './checker.ts'

export function checkGrants(): SafetyChecker {
  const granted = new Map<string, string>()
  return {
    onSealed: (device, { message }) => {
      if (message.kind !== 'election/grant') return
      const { domain, of, line, child } = message
      const parent = parentOf(domain)
      const seat = device.core?.view.seats().find((one) => one.domain === parent)
      const key = `${domain} after ${of}, by line ${seat?.state.register?.line} of ${parent}`
      const successor = `${line} of ${child}`
      const before = granted.get(key) ?? successor
      granted.set(key, before)
      if (before !== successor) throw new BrokenRule('one-grant', `${key}: ${before}, then ${successor}`)
    },
  }
}
