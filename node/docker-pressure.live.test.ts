// A real load on a real device, and what a node does about it to a real container.

import { test } from 'node:test'
import Docker from 'dockerode'
import type { NodeId } from '../overlay/kernel/ids.ts'
import { containerName } from '../placement/instance-name.ts'
import { checkRestriction, WEB } from './fixture-pressure.ts'

async function coresOfContainer(node: string): Promise<number> {
  const found = await new Docker().getContainer(containerName(node as NodeId, WEB)).inspect()
  return (found.HostConfig.NanoCpus ?? 0) / 1e9
}

test('under a real load a container is limited, and afterwards it has exactly what it had', (t) =>
  checkRestriction(t, 'container', coresOfContainer))
