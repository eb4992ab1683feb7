// Changes the limits of a container that runs, and gives one that is started again the limits it was made with.

import type Docker from 'dockerode'
import { containerLimits } from '../docker-options.ts'
import { heldMemoryMb, type RuntimeLimits } from '../runtime.ts'
import { answerWithin } from './docker-engine.ts'

const BYTES_PER_MB = 1_000_000

/** Rejects when the engine refuses. */
export async function changeContainerLimits(container: Docker.Container, limits: RuntimeLimits): Promise<void> {
  const memoryMb = limits.holdMemory && limits.memoryMb > 0 ? await held(container, limits.memoryMb) : limits.memoryMb
  await answerWithin(container.update(containerLimits({ vcpus: limits.vcpus, memoryMb })))
}

async function held(container: Docker.Container, memoryMb: number): Promise<number> {
  const stats = await answerWithin(container.stats({ stream: false, 'one-shot': true }))
  return heldMemoryMb(stats.memory_stats.usage / BYTES_PER_MB, memoryMb)
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
