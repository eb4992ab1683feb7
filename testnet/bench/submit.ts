// `npm run bench -- placement --parts process`: from the submission of a service until it answers by its name, on nine
// nodes in three clusters, and where that time went; what its program alone takes to answer is measured in turn.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { type AddressInfo, connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { createFleet, type Fleet, type FleetNode, until } from '../local/fleet.ts'
import { answered, CLUSTERS, descriptorOf, idOf, proxyOf, SERVER, whole } from './by-name.ts'
import { type Figure, loadNow, median } from './figures.ts'
import { cpuSeconds } from './process-cost.ts'
import { partLines, partsOf, STARTED, type Teller } from './submit-parts.ts'

/** The target of the project for the median. */
const ANSWERS_MS_MAX = 250
const GONE_MS_MAX = 30_000
const KNOCK_GAP_MS = 1

interface Run {
  readonly ms: number
  /** Processor time of all nodes together, in ms. */
  readonly cpuMs: number
  /** What the program alone took just before. */
  readonly aloneMs: number
  readonly parts: readonly number[]
}

export async function benchSubmit(count: number): Promise<readonly Figure[]> {
  const baseDir = await mkdtemp(join(tmpdir(), 'coppice-bench-'))
  const fleet = createFleet({ baseDir, clusters: CLUSTERS, onProgress: console.error })
  const runs: Run[] = []
  try {
    await fleet.start()
    await whole(fleet)
    // Every device in its turn is the one at which somebody submits and calls.
    for (let run = 0; run < count; run++) runs.push(await submitted(fleet, run % fleet.nodes.length, `run-${run}`))
  } finally {
    await fleet.stop()
    await rm(baseDir, { recursive: true, force: true })
  }
  const [times, alone] = [runs.map(({ ms }) => ms), runs.map(({ aloneMs }) => aloneMs)]
  const listed = (all: readonly number[]): string => all.map((ms) => ms.toFixed(0)).join(', ')
  console.log(`the program alone, started to answering: ${listed(alone)} ms, median ${median(alone).toFixed(0)}`)
  console.log(`submitted to answering by name: ${listed(times)} ms; ${loadNow()}`)
  console.log(['median of each step:', ...partLines(runs.map(({ parts }) => parts))].join('\n'))
  const started = median(runs.map(({ parts, aloneMs }) => (parts[STARTED] ?? Number.NaN) - aloneMs))
  console.log(`the start as a service, less the program alone: ${started.toFixed(0)} ms`)
  console.log(`processor time of all nodes for one: ${median(runs.map(({ cpuMs }) => cpuMs)).toFixed(0)} ms`)
  const what = `process: submitted -> answers by name, median of ${count}`
  return [{ what, value: median(times), target: ANSWERS_MS_MAX, unit: 'ms' }]
}

async function submitted(fleet: Fleet, index: number, name: string): Promise<Run> {
  const node = fleet.nodes[index] as FleetNode
  const proxy = await proxyOf(node)
  const aloneMs = await programAloneMs()
  const cpuBefore = await cpuOf(fleet)
  const [begin, begunMs] = [performance.now(), Date.now()]
  await node.control.deploy(descriptorOf(name), { domain: null })
  await answered(proxy, idOf(name))
  const [ms, answeredMs] = [performance.now() - begin, Date.now()]
  const cpuMs = ((await cpuOf(fleet)) - cpuBefore) * 1_000
  await node.control.remove(idOf(name))
  const isGone = async (): Promise<boolean> =>
    (await node.control.instances()).every(({ service }) => service !== idOf(name))
  await until(`${name} is gone`, isGone, GONE_MS_MAX)
  const tellers = await Promise.all(fleet.nodes.map((one) => tellerOf(one, idOf(name))))
  const caller = tellers[index] as Teller
  return { ms, cpuMs, aloneMs, parts: partsOf({ begunMs, answeredMs, caller }, tellers) }
}

const cpuOf = async (fleet: Fleet): Promise<number> =>
  (await Promise.all(fleet.nodes.map(cpuSeconds))).reduce((sum, seconds) => sum + seconds, 0)

const tellerOf = async ({ control, domain }: FleetNode, service: string): Promise<Teller> => ({
  node: (await control.status()).node,
  domain,
  audit: await control.audit(service),
})

/** From the start of the program until its port takes a connection. */
async function programAloneMs(): Promise<number> {
  const port = await freePort()
  const begin = performance.now()
  const env = { ...process.env, PORT: String(port) }
  const child = spawn('node', ['-e', SERVER], { stdio: 'ignore', env })
  const gone = once(child, 'exit')
  while (!(await takes(port))) await delay(KNOCK_GAP_MS)
  const ms = performance.now() - begin
  child.kill('SIGKILL')
  await gone
  return ms
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}

function takes(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: '127.0.0.1' })
    const end = (has: boolean): void => {
      socket.destroy()
      resolve(has)
    }
    socket.once('connect', () => end(true))
    socket.once('error', () => end(false))
  })
}
