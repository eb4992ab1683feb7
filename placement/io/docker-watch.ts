// Stays with one container until it is over: says when it answers, how healthy it is, and how it ended; waits where
// the engine itself goes away and comes back.

import { networkInterfaces } from 'node:os'
import type Docker from 'dockerode'
import type { InstanceKey } from '../../overlay/kernel/ids.ts'
import { ok } from '../../overlay/kernel/result.ts'
import { containerHealthPort, endpointOf, PUBLISH_HOST } from '../docker-options.ts'
import { type ExitFacts, quote, reportExit } from '../exit-report.ts'
import type { RuntimeEvent } from '../runtime.ts'
import type { ServiceSpec } from '../spec.ts'
import { limited, messageOf, pause } from './deadline.ts'
import {
  answerWithin,
  CALL_TIMEOUT_MS,
  type DockerEngine,
  engineProblem,
  orNull,
  untilStopped,
} from './docker-engine.ts'
import { execInContainer } from './docker-exec.ts'
import { lastContainerLine } from './docker-logs.ts'
import { type ProbeTarget, probeHealth } from './health-probe.ts'
import { awaitAnswer } from './ports.ts'

/**
 * Docker's proxy accepts a connection before it knows whether somebody listens; one that stays open for so long is
 * real. A guess.
 */
const HOLD_MS = 100
/**
 * How long to wait before the engine is asked again after it went away, in ms: doubles from the first to the second.
 * Guesses.
 */
const RECONNECT_MS_MIN = 500
const RECONNECT_MS_MAX = 10_000
const MS_PER_S = 1_000

export interface DockerWatchContext {
  readonly engine: DockerEngine
  readonly startDeadlineMs: number
  readonly onEvent: (event: RuntimeEvent) => void
  readonly onWarning: (text: string) => void
  /** Told at each try whether the engine was there: null, or what is wrong. */
  readonly onEngine: (problem: string | null) => void
}

export interface WatchedContainer {
  readonly key: InstanceKey
  readonly specId: string
  readonly id: string
  readonly memoryMb: number
  /** Aborts when the instance is over or the driver closes. */
  readonly life: AbortController
  /** Set once it answered. */
  running: Extract<RuntimeEvent, { kind: 'running' }> | null
  asked: ExitFacts['asked']
  /** Why it is given up; its end is then told as `failed`. */
  verdict: string | null
  silent: boolean
  forgotten: boolean
}

export const createWatchedContainer = (
  identity: Pick<WatchedContainer, 'key' | 'specId' | 'id' | 'memoryMb'>,
): WatchedContainer => ({
  ...identity,
  life: new AbortController(),
  running: null,
  asked: { kind: 'no' },
  verdict: null,
  silent: false,
  forgotten: false,
})

/**
 * Waits for the first TCP port, says `running`, then probes the health as the spec asks. Returns when the life is
 * over.
 */
export async function greetContainer(
  watched: WatchedContainer,
  spec: ServiceSpec,
  how: 'adopted' | 'started',
  context: DockerWatchContext,
): Promise<void> {
  const { key, specId, id, life } = watched
  const docker = await context.engine.client()
  const isPlain = spec.ports.length === 0 && (spec.healthcheck === null || spec.healthcheck.kind === 'command')
  // What was just started and has no ports holds nothing that would have to be asked for.
  const needsLook = how === 'adopted' || !isPlain
  const found = needsLook ? await orNull(docker.getContainer(id).inspect()) : null
  // One that has ended already has no ports; its end is told by whoever attends it.
  if (life.signal.aborted || (needsLook && !found?.State.Running)) return
  const published = found?.NetworkSettings.Ports ?? {}
  const { endpoint, missing } = endpointOf(spec, published)
  if (missing.length > 0) {
    watched.verdict = `Docker did not publish port ${missing.join(', ')} on this device`
    return await endContainer(watched, spec.stopGraceMs, context)
  }
  const first = endpoint.ports.find((port) => port.protocol === 'tcp')
  if (first !== undefined) {
    const signal = limited(life.signal, context.startDeadlineMs)
    const inner = spec.ports.find((port) => port.declared === first.declared && port.protocol === 'tcp')?.internal
    const direct = found === null || inner === undefined ? null : directTarget(found, inner)
    const answered = await awaitFirst(first.actual, direct, signal)
    if (life.signal.aborted || watched.asked.kind !== 'no') return
    if (!answered) {
      const waited = `${context.startDeadlineMs / MS_PER_S} s`
      watched.verdict = `nothing answered on port ${first.declared} of the container within ${waited}`
      return await endContainer(watched, spec.stopGraceMs, context)
    }
  }
  watched.running = { kind: 'running', key, specId, endpoint, adopted: how === 'adopted' }
  context.onEvent(watched.running)
  if (spec.healthcheck === null) return
  const port = containerHealthPort(spec, published)
  const target: ProbeTarget = {
    port: port === null ? null : { host: PUBLISH_HOST, port, holdMs: HOLD_MS },
    exec: async (request) => ok(await execInContainer(docker.getContainer(id), request)),
  }
  await probeHealth(spec.healthcheck, target, (news) => context.onEvent({ kind: 'health', key, ...news }), life.signal)
}

