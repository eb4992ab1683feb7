// Changes the limits of a container that runs, and gives one that is started again the limits it was made with.

import type Docker from 'dockerode'
import { containerLimits } from '../docker-options.ts'
import { heldMemoryMb, type InstanceStats, type RuntimeLimits } from '../runtime.ts'
import { answerWithin } from './docker-engine.ts'

const BYTES_PER_MB = 1_000_000
const NANOSECONDS_PER_S = 1e9

/** Rejects when the engine refuses. */
export async function changeContainerLimits(container: Docker.Container, limits: RuntimeLimits): Promise<void> {
  const memoryMb = limits.holdMemory && limits.memoryMb > 0 ? await held(container, limits.memoryMb) : limits.memoryMb
  await answerWithin(container.update(containerLimits({ vcpus: limits.vcpus, memoryMb })))
}

async function held(container: Docker.Container, memoryMb: number): Promise<number> {
  const stats = await answerWithin(container.stats({ stream: false, 'one-shot': true }))
  return heldMemoryMb(stats.memory_stats.usage / BYTES_PER_MB, memoryMb)
}

/** What a container uses, as its engine counts it; null for none. */
export async function containerStats(docker: Docker, id: string | undefined): Promise<InstanceStats | null> {
  if (id === undefined) return null
  const asked = docker.getContainer(id).stats({ stream: false, 'one-shot': true })
  const { cpu_stats, memory_stats } = await answerWithin(asked)
  const { total_usage: nanoseconds = 0 } = cpu_stats.cpu_usage
  return { cpuSeconds: nanoseconds / NANOSECONDS_PER_S, memoryMb: (memory_stats.usage ?? 0) / BYTES_PER_MB }
}

/** Whether a container has other limits than its launch asked for: a restricted one that ended. */
export function hasOtherLimits(
  found: Docker.ContainerInspectInfo,
  declared: { readonly vcpus: number; readonly memoryMb: number },
): boolean {
  const { NanoCpus, Memory } = containerLimits(declared)
  const { HostConfig } = found
  return (
    (NanoCpus ?? HostConfig.NanoCpus) !== HostConfig.NanoCpus || (Memory ?? HostConfig.Memory) !== HostConfig.Memory
  )
}
