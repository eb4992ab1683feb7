// An elector votes once in a term: never for two candidates, whether it is a node that crashed in between or a domain
// that changed its own leader. Every vote that is signed is seen, whether or not it arrives.

import { BrokenRule, type SafetyChecker } from './checker.ts'

export function checkVotes(): SafetyChecker {
  const given = new Map<string, string>()
  return {
    onSealed: (_device, { message }) => {
      if (message.kind !== 'election/vote') return
      const { domain, line, epoch, term, voter, candidate } = message
      const key = `${voter} in ${domain}, ${epoch}.${term}`
      const vote = `${candidate} of line ${line}`
      const before = given.get(key)
      if (before === undefined) given.set(key, vote)
      else if (before !== vote) throw new BrokenRule('one-vote', `${key}: for ${before}, then for ${vote}`)
    },
  }
}
