// The process driver with real processes of this device.

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { execPath } from 'node:process'
import { test } from 'node:test'
import { launchOf } from '../launch-fixture.ts'
import type { Launch } from '../runtime.ts'
import { awaitOutput, collect } from './driver-bench.ts'
import { bench, shell } from './process-bench.ts'
import { isGroupRunning, isSameProcess, readBootId, readProcess } from './process-table.ts'

const HTTP_PORT = { declared: 80, internal: 80, protocol: 'tcp' } as const
const SERVER = `
  const { createServer } = require('node:http')
  createServer((_, answer) => answer.end(process.env.GREETING)).listen(process.env.PORT_80)`
const server: Partial<Launch['spec']> = {
  command: [execPath, '-e', SERVER],
  environment: { GREETING: 'good day' },
  ports: [HTTP_PORT],
}

test('a server runs, answers at its endpoint, and is stopped and forgotten', async (t) => {
  const { driver, next } = await bench(t)
  const launch = launchOf(server)
  driver.start(launch)
  const running = await next('running')
  assert.equal(running.adopted, false)
  const port = running.endpoint.ports[0]
  assert.deepEqual(port, { declared: 80, actual: port?.actual, protocol: 'tcp' })
  assert.equal(await (await fetch(`http://127.0.0.1:${port?.actual}/`)).text(), 'good day')
  assert.deepEqual(await driver.list(), [{ key: launch.key, specId: 'a1', running: true }])
  driver.stop(launch.key, 1_000)
  const { cpuSeconds = 0, ...exited } = await next('exited')
  assert.deepEqual(exited, { kind: 'exited', key: launch.key, code: null, detail: 'stopped (SIGTERM)' })
  assert.ok(cpuSeconds > 0, 'what it took of the processor is known also where it was told to end')
  assert.deepEqual(await driver.list(), [])
})

test('an instance that ends by itself tells its exit code and its last words', async (t) => {
  const { driver, next } = await bench(t)
  driver.start(launchOf(shell('echo no config; exit 3')))
  await next('running')
  const { code, detail } = await next('exited')
  assert.equal(code, 3)
  assert.equal(detail, 'ended by itself (exit code 3); last output: no config')
})

test('an instance that is started again as soon as it ended runs again, and the log goes on', async (t) => {
  const { driver, next } = await bench(t)
  const launch = launchOf(shell('echo run; exit 1'))
  driver.start(launch)
  await next('exited')
  driver.start(launch)
  await next('exited')
  const { signal } = new AbortController()
  assert.equal(
    await collect(driver.logs(launch.key, { follow: false, tail: null, sinceMs: null, signal })),
    'run\nrun\n',
  )
})

test('a signal that ends an instance is told by name', async (t) => {
  const { driver, next } = await bench(t)
  driver.start(launchOf(shell('kill -SEGV $$')))
  const { code, detail } = await next('exited')
  assert.equal(code, null)
  assert.match(detail, /SIGSEGV/)
})

test('an instance sees its identity, its ports and its own settings, and nothing else of the node', async (t) => {
  process.env.COPPICE_SECRET_OF_THE_NODE = 'x'
  t.after(() => delete process.env.COPPICE_SECRET_OF_THE_NODE)
  const { driver, next } = await bench(t)
  const launch = launchOf(
    { command: ['env'], environment: { COLOR: 'green' }, ports: [{ ...HTTP_PORT, protocol: 'udp' }] },
    4,
  )
  driver.start(launch)
  await next('exited')
  const text = await collect(
    driver.logs(launch.key, { follow: false, tail: null, sinceMs: null, signal: new AbortController().signal }),
  )
  const names = text
    .split('\n')
    .filter(Boolean)
    .map((line) => line.split('=')[0])
  const shellsOwn = ['PWD', 'OLDPWD', 'SHLVL', '_']
  const expected = [
    'COLOR',
    'COPPICE_INSTANCE',
    'COPPICE_NODE',
    'COPPICE_SERVICE',
    'HOME',
    'LANG',
    'PATH',
    'PORT',
    'PORT_80',
  ]
  const present = expected.filter((name) => !['HOME', 'LANG'].includes(name) || process.env[name] !== undefined)
  assert.deepEqual(names.filter((name) => !shellsOwn.includes(name ?? '')).sort(), present)
  assert.match(text, /^COPPICE_INSTANCE=4$/m)
  assert.match(text, /^COLOR=green$/m)
})

