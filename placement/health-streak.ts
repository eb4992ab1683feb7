// When a row of probe results becomes news: after so many failures in a row, and at the first success after that.

export interface HealthStreak {
  readonly healthy: boolean
  /** Failures since the last success. */
  readonly failures: number
  /** It has passed a probe: from then on failures count, however early. */
  readonly hasPassed: boolean
}

export interface HealthNews {
  readonly healthy: boolean
  readonly detail: string
}

/** A started instance is taken to be healthy until its probes say otherwise. */
export const HEALTHY: HealthStreak = { healthy: true, failures: 0, hasPassed: false }

export interface HealthRules {
  /** Failures in a row that make an instance unhealthy. */
  readonly retries: number
  /** The start period is not over: failures before the first success do not count, as Docker has it. */
  readonly isStarting: boolean
}

/** Takes in one result; `problem` is null for a success. */
export function onProbe(
  streak: HealthStreak,
  problem: string | null,
  { retries, isStarting }: HealthRules,
): { readonly streak: HealthStreak; readonly news: HealthNews | null } {
  if (problem === null) {
    return {
      streak: { healthy: true, failures: 0, hasPassed: true },
      news: streak.healthy ? null : { healthy: true, detail: 'answers its health check again' },
    }
  }
  if (isStarting && !streak.hasPassed) return { streak, news: null }
  const failures = streak.failures + 1
  const turns = streak.healthy && failures >= retries
  return {
    streak: { ...streak, healthy: streak.healthy && !turns, failures },
    news: turns ? { healthy: false, detail: `failed ${failures} health checks in a row: ${problem}` } : null,
  }
}
