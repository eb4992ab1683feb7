// Which files of which cgroup version get which numbers.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { cgroupPlan, NO_GROUPS, outOfMemoryKills } from './cgroup-limits.ts'

const V2 = { kind: 'v2', root: '/cg' } as const
const V1 = { kind: 'v1', memoryRoot: '/cg/memory', cpuRoot: '/cg/cpu', pidsRoot: '/cg/pids' } as const
const limits = (memoryMb: number, vcpus: number, pidsMax: number | null = null) => ({ memoryMb, vcpus, pidsMax })

test('on version 2 one group holds all limits', () => {
  assert.deepEqual(cgroupPlan(V2, 'x', limits(64, 0.5, 20)), {
    folders: ['/cg/coppice/x'],
    writes: [
      { file: '/cg/coppice/x/memory.max', text: '64000000' },
      { file: '/cg/coppice/x/cpu.max', text: '50000 100000' },
      // The watcher is one more.
      { file: '/cg/coppice/x/pids.max', text: '21' },
    ],
    memoryEvents: '/cg/coppice/x/memory.events',
  })
})

test('on version 1 each limit has a group in its own tree, where that tree can be written', () => {
  const plan = cgroupPlan(V1, 'x', limits(64, 2, 20))
  assert.deepEqual(plan.folders, ['/cg/memory/coppice/x', '/cg/cpu/coppice/x', '/cg/pids/coppice/x'])
  assert.ok(plan.writes.some(({ file, text }) => file.endsWith('cpu.cfs_quota_us') && text === '200000'))
  assert.deepEqual(cgroupPlan({ ...V1, memoryRoot: null }, 'x', limits(64, 2)).folders, ['/cg/cpu/coppice/x'])
})

test('without limits or without control groups nothing is made', () => {
  assert.equal(cgroupPlan(V2, 'x', limits(0, 0)), NO_GROUPS)
  assert.equal(cgroupPlan({ kind: 'none', reason: '' }, 'x', limits(64, 1)), NO_GROUPS)
})

test('a share too small for the kernel becomes the smallest that it takes', () => {
  assert.equal(cgroupPlan(V2, 'x', limits(0, 0.001)).writes[0]?.text, '1000 100000')
})

test('kills for want of memory are counted in the words of both versions', () => {
  assert.equal(outOfMemoryKills('low 0\nhigh 0\nmax 9\noom 2\noom_kill 2\n'), 2)
  assert.equal(outOfMemoryKills('oom_kill_disable 0\nunder_oom 0\noom_kill 1\n'), 1)
  assert.equal(outOfMemoryKills(''), 0)
})
