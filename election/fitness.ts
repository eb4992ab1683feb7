// How well a child would lead, from 0 to 1. It shortens a candidate's wait and picks the heir of a leader; it never
// decides who may be believed.

/** What fitness is made of; a missing sensor counts as the middle. */
export interface FitnessReading {
  /** Logical cores. */
  readonly cores: number
  /** Memory that could be used, in MB. */
  readonly memoryFreeMb: number
  /** Event-loop delay of late (99th percentile), in ms. */
  readonly loopDelayMs: number
  /** Hours since this node started. */
  readonly uptimeHours: number
  readonly onBattery: boolean | null
  /** Whether others can dial it directly. */
  readonly isReachable: boolean
}

/** Each part is 0 to 1 and saturates where more no longer makes a better leader; the weights are guesses. */
export function fitnessOf(reading: FitnessReading): number {
  const parts: readonly (readonly [value: number, weight: number])[] = [
    [saturate(reading.cores, 4), 2],
    [saturate(reading.memoryFreeMb, 1_024), 2],
    [1 - saturate(reading.loopDelayMs, 200), 3],
    [saturate(reading.uptimeHours, 24), 1],
    [reading.onBattery === null ? 0.5 : reading.onBattery ? 0 : 1, 2],
    [reading.isReachable ? 1 : 0, 1],
  ]
  const weights = parts.reduce((sum, [, weight]) => sum + weight, 0)
  const score = parts.reduce((sum, [value, weight]) => sum + value * weight, 0) / weights
  return Math.round(score * 100) / 100
}

const saturate = (value: number, enough: number): number => Math.min(1, Math.max(0, value / enough))
