// When a row of probe results becomes news: after so many failures in a row, and at the first success after that.

export interface HealthStreak {
  readonly healthy: boolean
  /** Failures since the last success. */
  readonly failures: number
}

export interface HealthNews {
  readonly healthy: boolean
  readonly detail: string
}

/** A started instance is taken to be healthy until its probes say otherwise. */
export const HEALTHY: HealthStreak = { healthy: true, failures: 0 }

/** Takes in one result (`problem` is null for a success); `retries` failures in a row make an instance unhealthy. */
export function onProbe(
  streak: HealthStreak,
  problem: string | null,
  retries: number,
): { readonly streak: HealthStreak; readonly news: HealthNews | null } {
  if (problem === null) {
    return {
      streak: HEALTHY,
      news: streak.healthy ? null : { healthy: true, detail: 'answers its health check again' },
    }
  }
  const failures = streak.failures + 1
  const turns = streak.healthy && failures >= retries
  return {
    streak: { healthy: streak.healthy && !turns, failures },
    news: turns ? { healthy: false, detail: `failed ${failures} health checks in a row: ${problem}` } : null,
  }
}
