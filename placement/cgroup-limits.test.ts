// Which files of which cgroup version get which numbers.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { cgroupPlan, NO_GROUPS, outOfMemoryKills } from './cgroup-limits.ts'

const V2 = { kind: 'v2', root: '/cg' } as const
const V1 = { kind: 'v1', memoryRoot: '/cg/memory', cpuRoot: '/cg/cpu' } as const

test('on version 2 one group holds both limits', () => {
  assert.deepEqual(cgroupPlan(V2, 'x', { memoryMb: 64, vcpus: 0.5 }), {
    folders: ['/cg/coppice/x'],
    writes: [
      { file: '/cg/coppice/x/memory.max', text: '64000000' },
      { file: '/cg/coppice/x/cpu.max', text: '50000 100000' },
    ],
    memoryEvents: '/cg/coppice/x/memory.events',
  })
})

test('on version 1 each limit has a group in its own tree, where that tree can be written', () => {
  const plan = cgroupPlan(V1, 'x', { memoryMb: 64, vcpus: 2 })
  assert.deepEqual(plan.folders, ['/cg/memory/coppice/x', '/cg/cpu/coppice/x'])
  assert.ok(plan.writes.some(({ file, text }) => file.endsWith('cpu.cfs_quota_us') && text === '200000'))
  assert.deepEqual(cgroupPlan({ ...V1, memoryRoot: null }, 'x', { memoryMb: 64, vcpus: 2 }).folders, [
    '/cg/cpu/coppice/x',
  ])
})

test('without limits or without control groups nothing is made', () => {
  assert.equal(cgroupPlan(V2, 'x', { memoryMb: 0, vcpus: 0 }), NO_GROUPS)
  assert.equal(cgroupPlan({ kind: 'none', reason: '' }, 'x', { memoryMb: 64, vcpus: 1 }), NO_GROUPS)
})

test('a share too small for the kernel becomes the smallest that it takes', () => {
  assert.equal(cgroupPlan(V2, 'x', { memoryMb: 0, vcpus: 0.001 }).writes[0]?.text, '1000 100000')
})

test('kills for want of memory are counted in the words of both versions', () => {
  assert.equal(outOfMemoryKills('low 0\nhigh 0\nmax 9\noom 2\noom_kill 2\n'), 2)
  assert.equal(outOfMemoryKills('oom_kill_disable 0\nunder_oom 0\noom_kill 1\n'), 1)
  assert.equal(outOfMemoryKills(''), 0)
})
