// How long a fleet of nine is without its root leader, and a service without an instance, when devices are cut down
// (SIGKILL, with all that they ran). Each run starts from a whole fleet again: what was cut down comes back with its
// folder.

import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { InstanceView } from '../../node/control.ts'
import { createFleet, type Fleet, type FleetNode, until } from '../local/fleet.ts'
import { median } from './figures.ts'

const CLUSTERS = ['berlin', 'paris', 'rome'].map((city) => ({
  path: `/${city}`,
  names: [1, 2, 3].map((number) => `${city}-${number}`),
}))
const SERVICE = 'shop.demo.hello.web'

export async function benchFailover(runs: number): Promise<void> {
  const baseDir = await mkdtemp(join(tmpdir(), 'coppice-bench-'))
  const fleet = createFleet({ baseDir, clusters: CLUSTERS, onProgress: console.error })
  const leaderMs: number[] = []
  const replacedMs: number[] = []
  try {
    await fleet.start()
    await whole(fleet)
    const descriptor = await readFile(new URL('../local/hello.json', import.meta.url), 'utf8')
    await fleet.nodes[0]?.control.deploy(descriptor, { domain: null })
    for (let run = 1; run <= runs; run++) {
      await until('both replicas run', () => bothRun(fleet), 60_000)
      leaderMs.push(await loseRootLeader(fleet))
      await whole(fleet)
      await until('both replicas run', () => bothRun(fleet), 60_000)
      replacedMs.push(await loseInstance(fleet))
      await whole(fleet)
      console.error(
        `run ${run}: leader ${Math.round(leaderMs.at(-1) ?? 0)} ms, instance ${Math.round(replacedMs.at(-1) ?? 0)} ms`,
      )
    }
  } finally {
    await fleet.stop()
    await rm(baseDir, { recursive: true, force: true })
  }
  report('root leader cut down -> new leaders of root and cluster known to all', leaderMs)
  report('device of an instance cut down -> its replacement is running', replacedMs)
}

function report(what: string, values: readonly number[]): void {
  const worst = Math.max(...values)
  console.log(`${what}: median ${Math.round(median(values))} ms, worst of ${values.length} ${Math.round(worst)} ms`)
}

/** Every node is ready, and every domain has three electors. */
async function whole(fleet: Fleet): Promise<void> {
  const isWhole = async (): Promise<boolean> => {
    const all = await Promise.all(fleet.living().map((node) => node.control.status()))
    return all.every(({ ready, domains }) => ready && domains.every((domain) => domain.electors.length === 3))
  }
  await until('the fleet is whole', isWhole, 120_000)
}

async function bothRun(fleet: Fleet): Promise<readonly InstanceView[] | null> {
  const found = await running(fleet.living()[0] as FleetNode)
  return found.length === 2 ? found : null
}

async function running(node: FleetNode): Promise<readonly InstanceView[]> {
  const all = await node.control.instances()
  return all.filter((one) => one.service === SERVICE && one.state === 'running')
}

async function loseRootLeader(fleet: Fleet): Promise<number> {
  const status = await fleet.living()[0]?.control.status()
  const lostId = status?.domains.find((domain) => domain.path === '/')?.leaderNode
  const lost = await byId(fleet, lostId ?? '')
  await fleet.cutDown(lost)
  const from = performance.now()
  const isKnown = async (): Promise<boolean> => {
    const all = await Promise.all(fleet.living().map((node) => node.control.status()))
    return all.every(({ domains }) => domains.every((domain) => domain.leaderNode !== lostId))
  }
  await until('all know new leaders', isKnown, 60_000)
  const ms = performance.now() - from
  fleet.restart(lost)
  return ms
}

async function loseInstance(fleet: Fleet): Promise<number> {
  const observer = fleet.living()[0] as FleetNode
  const { node: own } = await observer.control.status()
  const victim = (await running(observer)).find((one) => one.node !== own)
  if (victim === undefined) throw new Error('no instance runs away from the observer')
  const device = await byId(fleet, victim.node ?? '')
  await fleet.cutDown(device)
  const from = performance.now()
  const isReplaced = async (): Promise<boolean> => {
    const now = (await running(observer)).find((one) => one.number === victim.number)
    return now !== undefined && now.endpoint !== victim.endpoint
  }
  await until('a replacement runs', isReplaced, 60_000)
  const ms = performance.now() - from
  fleet.restart(device)
  return ms
}

async function byId(fleet: Fleet, id: string): Promise<FleetNode> {
  for (const node of fleet.living()) if ((await node.control.status()).node === id) return node
  throw new Error(`no living node has the id ${id}`)
}
