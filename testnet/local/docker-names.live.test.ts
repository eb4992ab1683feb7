// Containers that know nothing of Coppice call a service of another cluster, by name and by the address of its SLA:
//   testnet/lab/with-docker.sh node --test testnet/local/docker-names.live.test.ts
// The engine's namespace is where the route to 10.30.0.0/16 is made, so it is seen nowhere else.

import assert from 'node:assert/strict'
import { mkdtemp, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { coppice, WAITING } from './command-fixture.ts'
import { removeContainers } from './containers.ts'
import { type Fleet, type FleetNode, PATIENCE_MS, readyFleet, removeFolder, until } from './fleet.ts'
import { servicesDescriptor } from './service-fixture.ts'

const ADDRESS = '10.30.7.7'
const NAME = 'shop.demo.hello.web.any.rr.local'
const HELLO = `require('http').createServer((_, response) => response.end('hello'))
  .listen(process.env.PORT, '127.0.0.1')`
const ASK = `while :; do
  for at in ${NAME} ${ADDRESS}; do echo "$at says $(curl -sS -m 5 http://$at:8080/ 2>&1)"; done
  sleep 1
done`
/** A static busybox cannot resolve names (its C library loads that part at run time): the device's own curl can. */
const PROGRAMS = ['/usr:/usr:ro', '/usr/lib:/lib:ro', '/usr/lib64:/lib64:ro']

let baseDir = ''
let fleet: Fleet
let caller: FleetNode
let ids: readonly string[] = []

const ASKER = {
  virtualization: 'container',
  code: 'busybox:latest',
  cmd: ['sh', '-c', ASK],
  volumes: PROGRAMS,
  constraints: [{ type: 'clusters', allowed: ['b'] }],
}

before(async () => {
  baseDir = await mkdtemp(join(tmpdir(), 'docker-names-'))
  const clusters = ['a', 'b'].map((name) => ({ path: `/${name}`, names: [`${name}1`] }))
  // One of the two only: they share the engine's namespace, and the address of the SLA is to be the caller's node's.
  const flagsOf = (name: string) => (name === 'b1' ? ['--virtual-network'] : ['--no-virtual-listeners'])
  fleet = await readyFleet({ baseDir, clusters, flagsOf })
  ids = await Promise.all(fleet.nodes.map(async ({ control }) => (await control.status()).node))
  caller = fleet.named('b1')
  const hello = {
    cmd: ['node', '-e', HELLO],
    port: '8080',
    addresses: { rr_ip: ADDRESS },
    constraints: [{ type: 'clusters', allowed: ['a'] }],
  }
  const descriptor = servicesDescriptor({
    'shop.demo.hello.web': hello,
    'caller.demo.ask.web': ASKER,
    'caller.test.ask.web': ASKER,
  })
  const file = join(baseDir, 'names.json')
  await writeFile(file, descriptor)
  const { exitCode, stderr } = await coppice('deploy', file, ...WAITING, '--data', caller.dataDir)
  assert.equal(exitCode, 0, stderr)
})

after(async () => {
  await fleet?.stop()
  await removeContainers(ids)
  await removeFolder(baseDir)
})

const logOf = async (namespace: string): Promise<string> =>
  (await coppice('logs', `caller.${namespace}.ask.web`, '--data', caller.dataDir)).stdout

test('a container reaches a service of another cluster by its name and by its rr_ip', async () => {
  const isAnswered = async (): Promise<boolean> => {
    const log = await logOf('demo')
    return log.includes(`${NAME} says hello`) && log.includes(`${ADDRESS} says hello`)
  }
  await until('both answer', isAnswered, PATIENCE_MS)
})

test('a container of another namespace is known by its address, and gets nothing', async () => {
  await until('it has asked', async () => (await logOf('test')).split('says').length > 4, PATIENCE_MS)
  assert.doesNotMatch(await logOf('test'), /says hello/)
})
