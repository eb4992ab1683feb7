// Federations that are larger than those of other stories form from nothing and settle: one large cluster, and many
// small ones under a root.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type DomainPath, instanceKey, ROOT } from '../../overlay/kernel/ids.ts'
import { serviceIdOf } from '../../placement/spec.ts'
import { type Stage, serviceOf, setStage } from './stage.ts'

/** Everybody's choice for the leader of a domain, each name once. */
const leadersSeen = (stage: Stage, domain: DomainPath): readonly (string | null)[] => [
  ...new Set(stage.devices.map(({ node }) => stage.leaderSeenBy(node, domain))),
]

test('one cluster of 100 nodes forms, chooses five electors and runs a service', () => {
  const stage = setStage({ nodes: 100, clusters: 1 })
  const service = serviceOf('everywhere', 10)
  stage.run(15_000)
  stage.deploy('a100', service)
  stage.settle()
  const [leader, ...others] = leadersSeen(stage, ROOT)
  assert.ok(leader !== null && leader !== undefined && others.length === 0)
  const seat = stage.device(leader).core?.view.seats()[0]
  assert.equal(seat?.state.register?.electors.length, 5)
  const running = Array.from({ length: 10 }, (_, number) => stage.whoRuns(instanceKey(serviceIdOf(service), number)))
  assert.deepEqual(
    running.map((nodes) => nodes.length),
    running.map(() => 1),
  )
})

test('20 clusters of 5 form, each under a leader of its own, and all under one root', () => {
  const stage = setStage({ nodes: 100, clusters: 20 })
  const service = serviceOf('somewhere', 3)
  stage.run(15_000)
  stage.deploy(stage.devices.at(-1)?.node ?? '', service)
  stage.settle()
  const clusters = new Set(stage.devices.map(({ facts }) => facts.facts.domain))
  assert.equal(clusters.size, 20)
  for (const domain of clusters) {
    const inside = stage.devices.filter(({ facts }) => facts.facts.domain === domain)
    const leaders = new Set(inside.map(({ node }) => stage.leaderSeenBy(node, domain)))
    assert.equal(leaders.size, 1)
    assert.ok(inside.some(({ node }) => leaders.has(node)))
  }
  assert.equal(leadersSeen(stage, ROOT).length, 1)
  assert.ok(stage.whoRuns(instanceKey(serviceIdOf(service), 2)).length === 1)
})
