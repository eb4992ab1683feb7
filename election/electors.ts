// Who gets a vote. Electors are chosen among the steadiest and fittest children, and changed one at a time, so that any two
// successive sets share a majority.

import type { ChildId } from '../overlay/kernel/ids.ts'
import type { Millis } from '../overlay/kernel/time.ts'
import { compareVersions, type Elector, electorIds, NO_VERSION, type Register, versionOf } from './register.ts'
import type { ChildFact, ElectionState, Leading } from './state.ts'

/** The next step towards the wanted set: bring a learner up to date, or replace the set by one that differs in one elector. */
export type ElectorChange =
  | { readonly kind: 'probe'; readonly child: ChildId }
  | { readonly kind: 'electors'; readonly electors: readonly Elector[] }

/**
 * How many electors a domain of so many fit children has: all of up to two, else the largest odd number within the limit. Two
 * may not lose one of them, but the register is then in two places, and either can be granted by the parent.
 */
export function electorsWanted(children: number, max: number): number {
  const most = Math.min(children, max)
  return most <= 2 ? most : most - (1 - (most % 2))
}

/** The one change to make now, or null. A lost elector goes only when a successor is ready, or when it lost its memory. */
export function nextElectorChange(
  state: ElectionState,
  role: Leading,
  register: Register,
  now: Millis,
): ElectorChange | null {
  const electors = register.electors
  const forgetful = electors.find(({ child, ticket }) => {
    const seen = role.progress.get(child)?.ticket
    return child !== state.self && seen !== undefined && seen !== null && seen !== ticket
  })
  if (forgetful !== undefined) return without(electors, forgetful.child)

  const known = new Set(electorIds(register))
  const lost = electors.find(({ child }) => child !== state.self && state.children.get(child)?.alive === false)
  const living = electors.length - (lost === undefined ? 0 : 1)
  const candidates = [...state.children.values()]
    .filter((fact) => !known.has(fact.child) && isSteady(fact, state.timing.steadyMs, now))
    .sort((a, b) => b.fitness - a.fitness || a.steadySince - b.steadySince || (a.child < b.child ? -1 : 1))
  const wanted = electorsWanted(living + candidates.length, state.electorsMax)
  const candidate = candidates[0]

  if (living < wanted && candidate !== undefined) {
    const progress = role.progress.get(candidate.child)
    const isReady =
      progress !== undefined &&
      progress.ticket !== null &&
      compareVersions(progress.held ?? NO_VERSION, { ...versionOf(register), index: 0 }) > 0
    if (!isReady) return { kind: 'probe', child: candidate.child }
    // A full set makes room first: the lost elector counts towards the majority that its successor would have to join.
    if (lost !== undefined && electors.length >= wanted) return without(electors, lost.child)
    return { kind: 'electors', electors: [...electors, { child: candidate.child, ticket: progress.ticket }] }
  }
  if (living > wanted && lost !== undefined) return without(electors, lost.child)
  return null
}

/** When the next child will have been steady for long enough, null when none is waiting. */
export function nextSteadyAt(state: ElectionState, now: Millis): Millis | null {
  const known = new Set(electorIds(state.register))
  let next: Millis | null = null
  for (const fact of state.children.values()) {
    const at = fact.steadySince + state.timing.steadyMs
    if (known.has(fact.child) || !fact.alive || !fact.canLead || at <= now) continue
    if (next === null || at < next) next = at
  }
  return next
}

const without = (electors: readonly Elector[], child: ChildId): ElectorChange => ({
  kind: 'electors',
  electors: electors.filter((elector) => elector.child !== child),
})

const isSteady = (fact: ChildFact, steadyMs: Millis, now: Millis): boolean =>
  fact.alive && fact.canLead && now - fact.steadySince >= steadyMs
