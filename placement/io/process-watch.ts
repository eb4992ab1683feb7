// Stays with one running process instance until it is over: says when it answers, how healthy it is, and how it ended.

import type { InstanceKey } from '../../overlay/kernel/ids.ts'
import type { Result } from '../../overlay/kernel/result.ts'
import { type ExitFacts, quote, reportExit } from '../exit-report.ts'
import { healthPort } from '../health-target.ts'
import type { ExecRequest, ExecSession, RuntimeEvent } from '../runtime.ts'
import type { ServiceSpec } from '../spec.ts'
import { dissolve, membersFile, readOutOfMemoryKills } from './cgroups.ts'
import { limited, messageOf, NEVER, pause } from './deadline.ts'
import { type ProbeTarget, probeHealth } from './health-probe.ts'
import { outputFile, readExitStatus, readTimes, removeFolder } from './instance-folder.ts'
import { lastLine, type OutputLogs } from './output-log.ts'
import { awaitAnswer } from './ports.ts'
import { execBeside } from './process-exec.ts'
import type { StartedProcess } from './process-start.ts'
import { isGroupRunning, isSameProcess, signalGroup } from './process-table.ts'

/**
 * Between two looks whether an instance still runs and how much it wrote, in ms. A guess: how late the end of an
 * adopted one shows.
 */
const LOOK_INTERVAL_MS = 500
/** Between two looks while an instance is being ended, in ms. A guess. */
const END_INTERVAL_MS = 20
/**
 * SIGKILL works at once unless the kernel itself is stuck (a dead network disk); then a person should know. A guess.
 */
const KILL_WARNING_MS = 10_000

export interface WatchContext {
  readonly startDeadlineMs: number
  readonly logs: OutputLogs
  readonly onEvent: (event: RuntimeEvent) => void
  readonly onWarning: (text: string) => void
}

export interface Watched extends StartedProcess {
  readonly key: InstanceKey
  readonly specId: string
  readonly memoryMb: number
  /** Aborts when the instance is over or the driver closes. */
  readonly life: AbortController
  /** Aborts when the next look should not wait for its time. */
  readonly nudge: AbortController
  /** Its first port has answered. */
  answered: boolean
  /** The driver let go of it; it goes on running. */
  released: boolean
  asked: ExitFacts['asked']
  ending: Promise<void> | null
  /** Why it is given up; its end is then told as `failed`. */
  verdict: string | null
  /** Its end is not told, because another copy takes its place. */
  silent: boolean
  /** Its folder goes with it. */
  forgotten: boolean
}

/** A record to watch a process by. */
export function createWatched(
  started: StartedProcess,
  identity: Pick<Watched, 'key' | 'specId' | 'memoryMb'>,
): Watched {
  const watched: Watched = {
    ...started,
    ...identity,
    life: new AbortController(),
    nudge: new AbortController(),
    answered: false,
    released: false,
    asked: { kind: 'no' },
    ending: null,
    verdict: null,
    silent: false,
    forgotten: false,
  }
  started.child?.once('exit', () => watched.nudge.abort())
  return watched
}

/**
 * Waits for the first TCP port, says `running`, then probes the health as the spec asks. Returns when the life is
 * over.
 */
export async function greet(
  watched: Watched,
  spec: ServiceSpec,
  adopted: boolean,
  context: WatchContext,
): Promise<void> {
  const { endpoint, life, key, specId } = watched
  const first = endpoint.ports.find((port) => port.protocol === 'tcp')
  if (first !== undefined) {
    const signal = limited(life.signal, context.startDeadlineMs)
    const answered = await awaitAnswer(endpoint.host, first.actual, { holdMs: 0, signal })
    if (life.signal.aborted || watched.ending !== null) return
    if (!answered) {
      const waited = `${context.startDeadlineMs / 1_000} s`
      watched.verdict = `nothing answered on port ${first.actual} (PORT, declared ${first.declared}) within ${waited}`
      return await terminate(watched, spec.stopGraceMs, context)
    }
  }
  watched.answered = true
  context.onEvent({ kind: 'running', key, specId, endpoint, adopted })
  if (spec.healthcheck === null) return
  const port = healthPort(spec, endpoint)
  const target: ProbeTarget = {
    port: port === null ? null : { host: endpoint.host, port, holdMs: 0 },
    exec: (request) => execIn(watched, request),
  }
  await probeHealth(spec.healthcheck, target, (news) => context.onEvent({ kind: 'health', key, ...news }), life.signal)
}

