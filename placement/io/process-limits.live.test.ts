// Limits of processes, enforced by the kernel. Needs control groups that this user may write, as root can:
//   node --test placement/io/process-limits.live.test.ts

import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { availableParallelism, tmpdir } from 'node:os'
import { join } from 'node:path'
import { execPath } from 'node:process'
import { type TestContext, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'

import { launchOf } from '../launch-fixture.ts'
import type { RuntimeDriver } from '../runtime.ts'
import { findCgroups } from './cgroups.ts'
import { awaitOutput, collect, createListener, type Listener } from './driver-bench.ts'
import { createProcessRuntime } from './process-runtime.ts'
import { groupsOf } from './process-start.ts'

const NODE_ID = 'node-with-limits'

async function bench(
  t: TestContext,
): Promise<Listener & { readonly driver: RuntimeDriver; readonly warnings: string[] }> {
  const dataDir = await mkdtemp(join(tmpdir(), 'coppice-'))
  const listener = createListener()
  const warnings: string[] = []
  const onWarning = (text: string): void => void warnings.push(text)
  const driver = createProcessRuntime({ dataDir, nodeId: NODE_ID, onEvent: listener.onEvent, onWarning })
  t.after(async () => {
    for (const { key } of await driver.list()) {
      driver.stop(key, 0)
      await listener.next('exited')
    }
    await driver.close()
    await rm(dataDir, { recursive: true })
  })
  return { ...listener, driver, warnings }
}

test('a process that uses more memory than its limit is ended, and told why', async (t) => {
  const { driver, next, warnings } = await bench(t)
  const hog = 'const kept = []; for (;;) kept.push(Buffer.alloc(10_000_000, 1))'
  const launch = launchOf({ command: [execPath, '-e', hog], memoryMb: 150 })
  driver.start(launch)
  assert.equal((await next('exited')).detail, 'ended by the kernel: it used more than its 150 MB of memory')
  assert.deepEqual(warnings, [])
})

test('the cpu limit is set for the whole instance, and its groups go with it', async (t) => {
  const { driver, next } = await bench(t)
  const launch = launchOf({ command: ['sh', '-c', 'echo up; exec sleep 60'], vcpus: 0.5 }, 1)
  const { folders, writes } = groupsOf(launch.key, launch.spec, { cgroups: await findCgroups(), nodeId: NODE_ID })
  assert.equal(folders.length, 1)
  driver.start(launch)
  await next('running')
  await awaitOutput(driver, launch.key)
  for (const { file, text } of writes) assert.equal((await readFile(file, 'utf8')).trim(), text)
  const members = await readFile(`${folders[0]}/cgroup.procs`, 'utf8')
  assert.equal(members.trim().split('\n').length, 2, 'the watcher and the command')
  driver.stop(launch.key, 1_000)
  await next('exited')
  await assert.rejects(readFile(`${folders[0]}/cgroup.procs`), { code: 'ENOENT' })
})

test('a fork bomb is stopped at the process limit', async (t) => {
  const { driver, next } = await bench(t)
  const bomb = 'n=0; while n=$((n+1)); do echo $n; sleep 60 & done'
  const launch = launchOf({ command: ['sh', '-c', bomb], pidsMax: 20 }, 2)
  driver.start(launch)
  assert.equal((await next('exited')).code, 2)
  const log = await collect(driver.logs(launch.key, { follow: false, tail: null, sinceMs: null, signal: t.signal }))
  assert.match(log, /[Cc]annot fork/)
  // The shell is one of the twenty; the number before the start that failed was written all the same.
  assert.equal(log.match(/^\d+$/gm)?.map(Number).at(-1), 20)
})

test('a process that wants all of a cpu gets its share, by the kernel’s own count', async (t) => {
  const { driver, next } = await bench(t)
  const launch = launchOf({ command: ['sh', '-c', 'while :; do :; done'], vcpus: 0.2, stopGraceMs: 0 }, 3)
  const { folders } = groupsOf(launch.key, launch.spec, { cgroups: await findCgroups(), nodeId: NODE_ID })
  driver.start(launch)
  await next('running')
  const field = (text: string, name: string): number => Number(new RegExp(`^${name} (\\d+)$`, 'm').exec(text)?.[1] ?? 0)
  const members = (await readFile(`${folders[0]}/cgroup.procs`, 'utf8')).trim().split('\n')
  let stat = ''
  while (field(stat, 'nr_periods') < 10) stat = await readFile(`${folders[0]}/cpu.stat`, 'utf8')
  let usedTicks = 0
  for (const pid of members) {
    // Fields 14 and 15, counted from 1: ticks of 10 ms in the program and in the kernel for it (proc(5)).
    const text = await readFile(`/proc/${pid}/stat`, 'utf8')
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
    usedTicks += Number(fields[11]) + Number(fields[12])
  }
  stat = await readFile(`${folders[0]}/cpu.stat`, 'utf8')
  // A fifth of each 100 ms, one period more that has begun, and slices of 5 ms that the kernel lends to each cpu.
  const allowedMs = (field(stat, 'nr_periods') + 1) * 20 + 5 * availableParallelism()
  assert.ok(usedTicks * 10 <= allowedMs * 1.1, `${usedTicks * 10} ms used, allowed ${allowedMs}; ${stat}`)
})

test('a program beside a process is under the same limits', async (t) => {
  const { driver, next } = await bench(t)
  const launch = launchOf({ command: ['sleep', '60'], memoryMb: 150, stopGraceMs: 0 }, 4)
  driver.start(launch)
  await next('running')
  const hog = 'const kept = []; for (;;) kept.push(Buffer.alloc(10_000_000, 1))'
  const started = await driver.exec(launch.key, { command: [execPath, '-e', hog], terminal: null, input: false })
  assert.ok(started.ok)
  // 128 and SIGKILL.
  assert.equal(await started.value.exit, 137)
})

test('limits of a process that runs are changed and put back, and its memory is held near what it uses', async (t) => {
  const { driver, next, warnings } = await bench(t)
  const launch = launchOf({ command: ['sh', '-c', 'echo up; exec sleep 60'], vcpus: 0.5, memoryMb: 200 }, 3)
  const context = { cgroups: await findCgroups(), nodeId: NODE_ID }
  const { writes } = groupsOf(launch.key, launch.spec, context)
  const read = (): Promise<string[]> =>
    Promise.all(writes.map(async ({ file }) => (await readFile(file, 'utf8')).trim()))
  const untilRead = async (isSo: (texts: readonly string[]) => boolean): Promise<void> => {
    while (!isSo(await read())) await delay(5)
  }
  driver.start(launch)
  await next('running')
  await awaitOutput(driver, launch.key)
  const declared = await read()
  driver.limit(launch.key, { vcpus: 0.25, memoryMb: 200, holdMemory: true })
  const { writes: halved } = groupsOf(launch.key, { ...launch.spec, vcpus: 0.25 }, context)
  const cpu = halved.findIndex(({ file }) => /cfs_quota_us$|cpu\.max$/.test(file))
  const memory = halved.findIndex(({ file }) => /memory/.test(file))
  await untilRead((texts) => texts[cpu] === halved[cpu]?.text)
  const heldBytes = Number((await read())[memory])
  assert.ok(heldBytes >= 16_000_000 && heldBytes < 100_000_000, `${heldBytes}`)
  driver.limit(launch.key, { vcpus: 0.5, memoryMb: 200, holdMemory: false })
  await untilRead((texts) => texts.join() === declared.join())
  assert.deepEqual(warnings, [])
})