interface DirectTarget {
  readonly host: string
  readonly port: number
}

/** A port of the container on its own address; null where that is not on a bridge of this very device. */
function directTarget({ NetworkSettings }: Docker.ContainerInspectInfo, port: number): DirectTarget | null {
  const own = new Set(Object.values(networkInterfaces()).flatMap((all) => (all ?? []).map(({ address }) => address)))
  const bridged = Object.values(NetworkSettings.Networks).find(
    ({ IPAddress, Gateway }) => IPAddress && own.has(Gateway),
  )
  return bridged === undefined ? null : { host: bridged.IPAddress, port }
}

/**
 * Whichever way says first that the port answers. On the container's own address a connection that is accepted says
 * it at once; Docker's proxy has to be listened to for a while.
 */
async function awaitFirst(published: number, direct: DirectTarget | null, signal: AbortSignal): Promise<boolean> {
  const enough = new AbortController()
  const either = AbortSignal.any([signal, enough.signal])
  const ways = [awaitAnswer(PUBLISH_HOST, published, { holdMs: HOLD_MS, signal: either })]
  if (direct !== null) ways.push(awaitAnswer(direct.host, direct.port, { holdMs: 0, signal: either }))
  const answered = await Promise.race(ways)
  enough.abort()
  return answered
}

/** Looks after a container until it is over or released; how one fares that was just started need not be asked. */
export async function attendContainer(
  watched: WatchedContainer,
  context: DockerWatchContext,
  isJustStarted: boolean,
): Promise<void> {
  const { id, life } = watched
  const untilNews = async (): Promise<void> =>
    // Whatever cuts the waiting short, the next inspection tells what is the matter.
    untilStopped(await context.engine.client(), id, life.signal).catch(() => pause(RECONNECT_MS_MIN, life.signal))
  if (isJustStarted) await untilNews()
  for (;;) {
    const info = await persistently(life.signal, context, (docker) => orNull(docker.getContainer(id).inspect()))
    if (info === undefined) return
    if (info === null || !info.State.Running) {
      life.abort()
      return await conclude(watched, info, context)
    }
    await untilNews()
  }
}

/** SIGTERM (or what the image asks for), then SIGKILL after the grace, which Docker counts in whole seconds. */
export async function endContainer(
  watched: WatchedContainer,
  graceMs: number,
  context: DockerWatchContext,
): Promise<void> {
  watched.asked = { kind: 'stop' }
  await persistently(watched.life.signal, context, async (docker) => {
    const seconds = Math.ceil(graceMs / MS_PER_S)
    const stop = docker.getContainer(watched.id).stop({ t: seconds })
    await answerWithin(stop.catch(unlessStopped), graceMs + CALL_TIMEOUT_MS)
  })
}

/** 304 and 404: it has stopped or is gone, which is what was wanted. */
function unlessStopped(error: unknown): void {
  const status = error instanceof Error && 'statusCode' in error ? error.statusCode : null
  if (status !== 304 && status !== 404) throw error
}

/**
 * Does something with the engine, again and again until the engine is there for it; undefined when the signal aborts
 * before.
 */
export async function persistently<T>(
  signal: AbortSignal,
  context: DockerWatchContext,
  task: (docker: Docker) => Promise<T>,
): Promise<T | undefined> {
  for (let waitMs = RECONNECT_MS_MIN; !signal.aborted; waitMs = Math.min(RECONNECT_MS_MAX, waitMs * 2)) {
    try {
      const result = await task(await context.engine.client())
      context.onEngine(null)
      return result
    } catch (error) {
      if (signal.aborted) return undefined
      context.onEngine(engineProblem(error, context.engine.address))
    }
    await pause(waitMs, signal)
  }
  return undefined
}

async function conclude(
  watched: WatchedContainer,
  info: Docker.ContainerInspectInfo | null,
  context: DockerWatchContext,
): Promise<void> {
  const { key, id, memoryMb } = watched
  if (info === null && watched.asked.kind === 'no') {
    context.onEvent({ kind: 'exited', key, code: null, detail: 'its container was removed by somebody else' })
    return
  }
  const docker = await context.engine.client()
  const container = docker.getContainer(id)
  const last = info === null ? '' : await lastContainerLine(container).catch(() => '')
  if (watched.forgotten) await removeContainer(container, key, context)
  if (watched.silent) return
  if (watched.verdict !== null && !watched.forgotten) {
    context.onEvent({ kind: 'failed', key, detail: `${watched.verdict}${quote(last)}` })
    return
  }
  const report = reportExit({
    status: info?.State.ExitCode ?? null,
    asked: watched.asked,
    outOfMemoryMb: info?.State.OOMKilled ? memoryMb : null,
    lastLine: last,
  })
  context.onEvent({ kind: 'exited', key, ...report })
}

/** Removes a container and the nameless volumes that were made for it. */
export async function removeContainer(
  container: Docker.Container,
  key: InstanceKey,
  context: Pick<DockerWatchContext, 'onWarning'>,
): Promise<void> {
  try {
    await orNull(container.remove({ force: true, v: true }))
  } catch (error) {
    context.onWarning(`the container of ${key} could not be removed: ${messageOf(error)}`)
  }
}