/** A program beside the instance, which ends with it at the latest. */
export async function execIn(watched: Watched, request: ExecRequest): Promise<Result<ExecSession, string>> {
  const groupFiles = watched.groups.folders.map(membersFile)
  const started = await execBeside({ pid: watched.pid, groupFiles }, request)
  if (!started.ok) return started
  const session = started.value
  const { signal } = watched.life
  const onEnd = (): void => session.close()
  signal.addEventListener('abort', onEnd, { once: true })
  if (signal.aborted && !watched.released) onEnd()
  void session.exit.finally(() => signal.removeEventListener('abort', onEnd))
  return started
}

/** Looks after an instance until it and all that it started are gone, or until it is released. */
export async function attend(watched: Watched, context: WatchContext): Promise<void> {
  const sooner = AbortSignal.any([watched.life.signal, watched.nudge.signal])
  while (!watched.released && (await isSameProcess(watched.pid, watched.startTicks))) {
    await pause(sooner.aborted ? END_INTERVAL_MS : LOOK_INTERVAL_MS, sooner.aborted ? NEVER : sooner)
    await context.logs
      .rotate(outputFile(watched.folder))
      .catch((error: unknown) =>
        context.onWarning(`the log of ${watched.key} could not be rotated: ${messageOf(error)}`),
      )
  }
  // What the command left behind goes with it, unless a stop is under way and gives it the rest of its grace.
  if (watched.asked.kind === 'no' && !watched.released) signalGroup(watched.pid, 'SIGKILL')
  while (!watched.released && (await isGroupRunning(watched.pid))) await pause(END_INTERVAL_MS, NEVER)
  if (!watched.released) await conclude(watched, context)
}

/** Tells the end of an instance, after everything of it is gone. */
async function conclude(watched: Watched, context: WatchContext): Promise<void> {
  const { key, folder, groups, memoryMb } = watched
  watched.life.abort()
  const [status, cpuSeconds] = [await readExitStatus(folder), await readTimes(folder)]
  const killedByKernel = (await readOutOfMemoryKills(groups)) > 0
  const last = await lastLine(outputFile(folder))
  await dissolve(groups)
  if (watched.forgotten) {
    await removeFolder(folder)
    context.logs.forget(outputFile(folder))
  }
  if (watched.silent) return
  if (watched.verdict !== null && !watched.forgotten) {
    context.onEvent({ kind: 'failed', key, detail: `${watched.verdict}${quote(last)}` })
    return
  }
  const outOfMemoryMb = killedByKernel ? memoryMb : null
  const report = reportExit({ status, asked: watched.asked, outOfMemoryMb, lastLine: last })
  context.onEvent({ kind: 'exited', key, ...report, ...(cpuSeconds !== null && { cpuSeconds }) })
}

/** Ends the whole group: SIGTERM, then SIGKILL after the grace. The end itself is told by whoever attends it. */
export function terminate(watched: Watched, graceMs: number, context: WatchContext): Promise<void> {
  watched.ending ??= end(watched, graceMs, context)
  return watched.ending
}

async function end(watched: Watched, graceMs: number, context: WatchContext): Promise<void> {
  // Once the watcher is gone its number may belong to somebody else.
  if (!(await isSameProcess(watched.pid, watched.startTicks))) return watched.nudge.abort()
  watched.asked = { kind: 'stop' }
  signalGroup(watched.pid, 'SIGTERM')
  if (!(await isGoneWithin(watched, graceMs)) && !watched.released) {
    watched.asked = { kind: 'kill', graceMs }
    signalGroup(watched.pid, 'SIGKILL')
    if (!(await isGoneWithin(watched, KILL_WARNING_MS))) {
      context.onWarning(
        `${watched.key} does not end even by SIGKILL (process ${watched.pid}): is one of its disks gone?`,
      )
    }
  }
  watched.nudge.abort()
}

async function isGoneWithin(watched: Watched, ms: number): Promise<boolean> {
  const deadlineMs = performance.now() + ms
  while (await isGroupRunning(watched.pid)) {
    if (watched.released || performance.now() >= deadlineMs) return false
    await pause(END_INTERVAL_MS, watched.life.signal)
  }
  return true
}
