// A real load on a real device, and what a node does about it to real processes.

import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { test } from 'node:test'
import type { NodeId } from '../overlay/kernel/ids.ts'
import { findCgroups } from '../placement/io/cgroups.ts'
import { groupsOf } from '../placement/io/process-start.ts'
import { checkRestriction, firstEvent, running, serviceOf, started, until, WEB } from './fixture-pressure.ts'

const CPU_PERIOD_US = 100_000

/** The cores that the kernel lets the process have. */
async function coresOfProcess(node: string): Promise<number> {
  const { writes } = groupsOf(
    WEB,
    { vcpus: 0.4, memoryMb: 120, pidsMax: null },
    { cgroups: await findCgroups(), nodeId: node as NodeId },
  )
  const quota = writes.find(({ file }) => /cfs_quota_us$|cpu\.max$/.test(file))
  assert.ok(quota, 'control groups that this user may write')
  return Number((await readFile(quota.file, 'utf8')).split(' ')[0]) / CPU_PERIOD_US
}

test('under a real load a process is limited, and afterwards it has exactly what it had', (t) =>
  checkRestriction(t, 'process', coresOfProcess))

test('under a load that stays, what matters least is stopped first, and says why', async (t) => {
  const { node, told, load } = await started(t, [serviceOf('dear', 'process', 900), serviceOf('cheap', 'process', 1)])
  const stop = load()
  const evicted = await firstEvent(told, 'pressure-evicted')
  stop()
  assert.equal(node.control.status().pressure, 2)
  assert.equal(evicted.fields.service, 'load.test.cheap.test')
  assert.match(String(evicted.fields.reason), /load at \d+ %/)
  await until(async () => running(node).join() === 'dear')
})
