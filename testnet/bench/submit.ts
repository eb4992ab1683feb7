// `npm run bench -- placement --parts process`: from the submission of a service until it answers by its name, on nine
// nodes in three clusters; what its program alone takes to answer is measured in turn with it.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { type AddressInfo, connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { createFleet, type FleetNode, until } from '../local/fleet.ts'
import { answered, CLUSTERS, descriptorOf, idOf, proxyOf, SERVER, whole } from './by-name.ts'
import { type Figure, loadNow, median } from './figures.ts'

/** The target of the project for the median. */
const ANSWERS_MS_MAX = 250
const GONE_MS_MAX = 30_000
const KNOCK_GAP_MS = 1

export async function benchSubmit(runs: number): Promise<readonly Figure[]> {
  const baseDir = await mkdtemp(join(tmpdir(), 'coppice-bench-'))
  const fleet = createFleet({ baseDir, clusters: CLUSTERS, onProgress: console.error })
  const times: number[] = []
  const alone: number[] = []
  try {
    await fleet.start()
    await whole(fleet)
    for (let run = 0; run < runs; run++) {
      alone.push(await programAloneMs())
      // Every device in its turn is the one at which somebody submits and calls.
      times.push(await submitted(fleet.nodes[run % fleet.nodes.length] as FleetNode, `run-${run}`))
    }
  } finally {
    await fleet.stop()
    await rm(baseDir, { recursive: true, force: true })
  }
  const listed = (all: readonly number[]): string => all.map((ms) => ms.toFixed(0)).join(', ')
  console.log(`the program alone, started to answering: ${listed(alone)} ms, median ${median(alone).toFixed(0)}`)
  console.log(`submitted to answering by name: ${listed(times)} ms; ${loadNow()}`)
  const what = `process: submitted -> answers by name, median of ${runs}`
  return [{ what, value: median(times), target: ANSWERS_MS_MAX, unit: 'ms' }]
}

async function submitted(node: FleetNode, name: string): Promise<number> {
  const proxy = await proxyOf(node)
  const begin = performance.now()
  await node.control.deploy(descriptorOf(name), { domain: null })
  await answered(proxy, idOf(name))
  const ms = performance.now() - begin
  await node.control.remove(idOf(name))
  const isGone = async (): Promise<boolean> =>
    (await node.control.instances()).every(({ service }) => service !== idOf(name))
  await until(`${name} is gone`, isGone, GONE_MS_MAX)
  return ms
}

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
