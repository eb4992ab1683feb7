// Whoever is cut off goes on, and finds back: stories of clusters and devices on their own.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ELECTION_TIMINGS } from '../../election/index.ts'
import { type DomainPath, instanceKey, ROOT } from '../../overlay/kernel/ids.ts'
import { serviceIdOf } from '../../placement/spec.ts'
import { serviceOf, setStage } from './stage.ts'

const A = '/a' as DomainPath
const B = '/b' as DomainPath

test('a cluster cut off from the root keeps its leader and its services, and takes new ones for itself', () => {
  const stage = setStage({ nodes: 6, clusters: 2 })
  const [before, meanwhile] = [serviceOf('before', 2), serviceOf('meanwhile', 2)]
  stage.run(20_000)
  stage.deploy('b2', before, B)
  stage.settle()
  const ran = stage.whoRuns(instanceKey(serviceIdOf(before), 0))
  stage.cutOff('b1', 'b2', 'b3')
  stage.run(20_000)
  const leader = stage.leaderSeenBy('b3', B)
  assert.ok(leader?.startsWith('b'))
  assert.deepEqual(stage.whoRuns(instanceKey(serviceIdOf(before), 0)), ran)
  stage.deploy('b3', meanwhile, B)
  stage.run(10_000)
  assert.equal(stage.whoRuns(instanceKey(serviceIdOf(meanwhile), 1)).length, 1)
  stage.heal()
  stage.settle()
})

test('a device that starts again with no network starts what it was running', () => {
  const stage = setStage({ nodes: 3, clusters: 1 })
  const service = serviceOf('kept', 3)
  stage.run(15_000)
  stage.deploy('a1', service)
  stage.settle()
  const lonely = stage.device('a3')
  const kept = [...lonely.instances.keys()]
  assert.ok(kept.length > 0, 'a3 runs one of three')
  stage.cutOff('a3')
  lonely.cutPower()
  stage.run(500)
  lonely.start()
  stage.run(2_000)
  assert.deepEqual([...lonely.instances.keys()], kept)
  stage.heal()
  stage.settle()
})

test('two clusters that formed out of sight of each other become one federation', () => {
  const stage = setStage({ nodes: 4, clusters: 2 })
  stage.cutOff('b1', 'b2')
  stage.run(25_000)
  assert.notEqual(stage.leaderSeenBy('b1', ROOT), stage.leaderSeenBy('a1', ROOT))
  stage.heal()
  stage.settle()
  assert.equal(stage.leaderSeenBy('b1', ROOT), stage.leaderSeenBy('a1', ROOT))
})

test('halves of the only cluster that each founded it and the root have one of both soon after they meet', () => {
  for (const afterMs of [5, 30, 200]) {
    const stage = setStage({ nodes: 3, clusters: 1, seed: 11 })
    stage.run(stage.device('a2').facts.startsAt + afterMs)
    stage.cutOff('a2')
    stage.run(25_000)
    assert.notEqual(stage.leaderSeenBy('a2', ROOT), stage.leaderSeenBy('a1', ROOT))
    stage.heal()
    stage.settle()
  }
})

test('what both halves had placed runs once after they met', () => {
  for (const seed of [1, 2, 3, 4]) {
    const stage = setStage({ nodes: 4, clusters: 2, seed })
    const service = serviceOf('twice', 2)
    stage.cutOff('b1', 'b2')
    // For as long newcomers wait for somebody who would know of a line (node/core/arrival.ts).
    stage.run(ELECTION_TIMINGS.lan.quorumLossMs.cluster + 15_000)
    for (const at of ['a1', 'b1']) stage.deploy(at, service)
    stage.run(10_000)
    assert.equal(stage.whoRuns(instanceKey(serviceIdOf(service), 0)).length, 2, 'one copy on each side')
    stage.heal()
    stage.settle()
  }
})

test('a leader that loses power is replaced, and what it ran runs elsewhere', () => {
  const stage = setStage({ nodes: 5, clusters: 1 })
  const service = serviceOf('moved', 1)
  stage.run(20_000)
  stage.deploy('a2', service)
  stage.settle()
  const leader = stage.leaderSeenBy('a2', A) ?? ''
  stage.device(leader).lose()
  stage.run(4_000)
  const witness = leader === 'a2' ? 'a3' : 'a2'
  assert.notEqual(stage.leaderSeenBy(witness, A), leader)
  stage.settle()
})
