// Votes that are gone for good. Who goes on below without its majority, or loses its disk, says when it is asked that
// it has no vote, and gets none before a leader makes it an elector again. Where too few votes are left no leader can
// come out of the line any more, whoever returns: nothing is gained by waiting for that.

import type { ChildId } from '../overlay/kernel/ids.ts'
import type { StepContext } from '../overlay/kernel/machine.ts'
import type { Millis } from '../overlay/kernel/time.ts'
import type { PreVote } from './messages.ts'
import { electorIds, majorityOf, ticketIn, versionOf } from './register.ts'
import { drawTimeout, type ElectionEffect, type ElectionState, isElector, lineOf, otherElectors } from './state.ts'

/**
 * How long nobody spoke up before one goes on from a line that nobody can lead, in announcements; and again for each
 * that goes before it, so that they do not all do it at once. A leader of another line is heard in that time.
 */
const BARREN_ANNOUNCEMENTS = 3

/** An elector without its vote: the register still names it, by a ticket that is not its own. */
export const hasLostVote = (state: ElectionState): boolean =>
  electorIds(state.register).includes(state.self) && !isElector(state)

/** Since when this elector has waited long enough for a line that nobody can lead any more; null where somebody can. */
export function barrenPatienceMs(state: ElectionState): Millis | null {
  const electors = electorIds(state.register)
  const isLost = (child: ChildId): boolean => (child === state.self ? !isElector(state) : state.voteless.has(child))
  const isHere = (child: ChildId): boolean => child !== state.self && (state.children.get(child)?.alive ?? false)
  const voting = electors.filter((child) => !isLost(child))
  if (voting.length >= majorityOf(electors.length)) return null
  const isLower = (child: ChildId): boolean => child < state.self && isHere(child)
  // Who has a vote keeps it in the line that follows, so it goes first.
  const before = isLost(state.self)
    ? voting.filter(isHere).length + electors.filter((child) => isLost(child) && isLower(child)).length
    : voting.filter(isLower).length
  return (1 + before) * BARREN_ANNOUNCEMENTS * state.timing.announceMs
}

/** Asks the others whether they have a vote, and for nothing else: nobody grants a term that is long over. */
export function inquire(state: ElectionState, { now, random }: StepContext, out: ElectionEffect[]): ElectionState {
  const { domain, self, speaker, register } = state
  const line = lineOf(state)
  const common: Omit<PreVote, 'ticket'> = {
    kind: 'election/pre-vote',
    domain,
    line,
    epoch: 0,
    term: 0,
    candidate: self,
    register: versionOf(register),
    speaker,
  }
  for (const to of otherElectors(state)) {
    out.push({ kind: 'send', to, message: { ...common, ticket: ticketIn(register, to) } })
  }
  return { ...state, standAt: now + drawTimeout(state, random) }
}
