// Programs beside real processes, and the checks that are such programs.

import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'
import { launchOf } from '../launch-fixture.ts'
import type { ExecRequest, ExecSession, Launch, RuntimeDriver } from '../runtime.ts'
import { awaitOutput } from './driver-bench.ts'
import { instanceFolder } from './instance-folder.ts'
import { bench, shell } from './process-bench.ts'

const saidBy = async (session: ExecSession): Promise<{ out: string; err: string }> => {
  const said = { out: '', err: '' }
  for await (const { stream, bytes } of session.output) said[stream] += Buffer.from(bytes).toString('utf8')
  return said
}

async function execOf(driver: RuntimeDriver, key: Launch['key'], parts: Partial<ExecRequest>): Promise<ExecSession> {
  const started = await driver.exec(key, { command: ['true'], terminal: null, input: false, ...parts })
  assert.ok(started.ok, started.ok ? '' : started.error)
  return started.value
}

test('a program beside an instance has its folder and environment, and its exit code is passed on', async (t) => {
  const { driver, next, dataDir } = await bench(t)
  const launch = launchOf({ command: ['sleep', '60'], environment: { GREETING: 'good day' }, workingFolder: 'inner' })
  driver.start(launch)
  await next('running')
  const session = await execOf(driver, launch.key, {
    command: ['sh', '-c', 'read line; echo "$line, $GREETING from $(pwd)"; echo no >&2; exit 7'],
    input: true,
  })
  await session.write(Buffer.from('hello\n'))
  session.end()
  const folder = join(instanceFolder(dataDir, launch.key), 'work', 'inner')
  assert.deepEqual(await saidBy(session), { out: `hello, good day from ${folder}\n`, err: 'no\n' })
  assert.equal(await session.exit, 7)
})

test('a program beside an instance gets a terminal, hears of its size, and of Ctrl-C', async (t) => {
  const { driver, next } = await bench(t)
  const launch = launchOf({ command: ['sleep', '60'] })
  driver.start(launch)
  await next('running')
  const script = `trap 'stty size; echo resized' WINCH; trap 'echo interrupted; exit 9' INT
    stty -echo; stty size; [ -t 0 ] && echo terminal; while :; do sleep 0.05; done`
  const session = await execOf(driver, launch.key, {
    command: ['sh', '-c', script],
    terminal: { columns: 91, rows: 31 },
    input: true,
  })
  let said = ''
  for await (const { bytes } of session.output) {
    const before = said
    said += Buffer.from(bytes).toString('utf8')
    const comes = (text: string): boolean => said.includes(text) && !before.includes(text)
    if (comes('terminal')) session.resize({ columns: 101, rows: 41 })
    if (comes('resized')) await session.write(Buffer.from([3]))
  }
  assert.deepEqual(said.replaceAll('^C', '').trim().split(/\r?\n/), [
    '31 91',
    'terminal',
    '41 101',
    'resized',
    'interrupted',
  ])
  assert.equal(await session.exit, 9)
})

test('a program beside an instance ends when its caller goes, and when the instance does', async (t) => {
  const { driver, next } = await bench(t)
  const launch = launchOf({ command: ['sleep', '60'], stopGraceMs: 0 })
  driver.start(launch)
  await next('running')
  const left = await execOf(driver, launch.key, { command: ['sleep', '61'] })
  left.close()
  assert.equal(await left.exit, 129)
  const other = await execOf(driver, launch.key, { command: ['sleep', '62'] })
  driver.stop(launch.key, 0)
  await next('exited')
  assert.ok([129, 137].includes((await other.exit) ?? 0))
})

test('a program that is not there, or beside an instance that does not run, is refused in words', async (t) => {
  const { driver, next } = await bench(t)
  const launch = launchOf({ command: ['sleep', '60'] })
  const ask = async (command: string[]): Promise<string> => {
    const started = await driver.exec(launch.key, { command, terminal: null, input: false })
    return started.ok ? 'started' : started.error
  }
  assert.match(await ask(['true']), /does not run on this device/)
  driver.start(launch)
  await next('running')
  assert.match(await ask(['no-such-program']), /there is no program "no-such-program"/)
})

test('the entry point stands before the command, and another user is refused', async (t) => {
  const { driver, next } = await bench(t)
  const launch = launchOf({ entrypoint: ['sh', '-c'], command: ['echo from the entry point; sleep 60'] })
  driver.start(launch)
  await next('running')
  assert.equal(await awaitOutput(driver, launch.key), 'from the entry point\n')
  driver.start(launchOf({ command: ['true'], user: 'somebody-else' }, 1))
  assert.match((await next('failed')).detail, /runs as the user of the node .* and not as "somebody-else"/)
})

test('a command that checks the health runs in the folder of the instance', async (t) => {
  const { driver, next } = await bench(t)
  const healthcheck = {
    kind: 'command',
    port: 0,
    path: '',
    command: ['sh', '-c', '[ -e well ] || { echo not well; exit 4; }'],
    intervalMs: 100,
    timeoutMs: 2_000,
    retries: 2,
    startPeriodMs: 0,
  } as const
  const launch = launchOf({ ...shell('sleep 60'), healthcheck })
  driver.start(launch)
  await next('running')
  const { detail } = await next('health')
  assert.equal(detail, 'failed 2 health checks in a row: its check "sh" ended with exit code 4; last output: not well')
  await (await execOf(driver, launch.key, { command: ['touch', 'well'] })).exit
  assert.equal((await next('health')).healthy, true)
})
