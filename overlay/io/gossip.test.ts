// Gossip goes from hand to hand, but where all who may follow a topic hear it from whoever said it.

import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { bytesOf, createVillage, type TestNode, wantOf } from './fixtures.ts'

const TOPIC = '/t'
const village = createVillage()
after(() => village.stop())

const textsOf = ({ heard }: TestNode): readonly string[] => heard.messages.map(({ text }) => text)

test('what all hearers hear from its author is handed on by none of them, all else is', async () => {
  const [a, b, c] = [await village.add(), await village.add(), await village.add()]
  b.network.want(wantOf(a, c))
  await b.heard.until(() => b.network.connectedPeers().length === 2, 'b is between a and c')
  for (const { network } of [a, b, c]) network.follow([TOPIC])
  // gossipsub grafts its mesh once a second.
  await c.heard.until(() => {
    a.network.publish(TOPIC, bytesOf('are you there'))
    return textsOf(c).length > 0
  }, 'c hears what b hands on')

  const [near, all] = [[a, b].map(({ network }) => network.self), [a, b, c].map(({ network }) => network.self)]
  a.network.publish(TOPIC, bytesOf('to whom I see'), near)
  a.network.publish(TOPIC, bytesOf('to more than I see'), all)
  a.network.publish(TOPIC, bytesOf('to whom it may concern'))
  await c.heard.until(() => textsOf(c).includes('to whom it may concern'), 'the last arrives')
  assert.ok(textsOf(c).includes('to more than I see'))
  assert.ok(textsOf(b).includes('to whom I see'))
  assert.ok(!textsOf(c).includes('to whom I see'))
})
