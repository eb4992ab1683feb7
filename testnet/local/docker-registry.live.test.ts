// A registry that wants a login (Debian's docker-registry), and two devices of one operator, of which only one has it:
//   testnet/lab/with-docker.sh node --test testnet/local/docker-registry.live.test.ts

import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readdir, readFile, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { after, before, test } from 'node:test'
import Docker from 'dockerode'
import type { InstanceView } from '../../node/control.ts'
import { REGISTRIES_FILE } from '../../node/io/registry-file.ts'
import { answer, coppice, coppiceReading } from './command-fixture.ts'
import { removeContainers } from './containers.ts'
import { type Fleet, type FleetNode, PATIENCE_MS, removeFolder, startFleet, until } from './fleet.ts'
import { serviceDescriptor } from './service-fixture.ts'

const USERNAME = 'shop'
const PASSWORD = 'open-sesame-of-the-tests'
/** htpasswd -nbB shop PASSWORD, with few rounds. */
const HTPASSWD = `${USERNAME}:$2b$04$.4weLwc0/R1zbt5w1BVC/u0SKKy.kqd54q8j8VlYpL7Yg/knWB1tm`

let baseDir = ''
let registry = ''
let image = ''
let server: ChildProcess
let fleet: Fleet
let submitter: FleetNode
let puller: FleetNode
let ids: readonly string[] = []

async function freePort(): Promise<number> {
  const probe = createServer().listen(0, '127.0.0.1')
  await once(probe, 'listening')
  const address = probe.address()
  probe.close()
  if (address === null || typeof address === 'string') throw new Error('the system gave no port')
  return address.port
}

/** The registry can only be told a port; somebody else may have taken it by then, and the next one is tried. */
async function startRegistry(): Promise<void> {
  while (!(await hasStarted()));
}

/** Rejects where the registry neither asks for a login nor ends. */
async function hasStarted(): Promise<boolean> {
  registry = `127.0.0.1:${await freePort()}`
  const passwords = join(baseDir, 'htpasswd')
  await writeFile(passwords, `${HTPASSWD}\n`)
  const config = {
    version: 0.1,
    storage: { filesystem: { rootdirectory: join(baseDir, 'registry') } },
    http: { addr: registry },
    auth: { htpasswd: { realm: 'tests', path: passwords } },
  }
  const file = join(baseDir, 'registry.yml')
  // YAML takes JSON.
  await writeFile(file, JSON.stringify(config))
  server = spawn('docker-registry', ['serve', file], { stdio: 'ignore' })
  const find = async () => {
    if (server.exitCode !== null) return 'ended'
    return (await fetch(`http://${registry}/v2/`)).status === 401 && 'asks'
  }
  return (await until('the registry asks for a login', find, PATIENCE_MS)) === 'asks'
}

/** Puts an image there that the engine does not keep. */
async function pushImage(): Promise<void> {
  const docker = new Docker()
  image = `${registry}/shop/private:1`
  await docker.getImage('coppice-busybox:latest').tag({ repo: `${registry}/shop/private`, tag: '1' })
  const authconfig = { username: USERNAME, password: PASSWORD, serveraddress: registry }
  const said = await text(await docker.getImage(image).push({ authconfig }))
  assert.doesNotMatch(said, /"error"/)
  await docker.getImage(image).remove()
}

before(async () => {
  baseDir = await mkdtemp(join(tmpdir(), 'docker-registry-'))
  await startRegistry()
  await pushImage()
  fleet = await startFleet({
    baseDir,
    clusters: [{ path: '/a', names: ['a1', 'a2'] }],
    flags: ['--runtime', 'docker'],
  })
  ;[submitter, puller] = fleet.nodes as [FleetNode, FleetNode]
  for (const node of fleet.nodes) {
    await until(`${node.name} is ready`, async () => (await node.control.status()).ready, PATIENCE_MS, [node])
  }
  ids = await Promise.all(fleet.nodes.map(async ({ control }) => (await control.status()).node))
})

after(async () => {
  await fleet?.stop()
  await removeContainers(ids)
  await new Docker()
    .getImage(image)
    .remove({ force: true })
    .catch(() => undefined)
  server?.kill()
  await removeFolder(baseDir)
})

