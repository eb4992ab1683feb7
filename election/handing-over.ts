// A leader that goes of its own accord: before its node stops, or because another elector has been much fitter for a
// long time. It leads on until its heir does, so that the domain is without a leader only while the heir's first
// commit is on its way.

import { emit } from '../overlay/kernel/effect.ts'
import type { ChildId } from '../overlay/kernel/ids.ts'
import type { StepContext } from '../overlay/kernel/machine.ts'
import type { Millis } from '../overlay/kernel/time.ts'
import { FITTER_MARGIN } from './constants.ts'
import type { VoteRequest } from './messages.ts'
import { compareVersions, electorIds, majorityOf, NO_VERSION, versionOf } from './register.ts'
import { type ElectionEffect, type ElectionState, type Leading, lineOf, otherElectors, patienceOf } from './state.ts'

/** Who could take over, the fittest first: they hold all that is committed, and are connected. */
function heirsOf(state: ElectionState): readonly ChildId[] {
  const { role } = state
  if (role.kind !== 'leader') return []
  const version = versionOf(state.register)
  const fitnessOf = (child: ChildId): number => state.children.get(child)?.fitness ?? 0
  return otherElectors(state)
    .filter((child) => !state.closed.has(child))
    .filter((child) => compareVersions(role.progress.get(child)?.held ?? NO_VERSION, version) >= 0)
    .sort((a, b) => fitnessOf(b) - fitnessOf(a) || (a < b ? -1 : 1))
}

/** Whether anybody could take over from this leader. */
export const hasHeir = (state: ElectionState): boolean => heirsOf(state).length > 0

/** Whether one of them takes leadership on: who is drained itself would only pass it on again. */
export const hasAbleHeir = (state: ElectionState): boolean =>
  heirsOf(state).some((child) => state.children.get(child)?.canLead === true)

/** Asks the best elector to stand at once. */
export function transfer(state: ElectionState, context: StepContext, out: ElectionEffect[]): ElectionState {
  const [heir] = heirsOf(state)
  return heir === undefined || state.role.kind !== 'leader' ? state : handTo(heir, state, state.role, context, out)
}

function handTo(
  heir: ChildId,
  state: ElectionState,
  role: Leading,
  { now }: StepContext,
  out: ElectionEffect[],
): ElectionState {
  const { domain, epoch, term, self } = state
  const message = { kind: 'election/stand-now', domain, line: lineOf(state), epoch, term, leader: self } as const
  out.push({ kind: 'send', to: heir, message })
  out.push(emit('leadership-transfer', { domain, to: heir }))
  return { ...state, role: { ...role, handingOver: { heir, until: now + patienceOf(state) }, fitter: new Map() } }
}

/**
 * Whether this leader leaves it to the others to elect the heir that it named: as long as they are enough, it need not
 * stop leading before the heir begins.
 */
export function leavesItToOthers(state: ElectionState, { candidate, transfer }: VoteRequest, now: Millis): boolean {
  const { role } = state
  if (role.kind !== 'leader' || role.handingOver === null || !transfer) return false
  if (role.handingOver.heir !== candidate || now >= role.handingOver.until) return false
  const heard = otherElectors(state).filter((child) => (role.progress.get(child)?.leaseUntil ?? now) > now)
  return heard.length >= majorityOf(electorIds(state.register).length)
}

/**
 * Hands over to an elector that was fitter by FITTER_MARGIN for `fitterMs` without a break, under a leader that has led
 * for as long. Two that are alike never hand over to each other, and no domain changes its leader for this more often
 * than once in that time. A heir that did not take over has to be fitter for as long again.
 */
export function handOverToFitter(state: ElectionState, context: StepContext, out: ElectionEffect[]): ElectionState {
  const { role, fitness, children, timing } = state
  if (role.kind !== 'leader' || !role.established) return state
  const isFitter = (child: ChildId): boolean => {
    const fact = children.get(child)
    return fact?.alive === true && fact.canLead && fact.fitness - fitness >= FITTER_MARGIN
  }
  const found = otherElectors(state).filter(isFitter)
  if (found.length === 0 && role.fitter.size === 0) return state
  const fitter = new Map(found.map((child) => [child, role.fitter.get(child) ?? context.now]))
  const longAgo = context.now - timing.fitterMs
  const heir = heirsOf(state).find((child) => (fitter.get(child) ?? context.now) <= longAgo)
  if (heir !== undefined && role.since <= longAgo) return handTo(heir, state, role, context, out)
  return { ...state, role: { ...role, fitter } }
}
