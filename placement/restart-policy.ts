// What follows when an instance ends by itself: another start after a while, a good end, or giving it up.

import { CRASHES_MAX, FAILED_START_DELAY_MS_MIN, FAILED_STARTS_MAX, JOB_STARTS_MAX } from './constants.ts'
import type { ServiceSpec } from './spec.ts'

export type End =
  /** It ran and ended; `code` is null when a signal ended it or nobody knows. */
  | { readonly kind: 'exited'; readonly code: number | null; readonly detail: string }
  /** It could not be started at all. */
  | { readonly kind: 'failed'; readonly detail: string }

export type NextStep =
  | { readonly kind: 'again'; readonly delayMs: number; readonly reason: string }
  /** It is over, and well. */
  | { readonly kind: 'done'; readonly reason: string }
  /** It is over, and not well. */
  | { readonly kind: 'give-up'; readonly reason: string }

/**
 * The restart policy with exponential back-off (from `delayMs`, doubling, at most `delayMsMax`). `crashes` counts
 * unplanned ends in a row, this one included. A job that ended well is over whatever its policy says; after
 * JOB_STARTS_MAX it is given to another device.
 */
export function afterEnd(
  { restart, kind }: Pick<ServiceSpec, 'restart' | 'kind'>,
  end: End,
  crashes: number,
): NextStep {
  const what = describe(end)
  const isJob = kind === 'job'
  if (end.kind === 'exited') {
    if (end.code === 0 && (isJob || restart.policy !== 'always')) return { kind: 'done', reason: what }
    if (restart.policy === 'never') return { kind: 'give-up', reason: `${what}; restart is "never"` }
  }
  const limit = end.kind === 'failed' ? FAILED_STARTS_MAX : CRASHES_MAX
  const crashesMax = isJob ? Math.min(limit, JOB_STARTS_MAX - 1) : limit
  if (crashes > crashesMax)
    return { kind: 'give-up', reason: `given up after ${crashes} attempts in a row; the last: ${what}` }
  const firstMs = end.kind === 'failed' ? Math.max(restart.delayMs, FAILED_START_DELAY_MS_MIN) : restart.delayMs
  const delayMs = Math.min(restart.delayMsMax, firstMs * 2 ** (crashes - 1))
  return { kind: 'again', delayMs, reason: `${what}; starts again in ${(delayMs / 1_000).toFixed(1)} s` }
}

function describe(end: End): string {
  if (end.kind === 'failed') return `could not be started: ${end.detail}`
  const code = end.code === null ? 'ended' : `exit code ${end.code}`
  return end.detail === '' ? code : `${code}: ${end.detail}`
}
