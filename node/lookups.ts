// Questions to the core that are answered later: where a service is. Each has a number and a deadline.

import { within } from '../overlay/io/deadline.ts'
import type { ServiceId } from '../overlay/kernel/ids.ts'
import type { CoreInput, ResolvedService } from './core/effects.ts'

/**
 * How long a lookup may take: two leaders up the tree, two seconds each, and a little. A relation to
 * LOOKUP_DEADLINE_MS.
 */
export const LOOKUP_MS_MAX = 5_000

export interface Lookups {
  /**
   * All that is known of a service, here or by asking its leaders, of late or (`isFresh`) now; never rejects.
   */
  lookUp(service: ServiceId, signal: AbortSignal, isFresh?: boolean): Promise<ResolvedService>
  onResolved(requestId: number, answer: ResolvedService): void
}

export function createLookups(ask: (input: CoreInput) => void): Lookups {
  const waiting = new Map<number, (answer: ResolvedService) => void>()
  let requests = 0
  return {
    lookUp: (service, signal, isFresh = false) =>
      new Promise((resolve) => {
        requests += 1
        const requestId = requests
        waiting.set(requestId, (answer) => {
          waiting.delete(requestId)
          resolve(answer)
        })
        ask({ kind: 'resolve', requestId, service, isFresh })
        // What this node knows is answered by now, and nobody has to wait.
        if (!waiting.has(requestId)) return
        const patience = within(LOOKUP_MS_MAX, signal)
        const end = (answer: ResolvedService): void => {
          waiting.delete(requestId)
          patience.end()
          resolve(answer)
        }
        const unanswered = { service, records: null, reason: `nobody answered where ${service} is`, isAbsent: false }
        waiting.set(requestId, end)
        if (patience.signal.aborted) end(unanswered)
        else patience.signal.addEventListener('abort', () => end(unanswered), { once: true })
      }),
    onResolved: (requestId, answer) => waiting.get(requestId)?.(answer),
  }
}
