// Containers that try to have more than they were given, and that look for what they were promised, with a real engine:
//   testnet/lab/with-docker.sh node --test placement/io/docker-limits.live.test.ts

import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import Docker from 'dockerode'
import { networkName } from '../docker-options.ts'
import { containerName } from '../instance-name.ts'
import { bench, container, HTTP_PORT, IMAGE, shell } from './docker-bench.ts'
import { awaitOutput, collect } from './driver-bench.ts'
import { serveFiles } from './file-server.ts'

const NANOSECONDS_PER_MS = 1_000_000

test('a fork bomb is stopped at the process limit', async (t) => {
  const { driver, next } = await bench(t)
  const launch = container({ ...shell('n=0; while n=$((n+1)); do echo $n; sleep 60 & done'), pidsMax: 20 })
  driver.start(launch)
  assert.equal((await next('exited')).code, 2)
  const log = await collect(driver.logs(launch.key, { follow: false, tail: null, sinceMs: null, signal: t.signal }))
  assert.match(log, /can't fork: Resource temporarily unavailable/)
  // The shell is one of the twenty; the number before the start that failed was written all the same.
  assert.deepEqual(log.match(/^\d+$/gm)?.map(Number).at(-1), 20)
})

test('a container that wants all of a cpu gets its share of each period, by the kernel’s own count', async (t) => {
  const { driver, next, nodeId } = await bench(t)
  const launch = container({ ...shell('while :; do :; done'), vcpus: 0.2, stopGraceMs: 0 })
  driver.start(launch)
  await next('running')
  const docker = new Docker()
  const found = docker.getContainer(containerName(nodeId, launch.key))
  const periodsWanted = 10
  for await (const piece of await found.stats({ stream: true })) {
    const { cpu_stats: cpu } = JSON.parse(String(piece)) as Docker.ContainerStats
    const { periods } = cpu.throttling_data
    if (periods < periodsWanted) continue
    // A fifth of each 100 ms; the kernel hands out slices of 5 ms to each cpu, and may be one period ahead.
    const usedMs = cpu.cpu_usage.total_usage / NANOSECONDS_PER_MS
    const allowedMs = (periods + 1) * 20 + 5 * cpu.online_cpus
    assert.ok(usedMs <= allowedMs * 1.1, `${usedMs} ms used in ${periods} periods, allowed ${allowedMs}`)
    break
  }
  driver.stop(launch.key, 0)
  await next('exited')
})

test('entry point, environment, user and working folder are those of the spec', async (t) => {
  const { driver, next } = await bench(t)
  const launch = container({
    entrypoint: ['sh', '-c'],
    command: ['echo "$GREETING from $(pwd) as $(busybox id -u)"; sleep 60'],
    environment: { GREETING: 'good day' },
    user: '1234:1234',
    workingFolder: '/tmp',
    stopGraceMs: 0,
  })
  driver.start(launch)
  await next('running')
  assert.equal(await awaitOutput(driver, launch.key), 'good day from /tmp as 1234\n')
})

test('folders of the device, named volumes and device files are there', async (t) => {
  const { driver, next } = await bench(t)
  const folder = await mkdtemp(join(tmpdir(), 'coppice-'))
  t.after(() => rm(folder, { recursive: true }))
  await writeFile(join(folder, 'in'), 'from outside\n')
  const volume = `coppice-test-${process.pid}`
  t.after(() => new Docker().getVolume(volume).remove())
  const volumes = [`${folder}:/shared`, `${volume}:/kept`]
  const devices = ['/dev/zero:/dev/nought:r']
  const write = 'cat /shared/in; cp /shared/in /shared/out; cp /shared/in /kept/note; [ -c /dev/nought ] && echo device'
  const first = container({ ...shell(`${write}; sleep 60`), volumes, devices, stopGraceMs: 0 })
  driver.start(first)
  await next('running')
  assert.equal(await awaitOutput(driver, first.key, 'device\n'), 'from outside\ndevice\n')
  assert.equal(await readFile(join(folder, 'out'), 'utf8'), 'from outside\n')
  driver.stop(first.key, 0)
  await next('exited')
  // A named volume outlives its container.
  const second = container({ ...shell('cat /kept/note; sleep 60'), volumes, stopGraceMs: 0 }, 1)
  driver.start(second)
  await next('running')
  assert.equal(await awaitOutput(driver, second.key), 'from outside\n')
  driver.stop(second.key, 0)
  await next('exited')
})

test('added files stand in the container before its start, also in folders that its image does not have', async (t) => {
  const base = await serveFiles(t, { '/note': 'good day\n' })
  const { driver, next } = await bench(t)
  const addedFiles = [{ url: `${base}/note`, path: '/new/folder/note' }]
  const launch = container({ ...shell('cat /new/folder/note; sleep 60'), addedFiles, stopGraceMs: 0 })
  driver.start(launch)
  await next('running')
  assert.equal(await awaitOutput(driver, launch.key), 'good day\n')
  driver.start(container({ ...shell('true'), addedFiles: [{ url: `${base}/none`, path: '/a' }] }, 1))
  assert.match((await next('failed')).detail, /the server answered 404/)
})

test('a graphics card that this device does not have is a reason in words', async (t) => {
  const { driver, next } = await bench(t)
  driver.start(container({ ...shell('sleep 60'), vgpus: 1 }))
  assert.match((await next('failed')).detail, /capabilities: \[\[gpu\]\]/)
  assert.deepEqual(await driver.list(), [])
})

test('the containers of a node share a network of its own, on which they find each other by name', async (t) => {
  const { driver, next, nodeId } = await bench(t)
  const listener = container({
    ...shell('echo good day > /tmp/index.html; exec httpd -f -p 8080 -h /tmp'),
    stopGraceMs: 0,
  })
  driver.start(listener)
  await next('running')
  const url = `http://${containerName(nodeId, listener.key)}:8080/`
  const caller = container({ ...shell(`until wget -q -O - ${url}; do sleep 0.1; done; sleep 60`), stopGraceMs: 0 }, 1)
  driver.start(caller)
  await next('running')
  assert.equal(await awaitOutput(driver, caller.key), 'good day\n')
  const network = await new Docker().getNetwork(networkName(nodeId)).inspect()
  assert.equal(network.Labels?.['coppice.node'], nodeId)
})

test('a network of somebody else with our name is not taken', async (t) => {
  const { driver, next, nodeId } = await bench(t)
  const docker = new Docker()
  const stranger = await docker.createNetwork({ Name: networkName(nodeId) })
  // The bench may have removed it before, by its name.
  t.after(() => stranger.remove().catch(() => undefined))
  driver.start(container(shell('sleep 60')))
  assert.match((await next('failed')).detail, /exists that is not ours/)
  assert.equal(
    (await docker.listContainers({ all: true, filters: { ancestor: [IMAGE] } })).some(
      ({ Labels }) => Labels['coppice.node'] === nodeId,
    ),
    false,
  )
})

/** Long enough for twenty checks of 300 ms, of which an engine that is busy may be ending some. */
const LOOKS_MS = 6_000
const LEFT_MAX = 10

const check = (parts: object) =>
  ({
    kind: 'command',
    port: 0,
    path: '',
    command: [],
    intervalMs: 100,
    timeoutMs: 60_000,
    retries: 2,
    startPeriodMs: 0,
    ...parts,
  }) as const

test('a command checks the health from inside, and its last words are the reason', async (t) => {
  const { driver, next } = await bench(t)
  const healthcheck = check({ command: ['sh', '-c', '[ -e /tmp/well ] || { echo not well; exit 4; }'] })
  const launch = container({ ...shell('sleep 60'), healthcheck, stopGraceMs: 0 })
  driver.start(launch)
  await next('running')
  const ill = await next('health')
  assert.equal(ill.healthy, false)
  assert.match(
    ill.detail,
    /^failed 2 health checks in a row: its check "sh" ended with exit code 4; last output: not well$/,
  )
  const cured = await driver.exec(launch.key, {
    command: ['sh', '-c', 'echo > /tmp/well'],
    terminal: null,
    input: false,
  })
  assert.ok(cured.ok)
  assert.equal((await next('health')).healthy, true)
})

test('a check that hangs is ended in time, and leaves nothing behind', async (t) => {
  const { driver, next, nodeId } = await bench(t)
  const healthcheck = check({ command: ['sleep', '4242'], timeoutMs: 200, retries: 1 })
  const launch = container({ ...shell('sleep 60'), healthcheck, stopGraceMs: 0 })
  driver.start(launch)
  await next('running')
  assert.match((await next('health')).detail, /its check "sleep" did not end within 200 ms$/)
  const found = new Docker().getContainer(containerName(nodeId, launch.key))
  const left = async (): Promise<number> =>
    (await found.top()).Processes.filter((row: string[]) => row.at(-1)?.includes('4242')).length
  const seen: number[] = []
  for (const began = performance.now(); performance.now() - began < LOOKS_MS; ) seen.push(await left())
  // Each check hangs: there are the one that is running and those that are being ended, and never all that there were.
  assert.ok(Math.max(...seen) >= 1 && Math.max(...seen) <= LEFT_MAX, seen.join())
  driver.stop(launch.key, 0)
  await next('exited')
})

test('failures in the start period are forgiven', async (t) => {
  const { driver, next, events } = await bench(t)
  const script = 'sleep 1; echo > /tmp/index.html; httpd -f -p 8081 -h /tmp & sleep 10; kill $!; sleep 60'
  const healthcheck = check({ kind: 'http', port: 80, path: '/', startPeriodMs: 60_000, retries: 1 })
  const launch = container({ ...shell(script), healthcheck: { ...healthcheck, port: 8081 }, stopGraceMs: 0 })
  driver.start(launch)
  await next('running')
  // The first success ended the start period, so the end of the server counts at once.
  const { detail } = await next('health')
  assert.match(detail, /^failed 1 health checks in a row: GET \/ on port 8081/)
  assert.equal(events.filter(({ kind }) => kind === 'health').length, 1)
  assert.equal(HTTP_PORT.declared, 80)
})
