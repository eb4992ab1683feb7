// What libp2p does by the clock costs no wakes of its own.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { keepCommonTime, takeHeartbeat } from './common-time.ts'
import { clockwork } from './fixture-clockwork.ts'
import { createBareNode } from './fixtures.ts'

test('gossipsub and the DHT do by our clock what they did by theirs, and nothing by their own', async () => {
  const timers = (): number => process.getActiveResourcesInfo().filter((kind) => kind === 'Timeout').length
  const clock = clockwork(50)
  const node = await createBareNode()
  const { services } = node
  takeHeartbeat(services)
  await node.start()
  const before = timers()
  const stop = keepCommonTime(services, clock.wakes)
  assert.equal(timers(), before - 2, 'the timers of both are gone')

  const gossip = services.pubsub as unknown as { heartbeatTicks: number; score: { background(): void } }
  const dht = services.dht as unknown as { routingTable: { closestPeerTagger: { updatePeerTags(): Promise<void> } } }
  const done = { decayed: 0, tagged: 0 }
  gossip.score.background = () => void done.decayed++
  dht.routingTable.closestPeerTagger.updatePeerTags = async () => void done.tagged++
  const ticks = gossip.heartbeatTicks
  clock.pass(20_000)
  assert.equal(gossip.heartbeatTicks - ticks, 20)
  assert.deepEqual(done, { decayed: 4, tagged: 4 })
  assert.equal(clock.woken(), 20)
  stop()
  clock.pass(20_000)
  assert.equal(gossip.heartbeatTicks - ticks, 20, 'nothing after the end')
  await node.stop()
})
