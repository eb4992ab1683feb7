// How long the first question for a name takes on a device that holds no record of it: one that has no vote in its
// cluster, for services of another cluster. Its leader knows, so it is one round trip to it, or two by way of the root.

import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { decode, encode } from 'dns-packet'
import { createFleet, type FleetNode, until } from '../local/fleet.ts'
import { type Figure, loadNow, median } from './figures.ts'
import { addressOfEnds, deployEnds } from './overlay-ends.ts'

const SERVICES = 8
const FIRST_PORT = 7_100
/** One more than the votes of the cluster: who of them has none asks. */
const NEAR = ['near-1', 'near-2', 'near-3', 'near-4']
const VOTES = 3
const READY_MS_MAX = 120_000
const ANSWER_MS_MAX = 10_000
const PINGS = 20

export async function benchColdNames(program?: readonly string[]): Promise<Figure> {
  const folder = await mkdtemp(join(tmpdir(), 'coppice-bench-'))
  const fleet = createFleet({
    baseDir: folder,
    clusters: [
      { path: '/far', names: ['far'] },
      { path: '/near', names: NEAR },
    ],
    flags: ['--electors', String(VOTES)],
    onProgress: console.error,
    ...(program && { program }),
  })
  try {
    await fleet.start()
    const [far, ...near] = fleet.nodes
    if (far === undefined) throw new Error('a fleet without nodes')
    const { asker, leader } = await until('one has no vote', () => withoutVote(near), READY_MS_MAX, fleet.nodes)
    const names = Array.from({ length: SERVICES }, (_, index) => `cold-${index}`)
    for (const [index, name] of names.entries())
      await deployEnds(far, folder, { name, cluster: 'far', port: FIRST_PORT + index })
    const { proxies } = await asker.control.status()
    const dnsPort = Number(proxies.dns?.split(':').at(-1))
    const rtts: number[] = []
    for (let index = 0; index < PINGS; index++) rtts.push((await asker.control.ping(leader)).rttMs)
    const rttMs = median(rtts)
    const times: number[] = []
    for (const name of names) times.push(await firstAnswerMs(dnsPort, addressOfEnds(name)))
    const all = times.map((ms) => ms.toFixed(1)).join(' ')
    console.log(`\nFirst questions for ${SERVICES} names of another cluster, in ms: ${all} (${loadNow()})`)
    const target = 2 * rttMs + 10
    return { what: 'names of another cluster, cold, median', value: median(times), target, unit: 'ms' }
  } finally {
    await fleet.stop()
    await rm(folder, { recursive: true, force: true })
  }
}

/** The device of a cluster that has no vote in it, once all the others have one and agree on a leader. */
async function withoutVote(nodes: readonly FleetNode[]): Promise<{ asker: FleetNode; leader: string } | null> {
  const all = await Promise.all(nodes.map((node) => node.control.status()))
  const domains = all.map((status) => status.domains.find(({ path }) => path === '/near'))
  const [{ electors = [], leaderNode = null } = {}] = domains
  const asker = nodes.find((_, index) => !electors.includes(all[index]?.node ?? ''))
  const isAgreed = new Set(domains.map((domain) => domain?.leaderNode)).size === 1
  const isWhole = isAgreed && electors.length === VOTES && all.every(({ ready }) => ready)
  return isWhole && leaderNode !== null && asker !== undefined ? { asker, leader: leaderNode } : null
}

async function firstAnswerMs(port: number, name: string): Promise<number> {
  const socket = createSocket('udp4')
  const from = performance.now()
  socket.send(encode({ type: 'query', id: 1, questions: [{ type: 'A', name }] }), port, '127.0.0.1')
  const [bytes] = (await once(socket, 'message', { signal: AbortSignal.timeout(ANSWER_MS_MAX) })) as [Buffer]
  const ms = performance.now() - from
  socket.close()
  if (decode(bytes).answers?.length !== 1) throw new Error(`no address for ${name}`)
  return ms
}
