// Knocks at a running instance again and again, as its spec asks, and says when its health turns.

import { get } from 'node:http'
import { HEALTHY, type HealthNews, onProbe } from '../health-streak.ts'
import type { ServiceSpec } from '../spec.ts'
import { limited, messageOf, pause } from './deadline.ts'
import { awaitAnswer } from './ports.ts'

type Check = NonNullable<ServiceSpec['healthcheck']>

export interface ProbeTarget {
  readonly host: string
  readonly port: number
  /** How long a bare connection has to stay open to count as an answer, in ms. */
  readonly holdMs: number
}

/** HTTP answers that count as healthy, as Kubernetes and load balancers have it: 200 to 399. */
const HTTP_HEALTHY_MIN = 200
const HTTP_HEALTHY_END = 400

/**
 * Probes until the signal aborts; `onNews` is told each time the health turns. The first probe comes after one
 * interval.
 */
export async function probeHealth(
  check: Check,
  target: ProbeTarget,
  onNews: (news: HealthNews) => void,
  signal: AbortSignal,
): Promise<void> {
  let streak = HEALTHY
  for (;;) {
    await pause(check.intervalMs, signal)
    if (signal.aborted) return
    const problem = await probe(check, target, signal)
    if (signal.aborted) return
    const next = onProbe(streak, problem, check.retries)
    streak = next.streak
    if (next.news !== null) onNews(next.news)
  }
}

/** One probe: null when the instance is well, else what is wrong. */
async function probe(check: Check, target: ProbeTarget, signal: AbortSignal): Promise<string | null> {
  const deadline = limited(signal, check.timeoutMs)
  if (check.kind === 'http') return await probeHttp(check, target, deadline)
  const answered = await awaitAnswer(target.host, target.port, { holdMs: target.holdMs, signal: deadline })
  return answered ? null : `port ${check.port} took no connection within ${check.timeoutMs} ms`
}

function probeHttp(check: Check, { host, port }: ProbeTarget, signal: AbortSignal): Promise<string | null> {
  const path = check.path.startsWith('/') ? check.path : `/${check.path}`
  return new Promise((resolve) => {
    try {
      const request = get({ host, port, path, signal, agent: false }, (response) => {
        const status = response.statusCode ?? 0
        response.destroy()
        const well = status >= HTTP_HEALTHY_MIN && status < HTTP_HEALTHY_END
        resolve(well ? null : `GET ${path} on port ${check.port} answered ${status}`)
      })
      request.on('error', (error) => {
        const reason = signal.aborted ? `no answer within ${check.timeoutMs} ms` : messageOf(error)
        resolve(`GET ${path} on port ${check.port}: ${reason}`)
      })
    } catch (error) {
      // A path with characters that HTTP forbids is refused before anything is sent.
      resolve(`GET ${path} on port ${check.port}: ${messageOf(error)}`)
    }
  })
}
