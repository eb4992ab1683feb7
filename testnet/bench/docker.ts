// `npm run bench -- placement --parts docker`: what Coppice adds to the engine's own time, how soon a killed container
// runs again, and how fast a service grows, next to Swarm. One real node, its containers in an engine of its own:
//   testnet/lab/with-docker.sh npm run bench -- placement --parts docker

import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import Docker from 'dockerode'
import type { InstanceView } from '../../node/control.ts'
import type { ControlClient } from '../../node/io/control-client.ts'
import { type FleetNode, startFleet, until } from '../local/fleet.ts'
import { serviceDescriptor } from '../local/service-fixture.ts'
import { BENCH_IMAGE, engineStartMs, swarmScaleMs } from './docker-engine.ts'
import { type Figure, loadNow, median, medianAndWorst } from './figures.ts'

/** How often the node is asked: the resolution of the times. */
const POLL_MS = 5
/** While a service grows: as often as Swarm is asked (docker-engine.ts), because each answer is work for the node. */
const SCALE_POLL_MS = 20
const WAIT_MS_MAX = 120_000
const REPLICAS = 20
const SCALE_RUNS = 5
/** The targets of the project; the time that Coppice may add is over the median of the engine's own. */
const ADDED_MS_MAX = 100
const AGAIN_MS_MAX = 1_000

const descriptor = (name: string): string =>
  serviceDescriptor(`bench.docker.${name}.bench`, {
    virtualization: 'docker',
    code: BENCH_IMAGE,
    cmd: ['sleep', '3600'],
    memory: 16,
    vcpus: 0,
    stop_grace: 0,
  })
const idOf = (name: string): string => `bench.docker.${name}.bench`

async function reached(
  control: ControlClient,
  service: string,
  isSo: (all: readonly InstanceView[]) => boolean,
  pollMs = POLL_MS,
): Promise<void> {
  const deadline = performance.now() + WAIT_MS_MAX
  for (;;) {
    const all = (await control.instances()).filter((one) => one.service === service)
    if (isSo(all)) return
    if (performance.now() > deadline) throw new Error(`${service} is not there after ${WAIT_MS_MAX} ms`)
    await delay(pollMs)
  }
}

const allRun = (replicas: number) => (all: readonly InstanceView[]) =>
  all.length === replicas && all.every(({ state }) => state === 'running')

export async function benchDocker(runs: number): Promise<readonly Figure[]> {
  const baseDir = await mkdtemp(join(tmpdir(), 'bench-docker-'))
  const fleet = await startFleet({
    baseDir,
    clusters: [{ path: '/a', names: ['a1'] }],
    flags: ['--runtime', 'docker'],
  })
  try {
    const { control } = fleet.nodes[0] as FleetNode
    await until('the node is ready', async () => (await control.status()).ready, WAIT_MS_MAX)
    const started = await startTimes(control, runs)
    const listed = (times: readonly number[]): string => times.map((ms) => ms.toFixed(0)).join(', ')
    console.log(`engine alone, create and start: ${listed(started.engine)} ms; ${loadNow()}`)
    console.log(`coppice, submit to running: ${listed(started.coppice)} ms`)
    const again = await againTimes(control, runs)
    console.log(`coppice, killed to running: ${listed(again)} ms; ${loadNow()}`)
    const scaled = await scaleTimes(control)
    console.log(`coppice, 1 -> ${REPLICAS}: ${listed(scaled)} ms; ${loadNow()}`)
    for (const network of [await networkOfNode(), 'bridge']) {
      const alone = await engineTimes(network, REPLICAS - 1, SCALE_RUNS)
      console.log(`engine alone, ${REPLICAS - 1} at once on ${network}: ${listed(alone)} ms; ${loadNow()}`)
    }
    await fleet.stop()
    // What has no name on its network is cheaper by what the engine does for names; Coppice's containers have one.
    const bare = await swarmScaleMs(1, REPLICAS, SCALE_RUNS, 'default')
    console.log(`swarm, 1 -> ${REPLICAS} on the default bridge: ${listed(bare)} ms; ${loadNow()}`)
    const swarm = await swarmScaleMs(1, REPLICAS, SCALE_RUNS, 'own')
    console.log(`swarm, 1 -> ${REPLICAS} on a network of its own: ${listed(swarm)} ms; ${loadNow()}`)
    const engine = median(started.engine)
    return [
      {
        what: 'added to the engine, median',
        value: median(started.coppice) - engine,
        target: ADDED_MS_MAX,
        unit: 'ms',
      },
      ...medianAndWorst('killed, runs again', again, { median: AGAIN_MS_MAX, worst: AGAIN_MS_MAX }),
      {
        what: `1 -> ${REPLICAS}, median of ${SCALE_RUNS}, against Swarm on such a network`,
        value: median(scaled),
        target: median(swarm),
        unit: 'ms',
      },
    ]
  } finally {
    await fleet.stop()
    await rm(baseDir, { recursive: true, force: true })
  }
}

