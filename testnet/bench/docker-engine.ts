// What the engine alone, and Swarm on it, take for what Coppice does with containers: measured beside it, in the same
// run on the same machine. Needs an engine of its own (testnet/lab/with-docker.sh), for it makes it a swarm.

import { setTimeout as delay } from 'node:timers/promises'
import Docker from 'dockerode'

/** How often Swarm is asked whether all tasks run: the resolution of its time, in ms. */
const POLL_MS = 20
/** Longer than any of it takes; more means that something hangs. */
const WAIT_MS_MAX = 120_000
/**
 * No limit of cores: it holds for what the engine does inside the container as well, and with a hundredth of a core its
 * start takes seconds, which nobody's orchestration could be told from.
 */
const MEMORY_BYTES = 16_000_000

const COMMAND = ['sleep', '3600']
/** A bridge, as Coppice's containers have: a kernel need not have VXLAN for it. */
const NETWORK = 'bench-swarm'
export const BENCH_IMAGE = 'coppice-busybox:latest'

/**
 * Creates and starts so many containers at once, with limits on a network, as Coppice does: the ms until the last one
 * runs. They are removed after.
 */
export async function engineStartMs(network: string, count = 1): Promise<number> {
  const docker = new Docker()
  const HostConfig = { Memory: MEMORY_BYTES, MemorySwap: MEMORY_BYTES, PidsLimit: 1_024, NetworkMode: network }
  const startOne = async (): Promise<Docker.Container> => {
    const made = await docker.createContainer({ Image: BENCH_IMAGE, Cmd: COMMAND, HostConfig })
    await made.start()
    return made
  }
  const begin = performance.now()
  const made = await Promise.all(Array.from({ length: count }, startOne))
  const ms = performance.now() - begin
  await Promise.all(made.map((one) => one.remove({ force: true })))
  return ms
}

/**
 * A swarm of this engine alone, and what its scaling takes; leaves the swarm at the end. Where no network is said its
 * containers are on the engine's default bridge; one of the users' own (`own`) gives them names, as Coppice's have.
 */
export async function swarmScaleMs(
  from: number,
  to: number,
  runs: number,
  network: 'default' | 'own',
): Promise<readonly number[]> {
  const docker = new Docker()
  await docker.swarmInit({ ListenAddr: '127.0.0.1:2377', AdvertiseAddr: '127.0.0.1' })
  const name = 'bench-scale'
  const spec = (replicas: number) => ({
    Name: name,
    TaskTemplate: {
      ContainerSpec: { Image: BENCH_IMAGE, Command: COMMAND },
      Resources: { Limits: { MemoryBytes: MEMORY_BYTES } },
      ...(network === 'own' ? { Networks: [{ Target: NETWORK }] } : {}),
    },
    Mode: { Replicated: { Replicas: replicas } },
  })
  const running = async (replicas: number): Promise<void> => {
    const deadline = performance.now() + WAIT_MS_MAX
    for (;;) {
      const filters = { service: [name], 'desired-state': ['running'] }
      const tasks = (await docker.listTasks({ filters })) as readonly { Status: { State: string } }[]
      if (tasks.filter(({ Status }) => Status.State === 'running').length === replicas) break
      if (performance.now() > deadline) throw new Error(`Swarm has not ${replicas} tasks after ${WAIT_MS_MAX} ms`)
      await delay(POLL_MS)
    }
  }
  const scale = async (replicas: number): Promise<number> => {
    const service = docker.getService(name)
    const { Version } = await service.inspect()
    const begin = performance.now()
    await service.update({ version: Version.Index, ...spec(replicas) })
    await running(replicas)
    return performance.now() - begin
  }
  try {
    if (network === 'own') await docker.createNetwork({ Name: NETWORK, Driver: 'bridge', Scope: 'swarm' })
    await docker.createService(spec(from))
    await running(from)
    const times: number[] = []
    for (let run = 0; run < runs; run++) {
      times.push(await scale(to))
      await scale(from)
      await noContainersBeside(docker, name, from)
    }
    await docker.getService(name).remove()
    return times
  } finally {
    await docker.swarmLeave({ force: true })
  }
}

/** Tasks that are shut down keep the machine busy until their containers have gone. */
async function noContainersBeside(docker: Docker, name: string, wanted: number): Promise<void> {
  const filters = { label: [`com.docker.swarm.service.name=${name}`], status: ['running'] }
  while ((await docker.listContainers({ filters })).length > wanted) await delay(POLL_MS)
}
