// What a majority of electors has committed is never lost in its line: whoever leads in a later term begins with a
// register that lies above every index that was committed in an earlier one.

import { BrokenRule, type SafetyChecker } from './checker.ts'

interface Reign {
  readonly epoch: number
  readonly term: number
  /** The register with which it was established. */
  readonly from: number
  committed: number
}

export function checkRegisters(): SafetyChecker {
  const lines = new Map<string, Reign[]>()
  return {
    onSeats: (device) => {
      for (const { domain, state } of device.core?.view.seats() ?? []) {
        const { role, register, epoch, term } = state
        if (role.kind !== 'leader' || !role.established || register === null) continue
        const key = `${domain} ${register.line}`
        const reigns = lines.get(key) ?? []
        lines.set(key, reigns)
        const own = reigns.find((reign) => reign.epoch === epoch && reign.term === term)
        if (own !== undefined && own.committed === role.committedIndex) continue
        const reign = own ?? { epoch, term, from: role.committedIndex, committed: 0 }
        if (own === undefined) reigns.push(reign)
        reign.committed = role.committedIndex
        for (const other of reigns) checkPair(`${domain}, line ${register.line}`, reign, other)
      }
    },
  }
}

function checkPair(where: string, a: Reign, b: Reign): void {
  const order = a.epoch - b.epoch || a.term - b.term
  if (order === 0) return
  const [earlier, later] = order < 0 ? [a, b] : [b, a]
  if (later.from > earlier.committed) return
  const was = `index ${earlier.committed} of ${earlier.epoch}.${earlier.term}`
  throw new BrokenRule('register-kept', `${where}: ${later.epoch}.${later.term} began at ${later.from}, below ${was}`)
}
