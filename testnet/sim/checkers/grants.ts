// No two lines of a domain are ever both granted by its parent: of those that broke off from one line, the parent's
// line lets one go on.

import type { DomainPath } from '../../../overlay/kernel/ids.ts'
import { BrokenRule, type SafetyChecker } from './checker.ts'

/** As a parent's leader seals it, as far as it is looked at. */
interface Grant {
  readonly kind: 'election/grant'
  readonly domain: DomainPath
  /** The line that was there before, and the one that goes on. */
  readonly of: string
  readonly line: string
  readonly child: string
}

export function checkGrants(): SafetyChecker {
  const granted = new Map<string, string>()
  return {
    onSealed: (device, { message }) => {
      if ((message as { readonly kind: string }).kind !== 'election/grant') return
      const { domain, of, line, child } = message as unknown as Grant
      const parentLine = device.core?.view.seats().find((seat) => seat.domain === domain)?.state.register?.line
      const key = `${child} after ${of}, by ${domain} of line ${parentLine}`
      const before = granted.get(key)
      if (before === undefined) granted.set(key, line)
      else if (before !== line) throw new BrokenRule('one-grant', `${key}: ${before}, then ${line}`)
    },
  }
}
