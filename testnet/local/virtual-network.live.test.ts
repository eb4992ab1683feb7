// The addresses that an SLA asks for, in a network namespace of their own: nothing outside sees the route. Needs root,
// `unshare`, `nsenter`, `ip`, dig and curl.

import assert from 'node:assert/strict'
import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { promisify } from 'node:util'
import type { ResolveView } from '../../node/control.ts'
import { createControlClient } from '../../node/io/control-client.ts'
import { answer, COPPICE, coppice, ON_LOOPBACK, WAITING } from './command-fixture.ts'
import { PATIENCE_MS, removeFolder, until } from './fleet.ts'
import { servicesDescriptor } from './service-fixture.ts'

const HELLO = `require('http').createServer((_, response) => response.end('hello ' + process.env.COPPICE_INSTANCE))
  .listen(process.env.PORT, '127.0.0.1')`

/** Calls the address that its URL's path names, and tells the answer or that there was none. */
const ASKER = [
  'node',
  '-e',
  `require('http').createServer((incoming, response) => {
    fetch('http://' + incoming.url.slice(1) + '/').then((answer) => answer.text()).then((text) => response.end(text),
      () => response.end('nothing'))
  }).listen(process.env.PORT, '127.0.0.1')`,
]

let baseDir = ''
let node: ChildProcess | undefined

/** Runs a program where the node is. */
const inside = async (...words: readonly string[]): Promise<string> =>
  (await promisify(execFile)('nsenter', ['-t', `${node?.pid}`, '-n', ...words], { timeout: PATIENCE_MS })).stdout

/** Where dig asks. */
async function resolver(): Promise<readonly string[]> {
  const [host = '', port = ''] = ((await createControlClient(baseDir).status()).proxies.dns ?? '').split(':')
  return [`@${host}`, '-p', port]
}

before(async () => {
  baseDir = await mkdtemp(join(tmpdir(), 'virtual-network-'))
  const up = [COPPICE, 'up', '--virtual-network', '--data', baseDir, ...ON_LOOPBACK]
  const line = 'ip link set lo up && exec "$0" "$@"'
  node = spawn('unshare', ['--net', 'sh', '-c', line, process.execPath, ...up], { stdio: 'ignore' })
  const control = createControlClient(baseDir)
  await until('it is ready', async () => (await control.status()).ready, PATIENCE_MS)
  const twice = { cmd: ['node', '-e', HELLO], port: '8080', replicas: 2 }
  const addresses = {
    rr_ip: '10.30.7.7',
    closest_ip: '10.30.7.8',
    rr_ip_v6: 'fdff::7',
    closest_ip_v6: 'fdff::8',
    instances: [{ number: 1, address: '10.30.7.9', address_v6: 'fdff::9' }],
  }
  const descriptor = servicesDescriptor({
    'shop.demo.hello.web': { ...twice, addresses },
    'shop.demo.greedy.web': { ...twice, addresses: { rr_ip: '192.0.2.1' } },
    'shop.test.asker.web': { ...twice, cmd: ASKER },
  })
  const file = join(baseDir, 'descriptor.json')
  await writeFile(file, descriptor)
  const { exitCode, stderr } = await coppice('deploy', file, ...WAITING, '--data', baseDir)
  assert.equal(exitCode, 0, stderr)
})

after(async () => {
  try {
    for (const service of ['shop.demo.hello.web', 'shop.demo.greedy.web', 'shop.test.asker.web'])
      await coppice('rm', service, '--data', baseDir)
    await until('nothing runs', async () => (await createControlClient(baseDir).instances()).length === 0, PATIENCE_MS)
  } finally {
    if (node?.exitCode === null && node.signalCode === null) {
      const gone = once(node, 'exit')
      node.kill('SIGKILL')
      await gone
    }
    await removeFolder(baseDir)
  }
})

test('rr_ip, closest_ip and the address of an instance answer as their policies say', async () => {
  const get = (host: string): Promise<string> => inside('curl', '-sS', '--noproxy', '*', `http://${host}:8080/`)
  const turns = [await get('10.30.7.7'), await get('10.30.7.7')]
  assert.deepEqual(turns.toSorted(), ['hello 0', 'hello 1'])
  assert.match(await get('10.30.7.8'), /^hello [01]$/)
  assert.deepEqual([await get('10.30.7.9'), await get('10.30.7.9')], ['hello 1', 'hello 1'])
})

test('so do rr_ip_v6, closest_ip_v6 and the address_v6 of an instance', async () => {
  const get = (host: string): Promise<string> => inside('curl', '-gsS', '--noproxy', '*', `http://[${host}]:8080/`)
  const turns = [await get('fdff::7'), await get('fdff::7')]
  assert.deepEqual(turns.toSorted(), ['hello 0', 'hello 1'])
  assert.match(await get('fdff::8'), /^hello [01]$/)
  assert.deepEqual([await get('fdff::9'), await get('fdff::9')], ['hello 1', 'hello 1'])
})

test('dig is answered AAAA beside A, and the address answers', async () => {
  const words = await resolver()
  const dig = async (type: string, name: string): Promise<string> =>
    (await inside('dig', ...words, '+short', type, name)).trim()
  assert.equal(await dig('AAAA', 'shop.demo.hello.web.any.rr.local'), 'fdff::7')
  assert.equal(await dig('A', 'shop.demo.hello.web.any.rr.local'), '10.30.7.7')
  const other = await dig('AAAA', 'shop.demo.greedy.web.any.rr.local')
  assert.match(other, /^fdff::[0-9a-f]+$/)
  assert.match(await inside('curl', '-gsS', '--noproxy', '*', `http://[${other}]:8080/`), /^hello [01]$/)
})

test('an instance of another namespace is known by either kind of address, and gets nothing', async () => {
  const asker = await inside('dig', ...(await resolver()), '+short', 'A', 'shop.test.asker.web.any.rr.local')
  const ask = (address: string): Promise<string> =>
    inside('curl', '-gsS', '--noproxy', '*', `http://${asker.trim()}:8080/${address}`)
  assert.equal(await ask('10.30.7.7:8080'), 'nothing')
  assert.equal(await ask('[fdff::7]:8080'), 'nothing')
})

test('an address outside the network is not taken; the service gets one of it', async () => {
  const greedy: ResolveView = await answer('resolve', 'shop.demo.greedy.web.any.rr.local', '--data', baseDir)
  assert.match(greedy.virtualAddress ?? '', /^10\.30\./)
  assert.doesNotMatch(await inside('ip', 'route', 'show', 'table', 'local'), /192\.0\.2\.1/)
})

test('the route is in the node’s namespace and in no other', async () => {
  assert.match(await inside('ip', 'route', 'show', 'table', 'local'), /local 10\.30\.0\.0\/16 dev lo/)
  const { stdout } = await promisify(execFile)('ip', ['route', 'show', 'table', 'local'])
  assert.doesNotMatch(stdout, /10\.30\.0\.0\/16/)
})
