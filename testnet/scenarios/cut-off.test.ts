// A service of which there shall never be two: whoever is cut off with it ends it before it is replaced.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type DomainPath, instanceKey } from '../../overlay/kernel/ids.ts'
import { type ServiceSpec, SPEC_DEFAULTS, serviceIdOf } from '../../placement/spec.ts'
import { serviceOf, setStage } from './stage.ts'

const A = '/a' as DomainPath

const single = (lostAfterMs: number | null): ServiceSpec => ({
  ...serviceOf('single', 1),
  disconnect: { ...SPEC_DEFAULTS.disconnect, stopAfterMs: 5_000, lostAfterMs },
})
const KEY = instanceKey(serviceIdOf(single(null)), 0)

/** How closely it is looked whether it runs twice; shorter than any start takes, on average. */
const LOOK_MS = 50

/** A cluster of three that runs one, and who does. */
function begun(spec: ServiceSpec, seed: number) {
  const stage = setStage({ nodes: 3, clusters: 1, seed })
  stage.run(15_000)
  stage.deploy('a1', spec)
  stage.settle()
  const [home = ''] = stage.whoRuns(KEY)
  const watch = (ms: number, isOver: () => boolean = () => false): number => {
    let passed = 0
    for (; passed < ms && !isOver(); passed += LOOK_MS) {
      stage.run(LOOK_MS)
      const runs = stage.whoRuns(KEY)
      assert.ok(runs.length <= 1, `it runs on ${runs.join(' and ')}`)
    }
    return passed
  }
  return { stage, home, watch }
}

test('a device that is cut off ends it before another one starts it, and does not take it up again', () => {
  for (const [seed, lostAfterMs] of [1, 2, 3, 4, 5, 6].map((seed) => [seed, seed % 2 === 0 ? 20_000 : null] as const)) {
    const { stage, home, watch } = begun(single(lostAfterMs), seed)
    stage.cutOff(home)
    const endedMs = watch(20_000, () => stage.whoRuns(KEY).length === 0)
    assert.ok(endedMs <= 6_000, `it ended after ${endedMs} ms`)
    const replacedMs = endedMs + watch(60_000, () => stage.whoRuns(KEY).length === 1)
    assert.ok(replacedMs >= (lostAfterMs ?? 6_000), `it ran again after ${replacedMs} ms`)
    assert.notEqual(stage.whoRuns(KEY)[0], home)
    // Longer than the cut-off device waits before it goes on as a cluster of its own, which is no reach.
    watch(90_000)
    assert.equal(stage.leaderSeenBy(home, A), home, 'it leads a line of its own')
    stage.heal()
    watch(40_000)
    stage.settle()
  }
})

test('a device that is back before that goes on with it', () => {
  const { stage, home, watch } = begun(single(60_000), 7)
  stage.cutOff(home)
  watch(20_000)
  assert.deepEqual(stage.whoRuns(KEY), [])
  stage.heal()
  watch(40_000, () => stage.whoRuns(KEY).length === 1)
  assert.deepEqual(stage.whoRuns(KEY), [home])
  stage.settle()
})

test('after a reboot with no network it does not run, and runs again in reach of its leader', () => {
  const { stage, home, watch } = begun(single(120_000), 8)
  stage.cutOff(home)
  stage.device(home).cutPower()
  stage.run(500)
  stage.device(home).start()
  watch(20_000)
  assert.deepEqual(stage.whoRuns(KEY), [])
  stage.heal()
  watch(60_000, () => stage.whoRuns(KEY).length === 1)
  assert.deepEqual(stage.whoRuns(KEY), [home])
  stage.settle()
})

test('a cluster that is cut off from the root as a whole is in reach of itself', () => {
  const stage = setStage({ nodes: 6, clusters: 2 })
  stage.run(20_000)
  stage.deploy('a1', single(null), A)
  stage.settle()
  const home = stage.whoRuns(KEY)
  assert.equal(home.length, 1)
  stage.cutOff('a1', 'a2', 'a3')
  for (let passed = 0; passed < 40_000; passed += LOOK_MS) {
    stage.run(LOOK_MS)
    assert.deepEqual(stage.whoRuns(KEY), home)
  }
  stage.heal()
  stage.settle()
})