test('what an instance started is stopped with it, by SIGKILL when it does not listen', async (t) => {
  const { driver, next, dataDir } = await bench(t)
  const launch = launchOf(shell(`trap '' TERM; sleep 60 & echo $! > child; echo ready; wait`))
  driver.start(launch)
  await next('running')
  await awaitOutput(driver, launch.key)
  const child = Number(await readFile(join(dataDir, 'instances/shop.test.web.test-0/work/child'), 'utf8'))
  assert.notEqual(await readProcess(child), null)
  driver.stop(launch.key, 50)
  assert.equal((await next('exited')).detail, 'stopped by SIGKILL: it had not ended 50 ms after SIGTERM')
  assert.equal(await readProcess(child), null)
})

test('what an instance left behind when it ended goes with it', async (t) => {
  const { driver, next, dataDir } = await bench(t)
  driver.start(launchOf(shell('sleep 60 & echo $! > child')))
  assert.equal((await next('exited')).code, 0)
  const child = Number(await readFile(join(dataDir, 'instances/shop.test.web.test-0/work/child'), 'utf8'))
  assert.equal(await readProcess(child), null)
})

test('a driver that comes back adopts what runs and still learns the exit code', async (t) => {
  const first = await bench(t)
  const launch = launchOf(server)
  first.driver.start(launch)
  const before = await first.next('running')
  await first.driver.close()
  const second = await bench(t, { dataDir: first.dataDir })
  assert.deepEqual(await second.driver.list(), [{ key: launch.key, specId: 'a1', running: true }])
  second.driver.start(launch)
  const after = await second.next('running')
  assert.equal(after.adopted, true)
  assert.deepEqual(after.endpoint, before.endpoint)
  second.driver.stop(launch.key, 1_000)
  assert.equal((await second.next('exited')).detail, 'stopped (SIGTERM)')
  assert.deepEqual(
    first.events.map(({ kind }) => kind),
    ['running'],
  )
})

test('the exit code of an adopted instance that ends by itself is known', async (t) => {
  const first = await bench(t)
  const launch = launchOf(shell('echo up; while ! [ -e end ]; do sleep 0.05; done; exit 7'))
  first.driver.start(launch)
  await first.next('running')
  await first.driver.close()
  const second = await bench(t, { dataDir: first.dataDir })
  second.driver.start(launch)
  assert.equal((await second.next('running')).adopted, true)
  await writeFile(join(first.dataDir, 'instances/shop.test.web.test-0/work/end'), '')
  assert.equal((await second.next('exited')).code, 7)
})

test('an instance with another spec takes the place of the one that runs', async (t) => {
  const { driver, next, events } = await bench(t)
  driver.start(launchOf(shell('sleep 60'), 0, 'a1'))
  await next('running')
  driver.start(launchOf(shell('sleep 61'), 0, 'b2'))
  assert.equal((await next('running')).specId, 'b2')
  assert.deepEqual(
    events.map(({ kind }) => kind),
    ['running', 'running'],
  )
  assert.deepEqual(await driver.list(), [{ key: launchOf({}).key, specId: 'b2', running: true }])
})

test('an instance that never answers on its port fails with the reason and is gone', async (t) => {
  const { driver, next } = await bench(t, { startDeadlineMs: 2_000 })
  const launch = launchOf({ ...shell('echo waiting for the database; exec sleep 60'), ports: [HTTP_PORT] })
  driver.start(launch)
  const { detail } = await next('failed')
  assert.match(
    detail,
    /^nothing answered on port \d+ \(PORT, declared 80\) within 2 s; last output: waiting for the database$/,
  )
  assert.deepEqual(await driver.list(), [{ key: launch.key, specId: 'a1', running: false }])
})

test('what cannot be started fails with a sentence that says why', async (t) => {
  const { driver, next } = await bench(t)
  driver.start(launchOf({ command: ['no-such-program'] }))
  assert.match((await next('failed')).detail, /there is no program "no-such-program" on this device/)
  driver.start(launchOf({ command: ['sh'], code: '/no/such/folder' }))
  assert.match((await next('failed')).detail, /there is no folder \/no\/such\/folder/)
  driver.start(launchOf({}))
  assert.match((await next('failed')).detail, /needs a command/)
})

test('stopping what does not run still ends in exited', async (t) => {
  const { driver, next } = await bench(t)
  driver.stop(launchOf({}).key, 1_000)
  assert.equal((await next('exited')).detail, 'it was not running')
})

