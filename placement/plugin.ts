// What a scheduler is: it sees the children that could take a service, all at once, and gives each a score or the
// reason why not. What holds under every scheduler (constraint.ts) was checked before. Most are two functions that look
// at one candidate at a time; what is judged together can also be handed over together, to a module in its own thread.

import type { Candidate } from './candidate.ts'
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
}

/** A scheduler that looks at one candidate at a time. */
export interface SchedulerFunctions {
  readonly name: string
  /** Why the candidate cannot take the service; null when it may. */
  filter(spec: ServiceSpec, candidate: Candidate): Reason | null
  score(spec: ServiceSpec, candidate: Candidate): Score
}

export const pluginOf = ({ name, filter, score }: SchedulerFunctions): SchedulerPlugin => ({
  name,
  judge: (spec, candidates) =>
    candidates.map((candidate) => {
      const reason = filter(spec, candidate)
      return reason === null
        ? { kind: 'scored', score: score(spec, candidate) }
        : { kind: 'refused', reason: { ...reason, count: candidate.devices } }
    }),
})
