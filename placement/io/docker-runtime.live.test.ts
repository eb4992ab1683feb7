// The Docker driver with a real engine. It takes the engine from DOCKER_HOST and fails where none answers:
//   testnet/lab/with-docker.sh node --test placement/io/docker-runtime.live.test.ts

import assert from 'node:assert/strict'
import { test } from 'node:test'
import Docker from 'dockerode'
import { containerName } from '../instance-name.ts'
import { bench, container, HTTP_PORT, IMAGE, server, shell } from './docker-bench.ts'
import { createDockerRuntime } from './docker-runtime.ts'
import { awaitOutput, collect, createListener } from './driver-bench.ts'

const now = (): AbortSignal => new AbortController().signal

test('a container runs with its limits and labels, answers on loopback, is stopped and removed', async (t) => {
  const { driver, next, nodeId } = await bench(t)
  const launch = container({ ...server, memoryMb: 64, vcpus: 0.5, labels: { tier: 'front' } })
  driver.start(launch)
  const { endpoint, adopted } = await next('running')
  assert.equal(adopted, false)
  assert.equal(endpoint.host, '127.0.0.1')
  const page = await fetch(`http://127.0.0.1:${endpoint.ports[0]?.actual}/index.html`)
  assert.equal(await page.text(), 'good day\n')
  const found = await new Docker().getContainer(containerName(nodeId, launch.key)).inspect()
  assert.equal(found.HostConfig.Memory, 64_000_000)
  assert.equal(found.HostConfig.NanoCpus, 500_000_000)
  assert.equal(found.Config.Labels['coppice.key'], launch.key)
  assert.equal(found.Config.Labels.tier, 'front')
  assert.deepEqual(await driver.list(), [{ key: launch.key, specId: 'a1', running: true }])
  driver.stop(launch.key, 1_000)
  assert.match((await next('exited')).detail, /^stopped/)
  assert.deepEqual(await driver.list(), [])
})

test('the exit code and the last words of a container are told, and its next start keeps the log', async (t) => {
  const { driver, next } = await bench(t)
  const launch = container(shell('echo no config; exit 3'))
  for (const _start of [1, 2]) {
    driver.start(launch)
    assert.deepEqual(await next('exited'), {
      kind: 'exited',
      key: launch.key,
      code: 3,
      detail: 'ended by itself (exit code 3); last output: no config',
    })
  }
  const log = await collect(driver.logs(launch.key, { follow: false, tail: null, sinceMs: null, signal: now() }))
  assert.equal(log, 'no config\nno config\n')
})

test('a container that uses more memory than its limit is told to have done so', async (t) => {
  const { driver, next } = await bench(t)
  driver.start(container({ ...shell('x=0123456789abcdef; while true; do x=$x$x; done'), memoryMb: 16 }))
  const { detail } = await next('exited')
  assert.equal(detail, 'ended by the kernel: it used more than its 16 MB of memory')
})

test('a driver that comes back adopts what runs', async (t) => {
  const first = await bench(t)
  const launch = container(server)
  first.driver.start(launch)
  const before = await first.next('running')
  await first.driver.close()
  const second = await bench(t, { nodeId: first.nodeId })
  assert.deepEqual(await second.driver.list(), [{ key: launch.key, specId: 'a1', running: true }])
  second.driver.start(launch)
  const after = await second.next('running')
  assert.equal(after.adopted, true)
  assert.deepEqual(after.endpoint, before.endpoint)
  second.driver.stop(launch.key, 0)
  assert.equal((await second.next('exited')).key, launch.key)
})

test('a container with another spec takes the place of the one that runs', async (t) => {
  const { driver, next, events } = await bench(t)
  driver.start(container({ ...shell('sleep 60'), stopGraceMs: 0 }, 0, 'a1'))
  await next('running')
  driver.start(container({ ...shell('sleep 61'), stopGraceMs: 0 }, 0, 'b2'))
  assert.equal((await next('running')).specId, 'b2')
  assert.deepEqual(
    events.map(({ kind }) => kind),
    ['running', 'running'],
  )
  assert.equal((await driver.list()).length, 1)
})

test('a container of somebody else is neither listed nor taken', async (t) => {
  const { driver, next, nodeId } = await bench(t)
  const launch = container(shell('sleep 60'))
  const docker = new Docker()
  const stranger = await docker.createContainer({
    name: containerName(nodeId, launch.key),
    Image: IMAGE,
    Cmd: ['sleep', '60'],
  })
  t.after(() => stranger.remove({ force: true }))
  await stranger.start()
  driver.start(launch)
  assert.match((await next('failed')).detail, /exists that is not ours: rename or remove it/)
  driver.stop(launch.key, 0)
  assert.equal((await next('exited')).detail, 'it was not running')
  assert.deepEqual(await driver.list(), [])
  assert.equal((await stranger.inspect()).State.Running, true)
})

