// What a leader shows so that others believe it: the votes of a majority of the electors of now. As the electors
// change under a leader so does that majority, and who became an elector after the election is asked for its vote of
// that term, which it still has.

import type { ChildId } from '../overlay/kernel/ids.ts'
import type { StepContext } from '../overlay/kernel/machine.ts'
import { VOTES_MAX } from './constants.ts'
import { grantsOf } from './grants.ts'
import type { VoteRequest } from './messages.ts'
import { compareTerms, electorIds, majorityOf, ticketIn, versionOf } from './register.ts'
import { type ElectionEffect, type ElectionState, type Leading, lineOf, otherElectors } from './state.ts'

/** The request by which this elector asks another one for its vote in the term that it is in. */
export const voteRequestOf = (state: ElectionState, to: ChildId, transfer: boolean): VoteRequest => ({
  kind: 'election/vote-request',
  domain: state.domain,
  line: lineOf(state),
  epoch: state.epoch,
  term: state.term,
  candidate: state.self,
  register: versionOf(state.register),
  ticket: ticketIn(state.register, to),
  transfer,
  speaker: state.speaker,
})

/** Whether a majority of the electors of now voted for this leader in its term. */
export function isProven(state: ElectionState, role: Leading): boolean {
  const electors = electorIds(state.register)
  const voters = votersOf(role)
  return electors.filter((child) => voters.has(child)).length >= majorityOf(electors.length)
}

/** Whether so many electors voted for somebody else in this term that only another term can prove who leads. */
export function isUnprovable(state: ElectionState, role: Leading): boolean {
  const electors = electorIds(state.register)
  return electors.filter((child) => !role.refusals.has(child)).length < majorityOf(electors.length)
}

/**
 * Asks for the votes that are missing, beyond a majority too: the more electors vouch for a leader, the more changes
 * may others have missed and still see that its electors grew out of those they know. Only who knows already that it
 * is an elector is asked: it can answer for good.
 */
export function askForVotes(state: ElectionState, out: ElectionEffect[]): void {
  const { role } = state
  if (role.kind !== 'leader') return
  const voters = votersOf(role)
  for (const child of otherElectors(state)) {
    const held = role.progress.get(child)?.held
    const knows = held !== undefined && compareTerms(held, state) === 0 && held.index >= role.electorsIndex
    if (!knows || voters.has(child) || role.refusals.has(child)) continue
    out.push({ kind: 'send', to: child, message: voteRequestOf(state, child, true) })
  }
}

/**
 * Announces when that is due: at once after an election and again when it may give orders, and what changed since,
 * electors and grants, only once it is committed and proven.
 */
export function announceIfDue(state: ElectionState, { now }: StepContext, out: ElectionEffect[]): ElectionState {
  const { role, register, domain, epoch, term, self } = state
  if (role.kind !== 'leader' || register === null || now < role.announceAt) return state
  const isGranting = role.proposals.some((proposal) => proposal.then.length > 0)
  const isCommitted = !role.established || (role.committedIndex >= role.electorsIndex && !isGranting)
  if (!isCommitted || !isProven(state, role)) return { ...state, role: { ...role, announceAt: role.heartbeatAt } }
  const { line, predecessor } = register
  const electors = electorIds(register)
  const grants = grantsOf(register)
  const sequence = role.announcements + 1
  const ofNow = role.votes.filter((vote) => electors.includes(vote.message.voter))
  // The votes of former electors connect the new set to the one that others still know.
  const ofBefore = role.votes.filter((vote) => !electors.includes(vote.message.voter))
  const votes = [...ofNow, ...ofBefore].slice(0, VOTES_MAX)
  out.push({
    kind: 'announce',
    announcement: {
      domain,
      line,
      epoch,
      term,
      leader: self,
      electors,
      predecessor,
      grants,
      established: role.established,
      votes,
      sequence,
    },
  })
  return { ...state, role: { ...role, announcements: sequence, announceAt: now + state.timing.announceMs } }
}

const votersOf = (role: Leading): ReadonlySet<ChildId> => new Set(role.votes.map((vote) => vote.message.voter))
