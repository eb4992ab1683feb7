// What a scheduler is: two functions, each with a reason. What holds under every scheduler (constraint.ts) was checked
// before.

import type { Candidate } from './candidate.ts'
import type { Reason } from './refusal.ts'
import type { ServiceSpec } from './spec.ts'

export interface Score {
  /** From 0 to 1; the highest is asked first. */
  readonly value: number
  readonly reason: string
}

export interface SchedulerPlugin {
  readonly name: string
  /** Why the candidate cannot take the service; null when it may. */
  filter(spec: ServiceSpec, candidate: Candidate): Reason | null
  score(spec: ServiceSpec, candidate: Candidate): Score
}
