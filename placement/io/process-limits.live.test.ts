// Limits of processes, enforced by the kernel. Needs control groups that this user may write, as root can:
//   node --test placement/io/process-limits.live.test.ts

import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { execPath } from 'node:process'
import { type TestContext, test } from 'node:test'
import { launchOf } from '../launch-fixture.ts'
import type { RuntimeDriver } from '../runtime.ts'
import { findCgroups } from './cgroups.ts'
import { awaitOutput, createListener, type Listener } from './driver-bench.ts'
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
