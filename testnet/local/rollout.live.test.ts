// New versions, jobs and daemons as a user has them: real nodes on loopback, real processes, the command line.

import assert from 'node:assert/strict'
import { mkdtemp, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import type { InspectView, InstanceView } from '../../node/control.ts'
import { answer, coppice, WAITING } from './command-fixture.ts'
import { type Fleet, PATIENCE_MS, readyFleet, removeFolder, until } from './fleet.ts'
import { serviceDescriptor } from './service-fixture.ts'

const SERVICE = 'shop.demo.web.web'

let baseDir = ''
let fleet: Fleet

const at = (name: string): readonly string[] => ['--data', join(baseDir, name)]
const seen = (service = SERVICE): Promise<InspectView> => answer<InspectView>('inspect', service, ...at('b1'))
const SERVER = `require('http').createServer((_, response) => response.end(process.env.VERSION))
  .listen(process.env.PORT, '127.0.0.1')`

/** Writes a descriptor of one microservice and returns its file. */
async function descriptor(name: string, more: object): Promise<string> {
  const file = join(baseDir, `${name}.json`)
  await writeFile(file, serviceDescriptor(SERVICE, { memory: 32, vcpus: 0.05, ...more }))
  return file
}

/** `monitorS`: how long a copy has to run before the next one is replaced. */
const version = (name: string, code = SERVER, monitorS = 1): Promise<string> =>
  descriptor(`web-${name}`, {
    microservice_name: 'web',
    cmd: ['node', '-e', code],
    port: '80',
    replicas: 3,
    environment: { VERSION: name },
    restart: { policy: 'always', delay: 0.2, delay_max: 1 },
    update: { parallel: 1, order: 'stop-first', delay: 0, monitor: monitorS, on_failure: 'rollback' },
  })

before(async () => {
  baseDir = await mkdtemp(join(tmpdir(), 'coppice-rollout-'))
  fleet = await readyFleet({
    baseDir,
    clusters: [
      { path: '/a', names: ['a1', 'a2'] },
      { path: '/b', names: ['b1', 'b2'] },
    ],
  })
})

after(async () => {
  await fleet?.stop()
  await removeFolder(baseDir)
})

test('deploy --wait follows a version to its end, and exits with 1 when it was rolled back', async () => {
  const first = await coppice('deploy', await version('1'), ...WAITING, ...at('a1'))
  assert.equal(first.exitCode, 0, first.stderr)
  const second = await coppice('deploy', await version('2'), ...WAITING, '--json', ...at('b1'))
  assert.equal(second.exitCode, 0, second.stderr)
  assert.equal((await seen()).rollout?.state, 'done')
  const bad = await coppice(
    'deploy',
    // Longer than Node takes to start and end on a busy machine; a copy that fails is not monitored to the end.
    await version('3', 'setTimeout(() => process.exit(3), 300)', 60),
    ...WAITING,
    ...at('a2'),
  )
  assert.equal(bad.exitCode, 1, bad.stdout)
  assert.match(bad.stderr, /was rolled back: #\d: .*exit code 3/)
  const back = await until(
    'the second version runs again',
    async () => {
      const view = await seen()
      const up = view.instances.filter(({ state }) => state === 'running')
      return up.length === 3 && view.rollout?.state === 'rolled-back' ? view : null
    },
    PATIENCE_MS,
  )
  assert.equal(new Set(back.instances.map(({ number }) => number)).size, 3)
})

test('rollback goes back to the version before', async () => {
  const good = await coppice('deploy', await version('4'), ...WAITING, ...at('a1'))
  assert.equal(good.exitCode, 0, good.stderr)
  await answer('rollback', SERVICE, ...at('b2'))
  const back = await until(
    'the second version is the newest',
    async () => {
      const view = await seen()
      const isOld = JSON.stringify(view.spec).includes('"VERSION":"2"')
      return isOld && view.rollout?.state === 'done' && view.ready === 3 ? view : null
    },
    PATIENCE_MS,
  )
  assert.equal(back.wanted, 3)
})

test('a job runs to its end, and deploy --wait returns then', async () => {
  const job = { microservice_name: 'job', kind: 'job', replicas: 2, cmd: ['node', '-e', 'setTimeout(() => {}, 500)'] }
  const file = await descriptor('job', job)
  const { exitCode, stdout, stderr } = await coppice('deploy', file, ...WAITING, '--json', ...at('b1'))
  assert.equal(exitCode, 0, stderr)
  const [service] = (JSON.parse(stdout) as { services: readonly { instances: readonly InstanceView[] }[] }).services
  assert.deepEqual(
    service?.instances.map(({ number, state }) => [number, state]),
    [
      [0, 'done'],
      [1, 'done'],
    ],
  )
})

test('a daemon runs once on each of the four devices', async () => {
  const daemon = { microservice_name: 'agent', kind: 'daemon', cmd: ['node', '-e', 'setInterval(() => {}, 1000)'] }
  const file = await descriptor('agent', daemon)
  await answer('deploy', file, ...at('a1'))
  await until(
    'each runs one',
    async () => {
      const view = await seen('shop.demo.agent.web')
      const nodes = view.instances.filter(({ state }) => state === 'running').map(({ node }) => node)
      return nodes.length === 4 && new Set(nodes).size === 4 ? view : null
    },
    PATIENCE_MS,
  )
})
