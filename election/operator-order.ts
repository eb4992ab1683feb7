// An operator's order that a domain goes on without its majority, and why it is refused: whoever was heard within the
// last lease may be there still, and lead or elect a leader.

import type { ChildId } from '../overlay/kernel/ids.ts'
import type { Millis } from '../overlay/kernel/time.ts'
import { electorIds, majorityOf } from './register.ts'
import { type ElectionState, isElector, patienceOf } from './state.ts'
import { leaseOf } from './timing.ts'

/** Why a domain does not go on by an operator's order: it needs none, or there is nothing here to go on from. */
export type RecoveryProblem = 'no-register' | 'just-started' | 'leader-heard' | 'majority-heard'

export function recoveryProblem(state: ElectionState, now: Millis): RecoveryProblem | null {
  const { register, role, leader } = state
  if (register === null) return 'no-register'
  const isFresh = (at: Millis | undefined): boolean => at !== undefined && now - at < leaseOf(patienceOf(state))
  if (role.kind === 'leader' ? now < role.leaseUntil : leader !== null && isFresh(state.leaderlessSince))
    return 'leader-heard'
  const heard = allHeard(state)
  // Who lost its vote makes no majority with anybody: a domain of such electors would wait for itself for ever.
  const mayVote = (child: ChildId): boolean =>
    child === state.self ? isElector(state) : isFresh(heard.get(child)) && !state.voteless.has(child)
  const electors = electorIds(register)
  if (electors.filter(mayVote).length >= majorityOf(electors.length)) return 'majority-heard'
  return isFresh(state.startedAt) ? 'just-started' : null
}

/** When each child was heard last, also those that only the present role remembers. */
export function allHeard({ heard, role, leader, leaderlessSince }: ElectionState): ReadonlyMap<ChildId, Millis> {
  const all = new Map(heard)
  if (leader !== null) all.set(leader.child, leaderlessSince)
  if (role.kind === 'leader') for (const [child, { heardOf }] of role.progress) all.set(child, heardOf)
  return all
}
