// One elector comes or goes at a time, and only when the last change was committed (Raft, section 6): else two sets
// that follow each other might not share a majority.

import type { Register } from '../../../election/index.ts'
import { BrokenRule, type SafetyChecker } from './checker.ts'

interface Reign {
  readonly electors: Register['electors']
  /** The index that last changed them. */
  readonly changedAt: number
  /** The index that was last seen. */
  readonly index: number
}

export function checkElectors(): SafetyChecker {
  const reigns = new Map<string, Reign>()
  return {
    onSeats: (device) => {
      for (const { domain, state } of device.core?.view.seats() ?? []) {
        const { role, register, epoch, term } = state
        if (role.kind !== 'leader' || register === null) continue
        const key = `${domain} ${register.line} ${epoch}.${term}`
        const before = reigns.get(key)
        const { index } = register
        if (before?.electors === register.electors) {
          if (before.index !== index) reigns.set(key, { ...before, index })
          continue
        }
        const steps = before === undefined ? 0 : distance(before.electors, register.electors)
        if (before !== undefined && steps > 0 && (steps > 1 || role.committedIndex < before.changedAt)) {
          const sets = [before.electors, register.electors].map((set) => set.map(({ child }) => child).join(' '))
          throw new BrokenRule('one-change', `${key}: from ${sets[0]} to ${sets[1]} before the last was committed`)
        }
        // One step may bring several indices, so which of them changed the electors is the leader's own word.
        const lowest = before === undefined ? 0 : before.index + 1
        const changedAt = before === undefined || steps > 0 ? Math.max(lowest, role.electorsIndex) : before.changedAt
        reigns.set(key, { electors: register.electors, changedAt, index })
      }
    },
  }
}

/** How many electors came or went; one that comes back with another ticket is another one. */
function distance(a: Register['electors'], b: Register['electors']): number {
  const names = (set: Register['electors']): ReadonlySet<string> =>
    new Set(set.map(({ child, ticket }) => `${child} ${ticket}`))
  const [before, after] = [names(a), names(b)]
  const missing = (from: ReadonlySet<string>, other: ReadonlySet<string>): number =>
    [...from].filter((name) => !other.has(name)).length
  return missing(before, after) + missing(after, before)
}
