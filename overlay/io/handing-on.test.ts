// When what came by gossip is handed on: at once where it is urgent, else when it is seen who has it by then.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createCounters } from './counters.ts'
import type { Libp2pNode } from './create-libp2p.ts'
import { hearGossip } from './gossip.ts'

/** A node that hears gossip from somebody, and what it handed on. */
function hearer(patienceMs: number) {
  const handedOn: string[] = []
  const pubsub = Object.assign(new EventTarget(), {
    reportMessageValidationResult: (message: string, _from: string, result: string) => {
      if (result === 'accept') handedOn.push(message)
    },
  })
  const node = { services: { pubsub }, getConnections: () => [] } as unknown as Libp2pNode
  hearGossip(node, {
    patienceMs,
    counters: createCounters(),
    onHeard: () => {},
    domainOf: () => null,
    onMessage: () => {},
  })
  const hear = (topic: string): void => {
    const detail = { msg: { topic, data: new Uint8Array(9) }, msgId: topic, propagationSource: 'somebody' }
    pubsub.dispatchEvent(new CustomEvent('gossipsub:message', { detail }))
  }
  return { hear, handedOn }
}

test('who leads is handed on at once; what members say of themselves within a tenth of a second', (context) => {
  context.mock.timers.enable({ apis: ['setTimeout'] })
  const { hear, handedOn } = hearer(0)
  for (const topic of ['/home/summary', '/home/alert', '/home/leader', '/home/record']) hear(topic)
  assert.deepEqual(handedOn, ['/home/leader', '/home/record'])
  context.mock.timers.tick(100)
  assert.deepEqual(handedOn.toSorted(), ['/home/alert', '/home/leader', '/home/record', '/home/summary'])
})

test('where bytes are paid for, everything waits longer', (context) => {
  context.mock.timers.enable({ apis: ['setTimeout'] })
  const { hear, handedOn } = hearer(1_000)
  for (const topic of ['/home/summary', '/home/leader']) hear(topic)
  assert.deepEqual(handedOn, [])
  context.mock.timers.tick(1_000)
  assert.equal(handedOn.length, 2)
})
