// What the tests of the Docker driver share: containers of a busybox image, and a driver of a node of its own.

import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import Docker from 'dockerode'
import { networkName } from '../docker-options.ts'
import { launchOf } from '../launch-fixture.ts'
import type { Launch, RuntimeDriver } from '../runtime.ts'
import { createDockerRuntime, type DockerRuntimeOptions } from './docker-runtime.ts'
import { createListener, type Listener } from './driver-bench.ts'

export const IMAGE = 'coppice-busybox:latest'
export const HTTP_PORT = { declared: 80, internal: 8080, protocol: 'tcp' } as const
export const container = (spec: Partial<Launch['spec']>, number = 0, specId = 'a1'): Launch =>
  launchOf({ runtime: 'docker', code: IMAGE, ...spec }, number, specId)
export const shell = (script: string): Partial<Launch['spec']> => ({ command: ['sh', '-c', script] })
export const server = { ...shell('echo good day > /tmp/index.html; exec httpd -f -p 8080 -h /tmp'), ports: [HTTP_PORT] }

export interface Bench extends Listener {
  readonly driver: RuntimeDriver
  readonly nodeId: string
  readonly warnings: string[]
}

let benches = 0

/** A driver of a node of its own; the containers of that node go when the test is over. */
export async function bench(t: TestContext, parts: Partial<DockerRuntimeOptions> = {}): Promise<Bench> {
  const nodeId = parts.nodeId ?? `live-test-node-${process.pid}-${String(benches++).padStart(2, '0')}`
  const dataDir = parts.dataDir ?? (await mkdtemp(join(tmpdir(), 'coppice-')))
  const listener = createListener()
  const warnings: string[] = []
  const onWarning = (text: string): void => void warnings.push(text)
  const driver = createDockerRuntime({ nodeId, onEvent: listener.onEvent, onWarning, ...parts, dataDir })
  const { available, detail } = await driver.probe(new AbortController().signal)
  assert.ok(available, `these tests need a Docker engine: run them under testnet/lab/with-docker.sh (${detail})`)
  t.after(async () => {
    await driver.close()
    const docker = new Docker()
    const left = await docker.listContainers({ all: true, filters: { label: [`coppice.node=${nodeId}`] } })
    await Promise.all(left.map(({ Id }) => docker.getContainer(Id).remove({ force: true })))
    await docker
      .getNetwork(networkName(nodeId))
      .remove()
      .catch(() => undefined)
    await rm(dataDir, { recursive: true, force: true })
  })
  return { ...listener, driver, nodeId, warnings }
}
