// What a scheduler is: it sees the children that could take a service, all at once, and gives each a score or the
// reason why not. What holds under every scheduler (constraint.ts) was checked before. Most are functions that look at
// one candidate at a time; what is judged together can also be handed over together, to a module in its own thread.

import type { Candidate } from './candidate.ts'
import type { Demand } from './demand.ts'
import type { Reason } from './refusal.ts'
import type { ServiceSpec } from './spec.ts'

export interface Score {
  /** From 0 to 1; the highest is asked first. */
  readonly value: number
  readonly reason: string
}

export type Judgement =
  | { readonly kind: 'refused'; readonly reason: Reason }
  | { readonly kind: 'scored'; readonly score: Score }

export interface SchedulerPlugin {
  readonly name: string
  /** One judgement for each candidate, in their order. */
  judge(spec: ServiceSpec, candidates: readonly Candidate[]): readonly Judgement[]
  /** Where each candidate is judged by itself and by the demand alone: such a judgement may be kept (ranking.ts). */
  readonly each?: SchedulerFunctions
}

/** A scheduler that looks at one candidate at a time. */
export interface SchedulerFunctions {
  readonly name: string
  /** Why the candidate cannot take the service; null when it may. */
  filter(demand: Demand, candidate: Candidate): Reason | null
  /** From 0 to 1. */
  value(demand: Demand, candidate: Candidate): number
  /** The value in words, which only the one that is asked needs. */
  reason(demand: Demand, candidate: Candidate): string
}

export const pluginOf = (each: SchedulerFunctions): SchedulerPlugin => ({
  name: each.name,
  each,
  judge: (spec, candidates) =>
    candidates.map((candidate) => {
      const refused = refusedBy(each, spec, candidate)
      if (refused !== null) return { kind: 'refused', reason: refused }
      const score = { value: each.value(spec, candidate), reason: each.reason(spec, candidate) }
      return { kind: 'scored', score }
    }),
})

/** Why a scheduler leaves a candidate out, for all devices behind it; null when it does not. */
export function refusedBy(each: SchedulerFunctions, demand: Demand, candidate: Candidate): Reason | null {
  const reason = each.filter(demand, candidate)
  return reason === null ? null : { ...reason, count: candidate.devices }
}
