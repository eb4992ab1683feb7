// Nobody asks for votes before a majority said that it would give them (pre-vote; Ongaro's thesis, section 9.6), unless
// the leader itself asks it to stand or its line has to move: so who was cut off and returns does not depose a leader
// that does well.

import { electorIds, majorityOf } from '../../../election/index.ts'
import { BrokenRule, type SafetyChecker } from './checker.ts'

export function checkPreVotes(): SafetyChecker {
  const granted = new Map<string, Set<string>>()
  return {
    onSealed: (device, { message }) => {
      if (message.kind === 'election/pre-vote-answer' && message.granted) {
        const { domain, line, epoch, term, voter } = message
        const key = `${domain} ${line} ${epoch}.${term}`
        granted.set(key, (granted.get(key) ?? new Set()).add(voter))
      }
      if (message.kind !== 'election/vote-request' || message.transfer) return
      const { domain, line, epoch, term, candidate } = message
      const register = device.core?.view.seats().find((seat) => seat.domain === domain)?.state.register ?? null
      if (register === null || register.line !== line) return
      const voters = granted.get(`${domain} ${line} ${epoch}.${term}`)
      const electors = electorIds(register)
      const willing = electors.filter((child) => child === candidate || voters?.has(child)).length
      if (willing >= majorityOf(electors.length)) return
      const who = `${candidate} stands in ${domain} ${epoch}.${term}`
      throw new BrokenRule('asked-first', `${who} with ${willing} of ${electors.length} willing`)
    },
  }
}