/** The network that Coppice made for its containers. */
async function networkOfNode(): Promise<string> {
  const networks = await new Docker().listNetworks()
  return networks.find(({ Name }) => Name.startsWith('coppice-'))?.Name ?? 'bridge'
}

async function engineTimes(network: string, count: number, runs: number): Promise<readonly number[]> {
  const times: number[] = []
  for (let run = 0; run < runs; run++) times.push(await engineStartMs(network, count))
  return times
}

/** The engine and Coppice in turn, so that both meet the same machine. */
async function startTimes(control: ControlClient, runs: number) {
  const engine: number[] = []
  const coppice: number[] = []
  await control.deploy(descriptor('first'), { domain: null })
  await reached(control, idOf('first'), allRun(1))
  const network = await networkOfNode()
  for (let run = 0; run < runs; run++) {
    engine.push(await engineStartMs(network))
    const name = `start-${run}`
    const begin = performance.now()
    await control.deploy(descriptor(name), { domain: null })
    await reached(control, idOf(name), allRun(1))
    coppice.push(performance.now() - begin)
    await control.remove(idOf(name))
    await reached(control, idOf(name), (all) => all.length === 0)
  }
  return { engine, coppice }
}

/** From the kill to the report that it runs again; each time long enough after the last that it counts as steady. */
async function againTimes(control: ControlClient, runs: number): Promise<readonly number[]> {
  const docker = new Docker()
  const times: number[] = []
  for (let run = 0; run < runs; run++) {
    const name = `killed-${run}`
    await control.deploy(descriptor(name), { domain: null })
    await reached(control, idOf(name), allRun(1))
    const filters = { label: [`coppice.key=${idOf(name)}#0`] }
    const [found] = await docker.listContainers({ filters })
    const begin = performance.now()
    await docker.getContainer(found?.Id ?? '').kill()
    await reached(control, idOf(name), ([one]) => one?.state === 'running' && one.restarts === 1)
    times.push(performance.now() - begin)
    await control.remove(idOf(name))
    await reached(control, idOf(name), (all) => all.length === 0)
  }
  return times
}

async function scaleTimes(control: ControlClient): Promise<readonly number[]> {
  const id = idOf('scaled')
  const times: number[] = []
  await control.deploy(descriptor('scaled'), { domain: null })
  await reached(control, id, allRun(1))
  for (let run = 0; run < SCALE_RUNS; run++) {
    const begin = performance.now()
    await control.scale(id, REPLICAS)
    await reached(control, id, allRun(REPLICAS), SCALE_POLL_MS)
    times.push(performance.now() - begin)
    await control.scale(id, 1)
    await reached(control, id, allRun(1))
  }
  await control.remove(id)
  await reached(control, id, (all) => all.length === 0)
  return times
}
