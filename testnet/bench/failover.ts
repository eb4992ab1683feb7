// `npm run bench -- failover`: a device is cut down (SIGKILL, with all that it ran), and what ran on it is called by
// its name from another cluster until it answers from elsewhere. Of each kind of device: one that leads nothing, the
// leader of a cluster, and the root's. Each run starts from a whole fleet: what was cut down comes back with its
// folder.

import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createFleet, type Fleet, type FleetNode, until } from '../local/fleet.ts'
import { answered, CLUSTERS, descriptorOf, idOf, type Member, proxyOf, whole } from './by-name.ts'
import { type Figure, loadNow, medianAndWorst } from './figures.ts'

const NAME = 'survivor'
const PLACED_MS_MAX = 120_000
/** The targets of the project. */
const MEDIAN_MS_MAX = 3_000
const WORST_MS_MAX = 6_000

const KINDS = ['a device that leads nothing', 'the leader of a cluster', 'the root leader'] as const
type Kind = (typeof KINDS)[number]

export async function benchFailover(runs: number): Promise<readonly Figure[]> {
  const baseDir = await mkdtemp(join(tmpdir(), 'coppice-bench-'))
  const fleet = createFleet({ baseDir, clusters: CLUSTERS, onProgress: console.error })
  const times = new Map<Kind, number[]>(KINDS.map((kind) => [kind, []]))
  try {
    await fleet.start()
    await whole(fleet)
    await fleet.nodes[0]?.control.deploy(descriptorOf(NAME), { domain: null })
    for (let run = 1; run <= runs; run++) {
      for (const kind of KINDS) {
        const ms = await lose(fleet, kind)
        times.get(kind)?.push(ms)
        console.error(`run ${run}: ${kind} cut down -> answers elsewhere after ${Math.round(ms)} ms (${loadNow()})`)
      }
    }
  } finally {
    await fleet.stop()
    await rm(baseDir, { recursive: true, force: true })
  }
  const targets = { median: MEDIAN_MS_MAX, worst: WORST_MS_MAX }
  return KINDS.flatMap((kind) =>
    medianAndWorst(`${kind} cut down -> answers elsewhere`, times.get(kind) ?? [], targets),
  )
}

/** Brings the service to a device of that kind, cuts it down, and calls. */
async function lose(fleet: Fleet, kind: Kind): Promise<number> {
  const device = pick(await whole(fleet), kind)
  await bringTo(fleet, device)
  // Who is elected may have changed meanwhile; then the figure would be another one's.
  if (pick(await whole(fleet), kind, device) !== device) return await lose(fleet, kind)
  const caller = fleet.living().find(({ domain }) => domain !== device.domain) as FleetNode
  const proxy = await proxyOf(caller)
  const before = await answered(proxy, idOf(NAME))
  const begin = performance.now()
  await fleet.cutDown(device)
  await answered(proxy, idOf(NAME), before)
  const ms = performance.now() - begin
  fleet.restart(device)
  return ms
}

/** A device of that kind, this one where it is one. */
function pick(members: readonly Member[], kind: Kind, wanted?: FleetNode): FleetNode {
  const leads = ({ status }: Member): readonly string[] =>
    status.domains.filter(({ leaderNode }) => leaderNode === status.node).map(({ path }) => path)
  const fitting = members.filter((member) => {
    const led = leads(member)
    if (kind === 'the root leader') return led.includes('/')
    return kind === 'the leader of a cluster' ? led.length > 0 && !led.includes('/') : led.length === 0
  })
  const found = fitting.find(({ node }) => node === wanted) ?? fitting[0]
  if (found === undefined) throw new Error(`there is not ${kind}`)
  return found.node
}

/**
 * Moves the one instance to the device, unless it is there, and waits until the one that it was before has ended: until
 * then that one goes on answering if the device is lost.
 */
async function bringTo(fleet: Fleet, device: FleetNode): Promise<void> {
  const isThere = async (): Promise<boolean> => {
    for (const { control } of fleet.living()) {
      const { instances, placements } = await control.inspect(idOf(NAME))
      if (instances.length !== 1 || instances[0]?.state !== 'running' || instances[0].name !== device.name) return false
      if (placements.some(({ previous }) => previous !== undefined)) return false
    }
    return true
  }
  if (await isThere()) return
  await until(
    'the move is taken up',
    async () => {
      if (await isThere()) return true
      const { moves } = await device.control.migrate(idOf(NAME), 0, device.name)
      return moves.some(({ outcome }) => outcome === 'moving')
    },
    PLACED_MS_MAX,
  )
  await until(`it runs on ${device.name}`, isThere, PLACED_MS_MAX)
}
