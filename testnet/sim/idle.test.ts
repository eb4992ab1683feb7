// What is counted of a settled world is what its devices hear, and nothing of what came before.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { idleLines } from './idle.ts'
import { runSeed } from './run.ts'
import { PLAIN } from './setting.ts'

const IDLE_MS = 60_000

const idleOf = (nodes: number) => {
  const setting = { ...PLAIN, preset: 'lan' } as const
  const { failure, idle } = runSeed({
    seed: 1,
    nodes,
    clusters: 1,
    faultsMs: 5_000,
    kept: [],
    setting,
    idleMs: IDLE_MS,
  })
  assert.equal(failure, null)
  assert.ok(idle !== null)
  return idle
}

test('each of twelve that are left in peace probes or is probed about once a second', () => {
  const { kinds, virtualMs } = idleOf(12)
  assert.equal(virtualMs, IDLE_MS)
  for (const kind of ['membership/probe', 'membership/ack']) {
    const each = (kinds.find((one) => one.kind === kind)?.messages ?? 0) / (12 * 60)
    // One probe is a sign of life for both.
    assert.ok(each > 0.5 && each < 0.8, `${each} ${kind} for each node and second`)
  }
})

test('a node of forty hears hardly more than one of twenty, and less than five messages a second', () => {
  const heard = (nodes: number): number =>
    idleOf(nodes).kinds.reduce((sum, { messages }) => sum + messages, 0) / ((nodes * IDLE_MS) / 1_000)
  const [few, many] = [heard(20), heard(40)]
  assert.ok(many < 5, `${many} messages`)
  assert.ok(many < few * 1.2, `${many} messages, ${few} of twenty`)
})

test('the lines say what one node hears in one second', () => {
  const kinds = [{ kind: 'membership/probe', messages: 20, bytes: 800 }]
  const lines = idleLines({ virtualMs: 10_000, cpuMs: 10, startCpuMs: 1_500, kinds }, 2)
  assert.deepEqual(
    lines.map((line) => line.replace(/ +/g, ' ')),
    [
      'processor 1.5 s until all agreed',
      'idle 0.500 ms of processor time for each node and virtual second',
      'a node hears in a second 1.000 40 B',
      ' membership/probe 1.000 40 B',
    ],
  )
})