async function deployOn(node: string, name: string): Promise<void> {
  const descriptor = serviceDescriptor(`shop.demo.${name}.web`, {
    virtualization: 'docker',
    code: image,
    cmd: ['sh', '-c', 'exec sleep 600'],
    memory: 16,
    constraints: [{ type: 'direct', node }],
    stop_grace: 0,
  })
  const file = join(baseDir, `${name}.json`)
  await writeFile(file, descriptor)
  const { exitCode, stderr } = await coppice('deploy', file, '--data', submitter.dataDir)
  assert.equal(exitCode, 0, stderr)
}

const instanceOf = async (name: string): Promise<InstanceView | undefined> =>
  (await puller.control.instances()).find(({ service }) => service === `shop.demo.${name}.web`)

test('without a login the reason says what the registry said', async () => {
  await deployOn('a2', 'locked')
  const isRefused = async (): Promise<boolean> =>
    /no basic auth credentials|unauthorized/.test((await instanceOf('locked'))?.reason ?? '')
  await until('it is refused', isRefused, PATIENCE_MS)
  await coppice('rm', 'shop.demo.locked.web', '--data', submitter.dataDir)
})

test('a wrong password opens nothing, and the right one replaces it', async () => {
  const words = ['registry', 'login', `http://${registry}/`, '--username', USERNAME, '--password-stdin'] as const
  const data = ['--data', submitter.dataDir] as const
  const wrong = await coppiceReading('wrong\n', ...words, ...data)
  assert.equal(wrong.exitCode, 0, wrong.stderr)
  await deployOn('a2', 'mistaken')
  const isRefused = async (): Promise<boolean> =>
    /unauthorized|denied|no basic auth/.test((await instanceOf('mistaken'))?.reason ?? '')
  await until('it is refused', isRefused, PATIENCE_MS)
  await coppice('rm', 'shop.demo.mistaken.web', ...data)
  const right = await coppiceReading(`${PASSWORD}\n`, ...words, ...data)
  assert.equal(right.exitCode, 0, right.stderr)
  assert.deepEqual(await answer('registry', 'list', ...data), [{ registry, username: USERNAME }])
  assert.deepEqual(await answer('registry', 'list', '--data', puller.dataDir), [])
})

test('a device without the login pulls with that of the submitter, which is to be found nowhere else', async () => {
  await deployOn('a2', 'private')
  await until('it runs', async () => (await instanceOf('private'))?.state === 'running', PATIENCE_MS)
  assert.equal((await instanceOf('private'))?.name, 'a2')
  const shown = await coppice('inspect', 'shop.demo.private.web', '--json', '--data', submitter.dataDir)
  assert.equal(shown.stdout.includes(PASSWORD), false)
  const containers = await new Docker().listContainers({ filters: { label: ['coppice.key=shop.demo.private.web#0'] } })
  for (const { Id } of containers) {
    assert.equal(JSON.stringify(await new Docker().getContainer(Id).inspect()).includes(PASSWORD), false)
  }
  assert.equal(containers.length, 1)
  // A file that goes away while it is looked at is looked for again.
  const holders = await until('all files were read', filesWithPassword, PATIENCE_MS)
  assert.deepEqual(holders, [join(submitter.dataDir, REGISTRIES_FILE)])
})

async function filesWithPassword(): Promise<readonly string[]> {
  const holders: string[] = []
  for (const { dataDir } of fleet.nodes) {
    for (const entry of await readdir(dataDir, { recursive: true, withFileTypes: true })) {
      if (!entry.isFile()) continue
      const file = join(entry.parentPath, entry.name)
      if ((await readFile(file)).includes(PASSWORD)) holders.push(file)
    }
  }
  return holders
}

test('a login that is forgotten is gone, and who forgets it twice is told', async () => {
  const words = ['registry', 'logout', registry, '--data', submitter.dataDir] as const
  assert.equal((await coppice(...words)).exitCode, 0)
  const again = await coppice(...words)
  assert.equal(again.exitCode, 1)
  assert.match(again.stderr, /has no login of/)
})
