// Two devices, each with an engine of its own, and no registry: what only one of them has, the other gets from it.
//   testnet/lab/with-docker.sh node --test testnet/local/docker-copies.live.test.ts

import assert from 'node:assert/strict'
import { mkdtemp, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import Docker from 'dockerode'
import { coppice, WAITING } from './command-fixture.ts'
import { removeContainers } from './containers.ts'
import { type Fleet, type FleetNode, PATIENCE_MS, readyFleet, removeFolder, until } from './fleet.ts'
import { type SecondEngine, startSecondEngine } from './second-engine.ts'
import { serviceDescriptor } from './service-fixture.ts'

const IMAGE = `only/here-${process.pid}:1`
const SERVICE = 'shop.demo.copied.web'

let baseDir = ''
let fleet: Fleet
let engine: SecondEngine
let nodes: readonly FleetNode[]
let ids: readonly string[]

before(async () => {
  baseDir = await mkdtemp(join(tmpdir(), 'docker-copies-'))
  engine = await startSecondEngine(baseDir)
  fleet = await readyFleet({
    baseDir,
    clusters: [{ path: '/a', names: ['a1', 'a2'] }],
    flags: ['--runtime', 'docker'],
    environmentOf: (name): Record<string, string> => (name === 'a2' ? { DOCKER_HOST: engine.host } : {}),
  })
  nodes = fleet.nodes
  ids = await Promise.all(nodes.map(async ({ control }) => (await control.status()).node))
})

after(async () => {
  await fleet?.stop()
  await removeContainers(ids ?? [])
  await removeContainers(ids ?? [], engine?.docker)
  await engine?.stop()
  await new Docker()
    .getImage(IMAGE)
    .remove({ force: true })
    .catch(() => undefined)
  await removeFolder(baseDir)
})

/** An image that is nowhere but in the first engine; resolves to its id. */
async function imageOfFirst(): Promise<string> {
  const docker = new Docker()
  const made = await docker.createContainer({ Image: 'coppice-busybox:latest', Cmd: ['true'] })
  const [repo = '', tag = ''] = IMAGE.split(':')
  await made.commit({ repo, tag, changes: `LABEL only=${process.pid}` })
  await made.remove()
  return (await docker.getImage(IMAGE).inspect()).Id
}

test('a device whose engine lacks an image gets it from the device that has it, and runs it', async () => {
  const id = await imageOfFirst()
  assert.deepEqual(await engine.docker.listImages(), [])
  const descriptor = serviceDescriptor('shop.demo.copied.web', {
    virtualization: 'docker',
    code: IMAGE,
    cmd: ['sh', '-c', 'echo copied and running; exec sleep 600'],
    memory: 16,
    constraints: [{ type: 'direct', node: 'a2' }],
    stop_grace: 0,
  })
  const file = join(baseDir, 'copied.json')
  await writeFile(file, descriptor)
  const [first, second] = nodes as [FleetNode, FleetNode]
  const deployed = await coppice('deploy', file, ...WAITING, '--data', first.dataDir)
  assert.equal(deployed.exitCode, 0, deployed.stderr)
  const found = (await second.control.instances()).filter(({ service }) => service === SERVICE)
  assert.deepEqual(
    found.map(({ state, name }) => [state, name]),
    [['running', 'a2']],
  )
  assert.equal((await engine.docker.getImage(IMAGE).inspect()).Id, id)
  const wrote = async (): Promise<boolean> =>
    (await coppice('logs', SERVICE, '--data', first.dataDir)).stdout.includes('copied and running')
  await until('its log is read from the other device', wrote, PATIENCE_MS)
})
