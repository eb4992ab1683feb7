// A scheduler of the user's own: two functions in a module, `filter` and `score`, each with a reason. What they say is
// checked as a stranger's word is; a module that cannot be relied on is reported once and replaced by the default.

import { isDomain } from '../overlay/kernel/ids.ts'
import { err, ok, type Result } from '../overlay/kernel/result.ts'
import type { Candidate } from './candidate.ts'
import type { Resources } from './need.ts'
import type { Judgement, SchedulerPlugin } from './plugin.ts'
import { refusal } from './refusal.ts'
import type { ServiceSpec } from './spec.ts'

/** What a user's functions see of a candidate: plain data, which can go to another thread. */
export interface CandidateFacts extends Omit<Candidate, 'slotFor'> {
  /** What its best single device has left for the service's runtime. */
  readonly slot: Resources
}

export const factsOfCandidate = (spec: ServiceSpec, candidate: Candidate): CandidateFacts => {
  const { slotFor, ...facts } = candidate
  return { ...facts, slot: slotFor(spec.runtime) ?? candidate.free }
}

/**
 * Where the functions are called. For each candidate, in order: a text from `filter` says why not, else the answer of
 * `score`.
 */
export interface SchedulerModule {
  /** Returns within a bound; the error says what went wrong: it threw, it did not answer in time. */
  judge(spec: ServiceSpec, candidates: readonly CandidateFacts[]): Result<unknown, string>
  /** Why it cannot be relied on although it was not asked yet; null while nothing is known against it. */
  problem(): string | null
}

/** Characters of a user's reason that are passed on. */
const USER_REASON_CHARS_MAX = 200

/** The user's module as long as it can be relied on, from the first failure on the default. */
export function userScheduler(
  name: string,
  module: SchedulerModule,
  fallback: SchedulerPlugin,
  onFailure: (problem: string) => void,
): SchedulerPlugin {
  let isRelied = true
  const giveUp = (problem: string): void => {
    isRelied = false
    onFailure(`the scheduler ${name} ${problem}; ${fallback.name} takes its place until the node starts again`)
  }
  return {
    name,
    judge: (spec, candidates) => {
      if (isRelied && candidates.length > 0) {
        const problem = module.problem()
        const answered =
          problem === null
            ? module.judge(
                spec,
                candidates.map((candidate) => factsOfCandidate(spec, candidate)),
              )
            : err(problem)
        const read = answered.ok ? readJudgements(answered.value, candidates) : answered
        if (read.ok) return read.value
        giveUp(read.error)
      }
      return fallback.judge(spec, candidates)
    },
  }
}

/** Reads what the functions said: one entry for each candidate, `{refused: text}` or `{value, reason}`. */
export function readJudgements(raw: unknown, candidates: readonly Candidate[]): Result<readonly Judgement[], string> {
  if (!Array.isArray(raw) || raw.length !== candidates.length) return err('did not answer for each candidate')
  const judgements: Judgement[] = []
  for (const [index, candidate] of candidates.entries()) {
    const judgement = readJudgement(raw[index], candidate)
    if (!judgement.ok) return judgement
    judgements.push(judgement.value)
  }
  return ok(judgements)
}

function readJudgement(raw: unknown, candidate: Candidate): Result<Judgement, string> {
  const who = isDomain(candidate.child) ? candidate.child : candidate.name
  if (typeof raw !== 'object' || raw === null) return err(`gave no score for ${who}`)
  const { refused, value, reason } = raw as Readonly<Record<string, unknown>>
  if (typeof refused === 'string') {
    const text = refused.slice(0, USER_REASON_CHARS_MAX)
    return ok({ kind: 'refused', reason: refusal('scheduler', text, candidate.devices) })
  }
  if (refused !== undefined && refused !== null) return err(`answered the filter for ${who} with something but a text`)
  if (typeof value !== 'number' || !(value >= 0 && value <= 1)) {
    return err(`gave ${who} a score that is no number from 0 to 1`)
  }
  if (typeof reason !== 'string') return err(`gave ${who} a score without a reason`)
  return ok({ kind: 'scored', score: { value, reason: reason.slice(0, USER_REASON_CHARS_MAX) } })
}