test('a process that got the number of a dead instance is neither adopted nor harmed', async (t) => {
  const stranger = spawn('sleep', ['60'], { detached: true })
  await once(stranger, 'spawn')
  t.after(() => stranger.kill())
  const pid = stranger.pid ?? 0
  const { driver, next, dataDir } = await bench(t)
  const launch = launchOf(shell('sleep 60'))
  const folder = join(dataDir, 'instances/shop.test.web.test-0')
  await mkdir(folder, { recursive: true })
  const note = { key: launch.key, specId: 'a1', bootId: await readBootId(), endpoint: { host: '127.0.0.1', ports: [] } }
  await writeFile(join(folder, 'launch.json'), JSON.stringify({ ...note, limits: { memoryMb: 0, vcpus: 0 } }))
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8')
  const ticks = (await readProcess(pid))?.startTicks ?? 0
  await writeFile(join(folder, 'process'), stat.replace(` ${ticks} `, ` ${ticks - 1} `))
  assert.deepEqual(await driver.list(), [{ key: launch.key, specId: 'a1', running: false }])
  driver.start(launch)
  assert.equal((await next('running')).adopted, false)
  driver.stop(launch.key, 1_000)
  await next('exited')
  assert.equal(await isSameProcess(pid, ticks), true)
  assert.equal(await isGroupRunning(pid), true)
})

test('the log is read from its end and followed as it grows', async (t) => {
  const { driver, next, dataDir } = await bench(t)
  const launch = launchOf(
    shell('for i in 1 2 3; do echo line $i; done; while ! [ -e more ]; do sleep 0.02; done; echo line 4; sleep 60'),
  )
  driver.start(launch)
  await next('running')
  await awaitOutput(driver, launch.key, 'line 3\n')
  const { signal } = new AbortController()
  assert.equal(
    await collect(driver.logs(launch.key, { follow: false, tail: 2, sinceMs: null, signal })),
    'line 2\nline 3\n',
  )
  assert.equal(await collect(driver.logs(launch.key, { follow: false, tail: 0, sinceMs: null, signal })), '')
  assert.equal(
    await collect(driver.logs(launch.key, { follow: false, tail: 99, sinceMs: null, signal })),
    'line 1\nline 2\nline 3\n',
  )
  await writeFile(join(dataDir, 'instances/shop.test.web.test-0/work/more'), '')
  assert.equal(await awaitOutput(driver, launch.key, 'line 4\n'), 'line 1\nline 2\nline 3\nline 4\n')
  const rest = collect(driver.logs(launch.key, { follow: true, tail: 1, sinceMs: null, signal }))
  driver.stop(launch.key, 1_000)
  assert.equal(await rest, 'line 4\n')
})

test('a health check that fails and then succeeds is told both times', async (t) => {
  const { driver, next, dataDir } = await bench(t)
  const sick = `
    const { existsSync } = require('node:fs')
    const { createServer } = require('node:http')
    createServer((_, answer) => answer.writeHead(existsSync('sick') ? 503 : 200).end()).listen(process.env.PORT)`
  const healthcheck = {
    kind: 'http',
    port: 80,
    path: '/health',
    intervalMs: 20,
    timeoutMs: 20_000,
    retries: 2,
    command: [],
    startPeriodMs: 0,
  } as const
  driver.start(launchOf({ ...server, command: [execPath, '-e', sick], healthcheck }))
  await next('running')
  const marker = join(dataDir, 'instances/shop.test.web.test-0/work/sick')
  await writeFile(marker, '')
  const bad = await next('health')
  assert.equal(bad.healthy, false)
  assert.equal(bad.detail, 'failed 2 health checks in a row: GET /health on port 80 answered 503')
  await rm(marker)
  assert.equal((await next('health')).healthy, true)
})

test('the driver says what it can enforce', async (t) => {
  const { driver } = await bench(t)
  const { available, detail } = await driver.probe(new AbortController().signal)
  assert.equal(available, true)
  assert.match(detail, /^linux .*limits/)
})

test('a process finds its secrets in files of its own and in variables, and they go with it', async (t) => {
  const values = new Map([
    ['db', Buffer.from('pass')],
    ['api', Buffer.from('word')],
  ])
  const secrets = { of: async () => values }
  const { driver, next, dataDir } = await bench(t, { secrets })
  const uses = [
    { name: 'db', environment: null },
    { name: 'api', environment: 'API' },
  ]
  const script = 'echo "$(cat "$COPPICE_SECRETS/db") $API"; sleep 60'
  const launch = launchOf({ ...shell(script), secrets: uses })
  driver.start(launch)
  await next('running')
  await awaitOutput(driver, launch.key, 'pass word\n')
  const folder = join(dataDir, 'secrets')
  assert.equal((await stat(folder)).mode & 0o777, 0o700)
  assert.equal((await readdir(folder)).length, 1)
  driver.stop(launch.key, 0)
  await next('exited')
  assert.deepEqual(await readdir(folder), [])
  values.delete('api')
  driver.start(launch)
  assert.match((await next('failed')).detail, /no device of its operator .* has the secret api/)
})
