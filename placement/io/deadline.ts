// Waiting with an end: every wait in the drivers is cut short by an abort signal or a deadline.

import { setTimeout as sleep } from 'node:timers/promises'

/** A signal for waits that only their own time ends. */
export const NEVER: AbortSignal = new AbortController().signal

/** Waits; resolves early, without an error, when the signal aborts. */
export const pause = (ms: number, signal: AbortSignal): Promise<void> =>
  sleep(ms, undefined, { signal, ref: false }).catch(() => undefined)

/** A signal that aborts with `outer` or after so many ms, whichever is first. */
export const limited = (outer: AbortSignal, ms: number): AbortSignal =>
  AbortSignal.any([outer, AbortSignal.timeout(ms)])

/** The promise's value, or null when it fails or takes longer than so many ms. */
export async function within<T>(promise: Promise<T>, ms: number): Promise<T | null> {
  const controller = new AbortController()
  const late = pause(ms, controller.signal).then(() => null)
  try {
    return await Promise.race([promise.catch(() => null), late])
  } finally {
    controller.abort()
  }
}

/** The message of whatever was thrown. */
export const messageOf = (thrown: unknown): string => (thrown instanceof Error ? thrown.message : String(thrown))

/** The code of a system error, e.g. `ENOENT`; empty when it has none. */
export const codeOf = (thrown: unknown): string =>
  thrown instanceof Error && 'code' in thrown && typeof thrown.code === 'string' ? thrown.code : ''
