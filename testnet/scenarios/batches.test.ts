// Many instances at once over many clusters: what it costs in messages, those included by which records spread.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { serviceOf, setStage } from './stage.ts'

const CLUSTERS = 10
const NODES = 20
const FORMING_MS = 60_000
/** Long after the last of the instances runs: what follows from it is counted too. */
const COUNTED_MS = 10_000
const TINY = { memoryMb: 1, vcpus: 0.001, ports: [] }

/** How many messages more than in peace cross the network when so many instances are deployed. */
function messagesFor(replicas: number): number {
  const { devices, world, run, deploy } = setStage({ nodes: NODES, clusters: CLUSTERS, watch: { isChecked: false } })
  const sentWhile = (act: () => void): number => {
    const before = world.network.counts.sent
    act()
    run(COUNTED_MS)
    return world.network.counts.sent - before
  }
  run(FORMING_MS)
  const inPeace = sentWhile(() => undefined)
  const busy = sentWhile(() => deploy('a1', { ...serviceOf('many', replicas), ...TINY }))
  const running = devices.flatMap(({ instances }) => [...instances.values()]).filter(({ isRunning }) => isRunning)
  assert.equal(running.length, replicas)
  return busy - inPeace
}

test('four times the instances cost hardly more messages, gossip about each of them included', () => {
  const [some, many] = [messagesFor(200), messagesFor(800)]
  assert.ok(many < 1.5 * some, `${some} messages for 200 instances, ${many} for 800`)
})
