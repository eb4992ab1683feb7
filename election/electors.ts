// Who gets a vote. Electors are chosen among the steadiest and fittest children, and changed one at a time, so that
// any two successive sets share a majority.

import type { ChildId } from '../overlay/kernel/ids.ts'
import type { Millis } from '../overlay/kernel/time.ts'
import { compareTerms, type Elector, electorIds, type Register } from './register.ts'
import type { ChildFact, ElectionState, Leading } from './state.ts'

const NEVER: Millis = Number.NEGATIVE_INFINITY

/**
 * The next step towards the wanted set: bring a learner up to date, or replace the set by one that differs in one
 * elector.
 */
export type ElectorChange =
  | { readonly kind: 'probe'; readonly child: ChildId }
  | { readonly kind: 'electors'; readonly electors: readonly Elector[] }

/**
 * How many electors a domain of so many fit children has: all of up to two, else the largest odd number within the
 * limit. Two may not lose one of them, but the register is then in two places, and either can be granted by the
 * parent.
 */
export function electorsWanted(children: number, max: number): number {
  const most = Math.min(children, max)
  return most <= 2 ? most : most - (1 - (most % 2))
}

/**
 * The one change to make now, or null. An elector that is lost or retires goes when a successor is ready, when it lost
 * its memory, or when the set without it needs fewer votes than the set with it.
 */
export function nextElectorChange(
  state: ElectionState,
  role: Leading,
  register: Register,
  now: Millis,
): ElectorChange | null {
  const { electors } = register
  const forgetful = electors.find(({ child, ticket }) => {
    const seen = role.progress.get(child)?.ticket
    return child !== state.self && seen !== undefined && seen !== null && seen !== ticket
  })
  if (forgetful !== undefined) return without(electors, forgetful.child)

  const dead = electors.filter(({ child }) => isLost(state, role, child, now))
  const retiring = electors.filter((elector) => !dead.includes(elector) && isRetiring(state, elector.child))
  const lost = [...dead, ...retiring]
  const living = electors.length - lost.length
  const candidates = candidatesOf(state, role, register, now)
  const best = bestOf(candidates)
  const wanted = electorsWanted(living + candidates.length, state.electorsMax)
  const [leaving] = lost

  if (living < wanted && best !== undefined) {
    const ready = bestOf(candidates.filter(({ child }) => ticketOf(state, role, child) !== null))
    const waiting = candidates.find(({ child }) => child === role.probation) ?? best
    if (ready === undefined) return { kind: 'probe', child: waiting.child }
    // A full set makes room first: the lost elector counts towards the majority that its successor would have to join.
    // One that retires answers still, and goes only when the set has its successor.
    if (dead[0] !== undefined && electors.length >= wanted) return without(electors, dead[0].child)
    const ticket = ticketOf(state, role, ready.child) ?? ''
    return { kind: 'electors', electors: [...electors, { child: ready.child, ticket }] }
  }
  // Of an even number, or of a number that two are missing from, the rest has the same majority or a smaller one, and
  // odd is best.
  const isSmallerBetter = living >= 3 && (lost.length >= 2 || electors.length % 2 === 0)
  if (leaving === undefined || dead.length > 0)
    return leaving !== undefined && isSmallerBetter ? without(electors, leaving.child) : null
  const rest = electors.filter(({ child }) => child !== leaving.child)
  const isHeard = rest.every(({ child }) => child === state.self || !isSilent(state, role, child, now))
  const isEven = electors.length > 2 && electors.length % 2 === 0
  return isHeard && (isSmallerBetter || isEven) ? without(electors, leaving.child) : null
}

/** Who is probed next, so that one that never answers does not keep the others waiting. */
export function nextOnProbation(state: ElectionState, role: Leading, now: Millis): ChildId | null {
  const { probation } = role
  if (probation === null || state.register === null) return null
  const best = candidatesOf(state, role, state.register, now).toSorted(compareFitness)
  const candidates = best.map(({ child }) => child)
  return candidates[(candidates.indexOf(probation) + 1) % candidates.length] ?? null
}

/**
 * The steady children that are no electors. Who lost its memory started anew, also where the roster has not heard of
 * that yet.
 */
const candidatesOf = (state: ElectionState, role: Leading, register: Register, now: Millis): readonly ChildFact[] => {
  const known = new Set(electorIds(register))
  return [...state.children.values()]
    .filter((fact) => !known.has(fact.child) && isSteady(fact, state.timing.steadyMs, now))
    .filter(({ child }) => now - (role.progress.get(child)?.forgotAt ?? NEVER) >= state.timing.steadyMs)
}

/** The fitter first, then who is steady for longer. */
const compareFitness = (a: ChildFact, b: ChildFact): number =>
  b.fitness - a.fitness || a.steadySince - b.steadySince || (a.child < b.child ? -1 : 1)

/** Looked for at every beat and answer, among hundreds: nothing is sorted. */
const bestOf = (candidates: readonly ChildFact[]): ChildFact | undefined =>
  candidates.reduce<ChildFact | undefined>(
    (best, one) => (best === undefined || compareFitness(one, best) < 0 ? one : best),
    undefined,
  )

/** The ticket of a learner that holds a register of this very term; null while it does not. */
function ticketOf(state: ElectionState, role: Leading, child: ChildId): string | null {
  const progress = role.progress.get(child)
  return progress !== undefined && compareTerms(progress.held, state) === 0 ? progress.ticket : null
}

/**
 * Gone by the roster's word and by its own silence of late: one that answers is not lost, whatever the roster
 * believes.
 */
function isLost(state: ElectionState, role: Leading, child: ChildId, now: Millis): boolean {
  if (child === state.self || state.children.size === 0 || state.children.get(child)?.alive === true) return false
  return isSilent(state, role, child, now)
}

const isSilent = (state: ElectionState, role: Leading, child: ChildId, now: Millis): boolean =>
  now - (role.progress.get(child)?.heardOf ?? role.since) > state.timing.electionTimeoutMsMax

/** It is here, and is not to lead any more: its device is drained, or its credential says so by now. */
function isRetiring(state: ElectionState, child: ChildId): boolean {
  const fact = state.children.get(child)
  return child !== state.self && fact?.alive === true && !fact.canLead
}

const without = (electors: readonly Elector[], child: ChildId): ElectorChange => ({
  kind: 'electors',
  electors: electors.filter((elector) => elector.child !== child),
})

const isSteady = (fact: ChildFact, steadyMs: Millis, now: Millis): boolean =>
  fact.alive && fact.canLead && now - fact.steadySince >= steadyMs
