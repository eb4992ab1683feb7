// Whoever linked two parts of a federation ends, at both ends at once: the others find each other.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { DomainPath } from '../../overlay/kernel/ids.ts'
import { PLAIN } from '../sim/setting.ts'
import { setStage } from './stage.ts'

const A = '/a' as DomainPath
const B = '/b' as DomainPath

test('two clusters whose leaders lose power in the same moment have one leader of both soon after', () => {
  for (const seed of [1, 2, 3]) {
    const stage = setStage({ nodes: 6, clusters: 2, seed })
    stage.run(40_000)
    const leaders = [stage.leaderSeenBy('a1', A), stage.leaderSeenBy('b1', B)] as string[]
    for (const leader of leaders) stage.device(leader).lose()
    stage.settle()
  }
})

test('regions find each other when a whole cluster that linked them is gone, and the leader at the other end', () => {
  const stage = setStage({ nodes: 18, clusters: 6, watch: { setting: { ...PLAIN, levels: 3 } } })
  stage.run(60_000)
  const regionOf = (domain: DomainPath) => domain.slice(0, domain.lastIndexOf('/')) as DomainPath
  const [first, last] = [stage.devices[0], stage.devices.at(-1)]
  assert.ok(first && last && regionOf(first.facts.facts.domain) !== regionOf(last.facts.facts.domain))
  const linking = stage.leaderSeenBy(first.node, regionOf(first.facts.facts.domain)) ?? ''
  const other = stage.leaderSeenBy(last.node, regionOf(last.facts.facts.domain)) ?? ''
  const { domain } = stage.device(linking).facts.facts
  for (const device of stage.devices) if (device.facts.facts.domain === domain) device.lose()
  stage.device(other).lose()
  stage.settle()
})
