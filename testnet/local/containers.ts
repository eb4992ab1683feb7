// The containers of a fleet's nodes: what a device runs goes down with it, so whoever cuts a device down has to take
// them along.

import Docker from 'dockerode'
import { NODE_LABEL } from '../../placement/docker-options.ts'

/** How long the engine may take to say that it is there, on a machine that has other things to do. */
const ENGINE_MS_MAX = 30_000

/** Rejects with a sentence when no engine answers. */
export async function requireEngine(): Promise<void> {
  try {
    await new Docker({ timeout: ENGINE_MS_MAX }).ping()
  } catch (problem) {
    const detail = problem instanceof Error ? problem.message : String(problem)
    throw new Error(`no Docker engine answers (${detail}); start one, set DOCKER_HOST, or leave --runtime out`)
  }
}

/** Removes, at once, every container that these nodes started and none besides. */
export async function removeContainers(nodeIds: readonly string[], docker = new Docker()): Promise<void> {
  for (const id of nodeIds) {
    const found = await docker.listContainers({ all: true, filters: { label: [`${NODE_LABEL}=${id}`] } })
    await Promise.all(
      found.map(({ Id }) =>
        docker
          .getContainer(Id)
          .remove({ force: true })
          .catch(() => undefined),
      ),
    )
  }
}
