// Knocks at a running instance, or runs a command in it, again and again as its spec asks, and says when its health
// turns.

import { get } from 'node:http'
import type { Result } from '../../overlay/kernel/result.ts'
import { quote } from '../exit-report.ts'
import { HEALTHY, type HealthNews, onProbe } from '../health-streak.ts'
import type { ExecRequest, ExecSession } from '../runtime.ts'
import type { ServiceSpec } from '../spec.ts'
import { limited, messageOf, pause } from './deadline.ts'
import { awaitAnswer } from './ports.ts'

type Check = NonNullable<ServiceSpec['healthcheck']>

/** Where the checks of a port knock; `null` for one that has no port. */
export interface ProbedPort {
  readonly host: string
  readonly port: number
  /** How long a bare connection has to stay open to count as an answer, in ms. */
  readonly holdMs: number
}

export interface ProbeTarget {
  readonly port: ProbedPort | null
  /** Starts a check's command inside the instance. */
  exec(request: ExecRequest): Promise<Result<ExecSession, string>>
}

/** How much of what a check's command writes is kept for the reason; what follows is read and dropped. */
const OUTPUT_BYTES_MAX = 2_048

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
  const startedMs = performance.now()
  for (;;) {
    await pause(check.intervalMs, signal)
    if (signal.aborted) return
    const problem = await probe(check, target, signal)
    if (signal.aborted) return
    const next = onProbe(streak, problem, {
      retries: check.retries,
      isStarting: performance.now() - startedMs < check.startPeriodMs,
    })
    streak = next.streak
    if (next.news !== null) onNews(next.news)
  }
}

/** One probe: null when the instance is well, else what is wrong. */
async function probe(check: Check, { port, exec }: ProbeTarget, signal: AbortSignal): Promise<string | null> {
  const deadline = limited(signal, check.timeoutMs)
  if (check.kind === 'command') return await probeCommand(check, exec, deadline)
  // Docker publishes what is checked; without a port there is nothing to find fault with.
  if (port === null) return null
  if (check.kind === 'http') return await probeHttp(check, port, deadline)
  const answered = await awaitAnswer(port.host, port.port, { holdMs: port.holdMs, signal: deadline })
  return answered ? null : `port ${check.port} took no connection within ${check.timeoutMs} ms`
}

/** Healthy is exit code 0 in time; a command that takes longer is ended. */
async function probeCommand(check: Check, exec: ProbeTarget['exec'], signal: AbortSignal): Promise<string | null> {
  const name = check.command[0] ?? ''
  try {
    const started = await exec({ command: check.command, terminal: null, input: false })
    if (!started.ok) return `its check "${name}" could not be started: ${started.error}`
    const session = started.value
    const onLate = (): void => session.close()
    signal.addEventListener('abort', onLate, { once: true })
    if (signal.aborted) onLate()
    const said = beginningOf(session)
    const code = await Promise.race([session.exit, aborted(signal)])
    signal.removeEventListener('abort', onLate)
    if (signal.aborted) return `its check "${name}" did not end within ${check.timeoutMs} ms`
    return code === 0 ? null : `its check "${name}" ended with exit code ${code}${quote(await said)}`
  } catch (error) {
    return `its check "${name}" could not be run: ${messageOf(error)}`
  }
}

const aborted = (signal: AbortSignal): Promise<null> =>
  new Promise((resolve) => {
    if (signal.aborted) resolve(null)
    else signal.addEventListener('abort', () => resolve(null), { once: true })
  })

async function beginningOf({ output }: ExecSession): Promise<string> {
  const kept: Uint8Array[] = []
  let length = 0
  try {
    for await (const { bytes } of output) {
      if (length < OUTPUT_BYTES_MAX) kept.push(bytes.subarray(0, OUTPUT_BYTES_MAX - length))
      length += bytes.length
    }
  } catch {
    // What it said until then is still worth telling.
  }
  return (
    Buffer.concat(kept)
      .toString('utf8')
      .split('\n')
      .findLast((line) => line.trim() !== '') ?? ''
  )
}

function probeHttp(check: Check, { host, port }: ProbedPort, signal: AbortSignal): Promise<string | null> {
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
