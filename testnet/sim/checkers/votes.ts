// An elector votes once in a term: never for two candidates, whether it is a node that crashed in between or a domain
// that changed its own leader. Every vote that is signed is seen, whether or not it arrives. What makes a child an
// elector is its ticket, so whoever forgot its votes must not come back with the one that it had. And a node's vote is
// on its disk before anybody hears of it; a domain's is in its own register, where the double vote would show.

import { BrokenRule, type DeviceView, type SafetyChecker } from './checker.ts'
import { readSaved, type Saved } from './commits.ts'

export function checkVotes(): SafetyChecker {
  const given = new Map<string, string>()
  /** Tickets of devices in their clusters, and those that died with the memory of what was voted under them. */
  const held = new Map<DeviceView, Set<string>>()
  const dead = new Map<DeviceView, ReadonlySet<string>>()
  const written = new Map<DeviceView, Saved>()
  return {
    onDurable: (device, key, value) => {
      const saved = value === null || !key.startsWith('election/') ? null : readSaved(value)
      if (saved !== null) written.set(device, saved)
    },
    onSealed: (device, { message }) => {
      if (message.kind !== 'election/vote') return
      const { domain, line, epoch, term, voter, candidate } = message
      const ticket = device.core?.view.seats().find((seat) => seat.domain === domain)?.state.ticket ?? ''
      if (voter === device.node) {
        const saved = written.get(device)
        const order = saved === undefined ? -1 : saved.epoch - epoch || saved.term - term
        if (order < 0 || (order === 0 && saved?.votedFor !== candidate)) {
          throw new BrokenRule(
            'vote-durable',
            `${voter} gives a vote in ${domain}, ${epoch}.${term} that is on no disk`,
          )
        }
        if (dead.get(device)?.has(ticket)) {
          throw new BrokenRule('one-vote', `${voter} in ${domain} votes under the ticket of what it forgot`)
        }
        const tickets = held.get(device) ?? new Set()
        held.set(device, tickets.add(ticket))
      }
      const key = `${voter} (${ticket}) in ${domain}, ${epoch}.${term}`
      const vote = `${candidate} of line ${line}`
      const before = given.get(key)
      if (before === undefined) given.set(key, vote)
      else if (before !== vote) throw new BrokenRule('one-vote', `${key}: for ${before}, then for ${vote}`)
    },
    onForgot: (device) => {
      dead.set(device, new Set([...(dead.get(device) ?? []), ...(held.get(device) ?? [])]))
    },
  }
}