test('a container that never answers on its port fails with the reason', async (t) => {
  const { driver, next } = await bench(t, { startDeadlineMs: 3_000 })
  driver.start(container({ ...shell('echo waiting; sleep 60'), ports: [HTTP_PORT], stopGraceMs: 0 }))
  const { detail } = await next('failed')
  assert.equal(detail, 'nothing answered on port 80 of the container within 3 s; last output: waiting')
})

test('an image that is nowhere and a program that is not in it fail with the reason', async (t) => {
  const { driver, next } = await bench(t)
  driver.start(container({ code: 'localhost:9/no-such-image' }))
  assert.match((await next('pulling')).detail, /^pulling localhost:9\/no-such-image:latest$/)
  assert.match((await next('failed')).detail, /^image localhost:9\/no-such-image:latest cannot be pulled: .+/)
  driver.start(container({ command: ['no-such-program'] }, 1))
  assert.match((await next('failed')).detail, /no-such-program/)
  assert.deepEqual(await driver.list(), [])
})

test('the log of a container is followed over its restart, without a line twice, until it is removed', async (t) => {
  const { driver, next } = await bench(t)
  const launch = container(shell('echo one; echo two >&2; sleep 0.3; echo three'))
  driver.start(launch)
  await next('running')
  const following = collect(driver.logs(launch.key, { follow: true, tail: null, sinceMs: null, signal: now() }))
  await next('exited')
  driver.start(launch)
  await next('running')
  await next('exited')
  assert.equal(
    await collect(driver.logs(launch.key, { follow: false, tail: 1, sinceMs: null, signal: now() })),
    'three\n',
  )
  driver.stop(launch.key, 0)
  await next('exited')
  assert.deepEqual((await following).trim().split('\n').sort(), ['one', 'one', 'three', 'three', 'two', 'two'])
})

test('the log of a container is read as far back as asked', async (t) => {
  const { driver, next } = await bench(t)
  const launch = container({ ...shell('echo old; sleep 8; echo new; sleep 60'), stopGraceMs: 0 })
  driver.start(launch)
  await next('running')
  await awaitOutput(driver, launch.key, 'new\n')
  const since = (sinceMs: number) =>
    collect(driver.logs(launch.key, { follow: false, tail: null, sinceMs, signal: now() }))
  assert.deepEqual([await since(7_000), await since(600_000)], ['new\n', 'old\nnew\n'])
})

test('a health check sees through the proxy whether the container answers', async (t) => {
  const { driver, next } = await bench(t)
  const healthcheck = {
    kind: 'tcp',
    port: 80,
    path: '/',
    intervalMs: 100,
    timeoutMs: 400,
    retries: 2,
    command: [],
    startPeriodMs: 0,
  } as const
  const script = 'httpd -f -p 8080 -h /tmp & pid=$!; sleep 1; kill $pid; sleep 60'
  driver.start(container({ ...shell(script), ports: [HTTP_PORT], healthcheck }))
  await next('running')
  const { healthy, detail } = await next('health')
  assert.equal(healthy, false)
  assert.match(detail, /^failed 2 health checks in a row: port 80 took no connection/)
})

test('a node without an engine is told so in a sentence', async (t) => {
  const { next, onEvent } = createListener()
  const driver = createDockerRuntime({
    dataDir: '',
    nodeId: 'x',
    onEvent,
    onWarning: () => undefined,
    socketPath: '/nowhere/docker.sock',
  })
  t.after(() => driver.close())
  const { available, detail } = await driver.probe(now())
  assert.equal(available, false)
  assert.equal(detail, 'no Docker engine answers at /nowhere/docker.sock: is it installed and started?')
  driver.start(container({}))
  assert.equal((await next('failed')).detail, detail)
})

test('limits of a running container are changed and put back, and a start has those that were declared', async (t) => {
  const { driver, next, nodeId, warnings } = await bench(t)
  const launch = container({ ...server, memoryMb: 64, vcpus: 0.5 })
  const limits = async (): Promise<string> => {
    const { HostConfig } = await new Docker().getContainer(containerName(nodeId, launch.key)).inspect()
    return `${(HostConfig.NanoCpus ?? 0) / 1e9} ${HostConfig.Memory === 64_000_000 ? 'declared' : 'held'}`
  }
  const until = async (wanted: string): Promise<void> => {
    while ((await limits()) !== wanted) await new Promise((resolve) => setTimeout(resolve, 20))
  }
  driver.start(launch)
  await next('running')
  assert.equal(await limits(), '0.5 declared')
  driver.limit(launch.key, { vcpus: 0.25, memoryMb: 64, holdMemory: true })
  await until('0.25 held')
  driver.limit(launch.key, { vcpus: 0.5, memoryMb: 64, holdMemory: false })
  await until('0.5 declared')
  driver.limit(launch.key, { vcpus: 0.25, memoryMb: 64, holdMemory: true })
  await until('0.25 held')
  await new Docker().getContainer(containerName(nodeId, launch.key)).kill()
  await next('exited')
  driver.start(launch)
  await next('running')
  assert.equal(await limits(), '0.5 declared')
  assert.deepEqual(warnings, [])
})
