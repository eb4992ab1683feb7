// For live tests only: a node of its own on this device, a real load on all its cores, and what is limited and put back
// under it. What counts is the load average, of which others may make a part that goes away meanwhile: the marks stand
// above what it is when the test begins, and the load reaches them by itself. About two minutes a test.

import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { availableParallelism, loadavg, tmpdir } from 'node:os'
import { join } from 'node:path'
import { execPath } from 'node:process'
import type { TestContext } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { instanceKey, serviceId } from '../overlay/kernel/ids.ts'
import type { EventView } from './control.ts'
import { createNode, type RunningNode } from './index.ts'

/**
 * Above the load per core of before, in percent: more than the rest of a busy machine is likely to change by meanwhile;
 * and how many times the high mark the test's own load is.
 */
const HIGH = 400
const LOW = 300
const LOOPS_OVER_HIGH = 2
/**
 * So far above the high mark a load is held that only has to be above it. The average falls as slowly as it rose: from
 * far above it would still be high when the next level is due, 15 s later.
 */
const HELD_ABOVE = 40
/** Two steps that take more than a minute each are in one test. */
const STEP_MS_MAX = 400_000
const LOOK_MS = 100

export const serviceOf = (name: string, runtime: 'process' | 'container', priority: number): object => ({
  microservice_name: name,
  microservice_namespace: 'test',
  virtualization: runtime,
  ...(runtime === 'process' ? { cmd: [execPath, '-e', 'setInterval(() => {}, 1000)'] } : {}),
  ...(runtime === 'container' ? { code: 'coppice-busybox:latest', cmd: ['sleep', '3600'] } : {}),
  memory: 120,
  vcpus: 0.4,
  stop_grace: 0,
  priority,
})

export interface Pressed {
  readonly node: RunningNode
  /** What it has told since it was ready, as it comes in. */
  readonly told: readonly EventView[]
  /** Loads every core until it is called again, or the test has ended; `held`: no more than the high mark needs. */
  readonly load: (held?: 'held') => () => void
}

export async function started(t: TestContext, services: readonly object[]): Promise<Pressed> {
  const before = Math.max(100, Math.round(((loadavg()[0] ?? 0) / availableParallelism()) * 100))
  const high = before + HIGH
  const dataDir = await mkdtemp(join(tmpdir(), 'pressure-'))
  const node = await createNode({
    dataDir,
    name: 'pressed',
    listen: ['/ip4/127.0.0.1/tcp/0'],
    mdns: false,
    httpProxyPort: null,
    virtualListeners: false,
    pressure: { high, low: before + LOW },
  })
  t.after(async () => {
    for (const { service } of node.control.instances()) await node.control.remove(service).catch(() => {})
    // What is still stopping when its node ends would go on: instances outlive their node.
    await until(async () => node.control.instances().length === 0)
    await node.stop()
    await rm(dataDir, { recursive: true, maxRetries: 10 }) // a supervisor may still be writing how its program ended
  })
  await node.ready(AbortSignal.timeout(STEP_MS_MAX))
  const told = tellings(t, node)
  const application = { application_name: 'load', application_namespace: 'test', microservices: services }
  const sla = { sla_version: 'v2.0', customerID: 'me', applications: [application] }
  await node.control.deploy(JSON.stringify(sla), { domain: null })
  await until(async () => running(node).length === services.length)
  const loopsFor = (percent: number): number => Math.ceil((percent / 100) * availableParallelism())
  const load: Pressed['load'] = (held) =>
    startLoad(t, loopsFor(high * LOOPS_OVER_HIGH), held === undefined ? null : high + HELD_ABOVE)
  return { node, told, load }
}

function tellings(t: TestContext, node: RunningNode): readonly EventView[] {
  const over = new AbortController()
  t.after(() => over.abort())
  const told: EventView[] = []
  const listen = async (): Promise<void> => {
    for await (const event of node.control.events(over.signal)) told.push(event)
  }
  listen().catch(() => undefined)
  return told
}

export const running = (node: RunningNode): readonly string[] =>
  node.control.instances().flatMap(({ service, state }) => (state === 'running' ? [service.split('.')[2] ?? ''] : []))

export async function until(isSo: () => Promise<boolean>): Promise<void> {
  const end = performance.now() + STEP_MS_MAX
  // What is asked may not be there yet, as the limits of something that is being started.
  while (!(await isSo().catch(() => false))) {
    assert.ok(performance.now() < end, 'it did not come about in time')
    await delay(LOOK_MS)
  }
}

/** Loops that keep every core busy, last in line for it; they pause while the load is above what it is held at. */
function startLoad(t: TestContext, count: number, held: number | null): () => void {
  const loops = Array.from(
    { length: count },
    (): ChildProcess => spawn('nice', ['-n', '19', execPath, '-e', 'for (;;);'], { stdio: 'ignore' }),
  )
  const look = setInterval(() => {
    const isAbove = held !== null && ((loadavg()[0] ?? 0) / availableParallelism()) * 100 > held
    for (const loop of loops) loop.kill(isAbove ? 'SIGSTOP' : 'SIGCONT')
  }, LOOK_MS)
  const stop = (): void => {
    clearInterval(look)
    for (const loop of loops) loop.kill('SIGKILL')
  }
  t.after(stop)
  return stop
}

/** Resolves with the first event of that name. */
export async function firstEvent(told: readonly EventView[], wanted: string): Promise<EventView> {
  const find = (): EventView | undefined => told.find(({ name }) => name === wanted)
  await until(async () => find() !== undefined)
  return find() ?? assert.fail(wanted)
}

/** The only instance of `serviceOf('web', …)`. */
export const WEB = instanceKey(serviceId('load.test.web.test'), 0)

/** Under load an instance has half of its cores, and afterwards all of them; `coresOf` asks whoever enforces them. */
export async function checkRestriction(
  t: TestContext,
  runtime: 'process' | 'container',
  coresOf: (node: string) => Promise<number>,
): Promise<void> {
  const { node, told, load } = await started(t, [serviceOf('web', runtime, 500)])
  const self = node.control.status().node
  assert.equal(await coresOf(self), 0.4)
  const stop = load('held')
  await firstEvent(told, 'pressure-restricted')
  await until(async () => node.control.status().pressure === 1 && (await coresOf(self)) === 0.2)
  stop()
  await firstEvent(told, 'pressure-relieved')
  await until(async () => node.control.status().pressure === 0 && (await coresOf(self)) === 0.4)
  assert.deepEqual(running(node), ['web'])
}
