// The server of `traffic-ends.ts` as a service of Coppice, and where a client of a node reaches it.

import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { ResolveView } from '../../node/control.ts'
import { answer, coppice } from '../local/command-fixture.ts'
import type { FleetNode } from '../local/fleet.ts'
import { serviceDescriptor } from '../local/service-fixture.ts'
import { TRAFFIC_ENDS } from './carriers.ts'
import type { Way } from './traffic-ends.ts'

export interface Ends {
  readonly name: string
  /** The cluster that it has to run in. */
  readonly cluster: string
  readonly port: number
}

export const addressOfEnds = (name: string): string => `bench.demo.${name}.web.any.rr.local`

/** Runs the server in a cluster; resolves to the way to it from a node, by its loopback address. */
export async function deployEnds(node: FleetNode, folder: string, { name, cluster, port }: Ends): Promise<Way> {
  const descriptor = serviceDescriptor(`bench.demo.${name}.web`, {
    cmd: [process.execPath, TRAFFIC_ENDS, 'serve'],
    memory: 512,
    port: String(port),
    constraints: [{ type: 'clusters', allowed: [cluster] }],
  })
  const file = join(folder, `${name}.json`)
  await writeFile(file, descriptor)
  const { exitCode, stderr } = await coppice('deploy', file, '--wait', '--data', node.dataDir)
  if (exitCode !== 0) throw new Error(stderr)
  const { virtualAddress }: ResolveView = await answer('resolve', addressOfEnds(name), '--data', node.dataDir)
  return { host: virtualAddress ?? '', port }
}
