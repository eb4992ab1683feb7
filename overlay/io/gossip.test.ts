// Gossip goes from hand to hand, but where all who may follow a topic hear it from whoever said it.

import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import type { DomainPath } from '../kernel/ids.ts'
import { ok } from '../kernel/result.ts'
import { allowListGate, bytesOf, createVillage, factsOf, idOf, newKey, type TestNode, wantOf } from './fixtures.ts'

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
  a.network.publish(TOPIC, bytesOf('to whom I see'), { nodes: near, areAll: true })
  a.network.publish(TOPIC, bytesOf('to more than I see'), { nodes: all, areAll: true })
  a.network.publish(TOPIC, bytesOf('to whom it may concern'))
  await c.heard.until(() => textsOf(c).includes('to whom it may concern'), 'the last arrives')
  assert.ok(textsOf(c).includes('to more than I see'))
  assert.ok(textsOf(b).includes('to whom I see'))
  assert.ok(!textsOf(c).includes('to whom I see'))
})

test('what all of its author’s domain hear is handed on only by who knows of somebody of another one', async () => {
  const [a, c, d] = [await village.add(), await village.add(), await village.add()]
  const privateKey = await newKey()
  const ofBerlin = allowListGate(idOf(privateKey), village.members, village.relays)
  const gate: typeof ofBerlin = {
    ...ofBerlin,
    checkHello: async (peer, hello) => {
      const answer = await ofBerlin.checkHello(peer, hello)
      if (!answer.ok || peer !== d.network.self) return answer
      return ok({ ...answer.value, facts: factsOf(peer, ['work'], '/paris' as DomainPath) })
    },
  }
  const b = await village.add({ privateKey, gate })
  b.network.want(wantOf(a, c))
  await b.heard.until(() => b.network.connectedPeers().length === 2, 'b is between a and c')
  for (const { network } of [a, b, c, d]) network.follow([TOPIC])
  const said = async (to: TestNode): Promise<void> =>
    await to.heard.until(() => {
      a.network.publish(TOPIC, bytesOf('are you there'))
      return textsOf(to).length > 0
    }, 'what b hands on is heard')
  await said(c)

  const hearers = { nodes: [a.network.self, b.network.self], areAll: false }
  a.network.publish(TOPIC, bytesOf('to my domain'), hearers)
  a.network.publish(TOPIC, bytesOf('to whom it may concern'))
  await c.heard.until(() => textsOf(c).includes('to whom it may concern'), 'the last arrives')
  assert.ok(textsOf(b).includes('to my domain'))
  assert.ok(!textsOf(c).includes('to my domain'))

  b.network.want(wantOf(a, c, d))
  await b.heard.until(() => b.network.connectedPeers().length === 3, 'b knows d')
  await said(d)
  a.network.publish(TOPIC, bytesOf('to my domain and others'), hearers)
  await d.heard.until(() => textsOf(d).includes('to my domain and others'), 'd hears it')
})
