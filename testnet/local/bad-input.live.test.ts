// What goes wrong before a node runs, or ends it: each is one clear sentence with something to do, a code that is not
// zero, and a folder in which nothing was lost. Needs root for the full disk.

import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { cp, mkdir, mkdtemp, readdir, rename, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { createNode, joinNode, type NodeOptions, type RunningNode } from '../../node/index.ts'
import { coppice, ON_LOOPBACK } from './command-fixture.ts'
import { PATIENCE_MS, removeFolder } from './fleet.ts'
import { serviceDescriptor } from './service-fixture.ts'

const QUIET = { listen: ['/ip4/127.0.0.1/tcp/0'], mdns: false, httpProxyPort: null, virtualListeners: false } as const
const [MOUNT, UMOUNT] = ['mount', 'umount'] as const

let baseDir = ''
const nodes: RunningNode[] = []

const folder = (name: string): string => join(baseDir, name)
const options = (name: string): NodeOptions => ({ ...QUIET, dataDir: folder(name) })

async function ready(node: RunningNode): Promise<RunningNode> {
  nodes.push(node)
  await node.ready(AbortSignal.timeout(PATIENCE_MS))
  return node
}

/** Founds a federation in a folder and stops again: a folder that has something to lose. */
async function founded(name: string): Promise<string> {
  const node = await ready(await createNode(options(name)))
  const { node: id } = node.control.status()
  await node.stop()
  return id
}

/** Starts a node by the command line and expects that it refuses, in the form of both a person and a program. */
async function refused(code: string, ...words: readonly string[]): Promise<void> {
  const forProgram = await coppice(...words, ...(words.includes('--listen') ? ['--no-mdns'] : ON_LOOPBACK), '--json')
  assert.equal(forProgram.exitCode, 1, forProgram.stderr)
  const line = forProgram.stderr.trim().split('\n').at(-1) ?? ''
  const { error } = JSON.parse(line) as { readonly error: { code: string; message: string; hint: string } }
  assert.equal(error.code, code, line)
  assert.ok(error.message.length > 10 && error.hint.length > 10, line)
  assert.doesNotMatch(forProgram.stderr, /^\s+at /m, 'no stack trace')
}

before(async () => {
  baseDir = await mkdtemp(join(tmpdir(), 'bad-input-'))
})

after(async () => {
  // One that a failed test has left behind would keep this process.
  for (const node of nodes) await node.stop().catch(() => undefined)
  await removeFolder(baseDir)
})

test('a port in use is named, and the folder is as good as before', async () => {
  const id = await founded('port')
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  assert.ok(address !== null && typeof address === 'object')
  await refused('port-in-use', 'up', '--data', folder('port'), '--listen', `/ip4/127.0.0.1/tcp/${address.port}`)
  await refused('port-in-use', 'up', '--data', folder('port'), '--http-proxy', `${address.port}`)
  await refused('port-in-use', 'up', '--data', folder('fresh'), '--listen', `/ip4/127.0.0.1/tcp/${address.port}`)
  server.close()
  assert.equal(await founded('port'), id)
  assert.ok(await founded('fresh'), 'a founder whose first start came to nothing begins at the second')
})

test('a folder of another federation, or of another cluster, is refused and stays what it was', async () => {
  const id = await founded('own')
  const host = await ready(await createNode(options('host')))
  const invite = await host.control.invite({ domain: null, uses: 5, ttlMs: 3_600_000 })
  await refused('other-federation', 'join', invite, '--data', folder('own'))
  await refused('other-domain', 'up', '--data', folder('own'), '--domain', '/elsewhere')
  await host.stop()
  assert.equal(await founded('own'), id)
})

test('a second node on a folder in use is refused, and the first goes on', async () => {
  const node = await ready(await createNode(options('shared')))
  await refused('folder-in-use', 'up', '--data', folder('shared'))
  await ready(node)
  await node.stop()
})

test('an invite that was cut in half is refused before anything is asked', async () => {
  const host = await ready(await createNode(options('inviting')))
  const invite = await host.control.invite({ domain: null, uses: 1, ttlMs: 3_600_000 })
  await refused('bad-invite', 'join', invite.slice(0, invite.length / 2), '--data', folder('half'))
  const guest = await joinNode({ ...options('half'), invite })
  await guest.stop()
  await host.stop()
})

test('a corrupt store is refused; moved away, the node comes back as who it was', async () => {
  const id = await founded('corrupt')
  const store = join(folder('corrupt'), 'store')
  await cp(store, folder('intact'), { recursive: true })
  const [manifest] = (await readdir(store)).filter((name) => name.startsWith('MANIFEST'))
  assert.ok(manifest)
  for (const file of ['CURRENT', manifest]) {
    await writeFile(join(store, file), 'nonsense')
    await refused('store-damaged', 'up', '--data', folder('corrupt'))
    await rm(store, { recursive: true })
    await cp(folder('intact'), store, { recursive: true })
  }
  const before = await federationOf('corrupt')
  await rename(store, folder('moved-away'))
  assert.equal(await founded('corrupt'), id)
  assert.equal(await federationOf('corrupt'), before)
})

async function federationOf(name: string): Promise<string> {
  const node = await createNode(options(name))
  const { federation } = node.control.status()
  await node.stop()
  return federation
}

test('a damaged key is refused and never replaced', async () => {
  await founded('key')
  await writeFile(join(folder('key'), 'node.key'), 'nonsense')
  await refused('damaged-key', 'up', '--data', folder('key'))
  await rm(join(folder('key'), 'node.key'))
  await refused('wrong-node-key', 'up', '--data', folder('key'))
})

test('a disk that fills up ends the node with what to do; with room again it goes on as who it was', async () => {
  const dataDir = folder('full')
  await mkdir(dataDir)
  execFileSync(MOUNT, ['-t', 'tmpfs', '-o', 'size=800k', 'tmpfs', dataDir])
  try {
    const node = await ready(await createNode(options('full')))
    const { node: id } = node.control.status()
    const filler = join(dataDir, 'filler')
    assert.throws(() => execFileSync('dd', ['if=/dev/zero', `of=${filler}`, 'bs=1k'], { stdio: 'ignore' }))
    // Each submission is kept on disk before it counts; some room is left in the blocks that the log has already.
    let broken: Error | null = null
    void node.failed.then((problem) => {
      broken = problem
    })
    for (let i = 0; i < 200 && broken === null; i++)
      await node.control.deploy(descriptor(i), { domain: null }).catch(() => undefined)
    assert.equal(((await node.failed) as { code?: string }).code, 'disk-full')
    await node.stop()
    await refused('disk-full', 'up', '--data', dataDir)
    await rm(filler)
    assert.equal(await founded('full'), id)
  } finally {
    execFileSync(UMOUNT, [dataDir])
  }
})

/** A service that no device has the runtime for, so that nothing is started; it still has to be written down. */
const descriptor = (number: number): string =>
  serviceDescriptor(`filler.demo.s${number}.web`, {
    virtualization: 'unikernel',
    code: 'https://example.org/x',
    memory: 1,
    vcpus: 0.1,
    environment: ['FILLER='.padEnd(2_000, 'x')],
  })
