// A member that gossips more than it may: what is beyond goes no further than its neighbours, and everybody else is
// heard as before.

import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { GOSSIP_MESSAGES_PER_MEMBER } from '../allowance.ts'
import { bytesOf, createVillage, type TestNode, wantOf } from './fixtures.ts'

const TOPIC = '/flood'
const FLOOD = 3 * GOSSIP_MESSAGES_PER_MEMBER.burst
const village = createVillage()
after(() => village.stop())

const heardOf = ({ heard }: TestNode, word: string): number =>
  heard.messages.filter(({ text }) => text.startsWith(word)).length

test('of a flood of gossip so much is let in, no more is handed on, and others are heard meanwhile', async () => {
  const [flooder, neighbour, beyond] = [await village.add(), await village.add(), await village.add()]
  for (const one of [flooder, neighbour, beyond]) one.network.follow([TOPIC])
  flooder.network.want(wantOf(neighbour))
  beyond.network.want(wantOf(neighbour))
  await neighbour.heard.until(() => {
    flooder.network.publish(TOPIC, bytesOf('hello'))
    return heardOf(beyond, 'hello') > 0
  }, 'gossip goes from the one end to the other')
  const began = performance.now()
  for (let number = 0; number < FLOOD; number++) flooder.network.publish(TOPIC, bytesOf(`flood ${number}`))
  const heldOff = (): number => neighbour.network.counters()['gossip-held-off'] ?? 0
  await neighbour.heard.until(() => heldOff() > 0, 'some of it is held off')
  await beyond.heard.until(() => {
    beyond.network.publish(TOPIC, bytesOf('honest'))
    return heardOf(neighbour, 'honest') > 0
  }, 'what is honest is heard')
  const tookS = (performance.now() - began) / 1_000
  const { perSecond, burst } = GOSSIP_MESSAGES_PER_MEMBER
  for (const one of [neighbour, beyond])
    assert.ok(heardOf(one, 'flood') <= burst + perSecond * (tookS + 1), `${heardOf(one, 'flood')} in ${tookS} s`)
})
