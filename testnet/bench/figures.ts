// The little arithmetic that measurements need, and how a figure is shown beside what it should be.

import { loadavg } from 'node:os'

/** The middle value; of an even number the mean of the two in the middle. NaN for none. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = sorted.length / 2
  const upper = sorted[Math.floor(middle)] ?? Number.NaN
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? Number.NaN) + upper) / 2
}

export interface Figure {
  readonly what: string
  readonly value: number
  readonly target: number
  /** The value is at most the target, or at least; default `at most`. */
  readonly bound?: 'at most' | 'at least'
  readonly unit: string
}

/** A figure that could not be taken (NaN) is missed. */
export const isMet = ({ value, target, bound }: Figure): boolean =>
  bound === 'at least' ? value >= target : value <= target

/** Median and worst of the same measurement. */
export const medianAndWorst = (
  what: string,
  values: readonly number[],
  targets: { readonly median: number; readonly worst: number },
  unit = 'ms',
): readonly Figure[] => [
  { what: `${what}, median of ${values.length}`, value: median(values), target: targets.median, unit },
  { what: `${what}, worst of ${values.length}`, value: worstOf(values), target: targets.worst, unit },
]

/** The largest value; NaN for none. */
export const worstOf = (values: readonly number[]): number => (values.length === 0 ? Number.NaN : Math.max(...values))

export function lineOf(figure: Figure): string {
  const { what, value, target, unit, bound = 'at most' } = figure
  const verdict = isMet(figure) ? 'PASS' : 'MISS'
  return `${verdict}  ${what}: ${rounded(value)} ${unit} (${bound} ${rounded(target)})`
}

const rounded = (value: number): string => (Math.abs(value) >= 10 ? value.toFixed(0) : value.toFixed(2))

/** The machine's load of the last minute (uptime): what else ran beside a measurement. */
export const loadNow = (): string => `load ${(loadavg()[0] ?? Number.NaN).toFixed(1)}`
