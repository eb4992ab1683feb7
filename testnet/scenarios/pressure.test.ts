// Devices that are short of something because of what they run: whoever is given it is short in turn.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type DomainPath, instanceKey, type NodeId } from '../../overlay/kernel/ids.ts'
import { serviceIdOf } from '../../placement/spec.ts'
import { serviceOf, setStage } from './stage.ts'

const HEAVY = serviceOf('heavy', 1)
const KEY = instanceKey(serviceIdOf(HEAVY), 0)
const CLUSTER = '/a' as DomainPath
const MINUTE_MS = 60_000
const LOOK_MS = 1_000
/** While it runs a device is far above the mark of 80 %, and far below 70 % without it. */
const HEAVY_LOAD = (running: number): number => (running > 0 ? 0.95 : 0.1)
const LIGHT_LOAD = (): number => 0.1

test('two devices that an instance is too heavy for do not hand it back and forth', () => {
  const evicted: string[] = []
  const onEvent = (device: { readonly node: NodeId }, { name }: { readonly name: string }): void => {
    if (name === 'pressure-evicted') evicted.push(device.node)
  }
  const stage = setStage({ nodes: 4, clusters: 2, watch: { onEvent } })
  stage.run(30_000)
  stage.settle()
  const pair = stage.devices.filter(({ facts }) => facts.facts.domain === CLUSTER)
  assert.equal(pair.length, 2)
  for (const device of pair) device.strain(HEAVY_LOAD)
  stage.deploy(pair[0]?.node ?? '', HEAVY, CLUSTER)
  const homes: string[] = []
  for (let passed = 0; passed < 20 * MINUTE_MS; passed += LOOK_MS) {
    stage.run(LOOK_MS)
    const [home] = stage.whoRuns(KEY)
    assert.ok(stage.whoRuns(KEY).length <= 1)
    if (home !== undefined && home !== homes.at(-1)) homes.push(home)
  }
  // Each has it once and keeps out of it for 5 min, then once more and keeps out of it for 10.
  assert.equal(new Set(evicted).size, 2, 'both were short of cores because of it')
  assert.ok(evicted.length <= 6, `it was evicted ${evicted.length} times in 20 minutes`)
  assert.ok(homes.length <= 6, `it went ${homes.join(' ')}`)
  for (const device of pair) device.strain(LIGHT_LOAD)
  let minutes = 0
  while (stage.whoRuns(KEY).length === 0 && minutes++ < 60) stage.run(MINUTE_MS)
  assert.equal(stage.whoRuns(KEY).length, 1, 'once both can bear it one of them runs it')
})
