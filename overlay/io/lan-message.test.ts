// A device is found by its answer, and nobody by what is about something else.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { lanAnswer, lanQuestion, readLanMessage } from './lan-message.ts'

const TAG = '_coppice-ab._udp.local'
const PEER = '12D3KooWJfZZRsqoTEYL2aRCTHRGBSEzqfUYDuy4x9Ghn8XJh7kQ'
const at = (host: number, peer = PEER): string => `/ip4/192.168.7.${host}/tcp/4001/p2p/${peer}`

test('a question is one, and an answer says who has which addresses', () => {
  assert.deepEqual(readLanMessage(lanQuestion(TAG), TAG), { kind: 'question' })
  const addresses = [at(1), at(2)]
  assert.deepEqual(readLanMessage(lanAnswer(TAG, 'x', addresses), TAG), { kind: 'answer', peer: PEER, addresses })
})

test('what is said under another tag, of nobody, or is no DNS at all is nothing', () => {
  assert.equal(readLanMessage(lanQuestion('_other._udp.local'), TAG), null)
  assert.equal(readLanMessage(lanAnswer('_other._udp.local', 'x', [at(1)]), TAG), null)
  assert.equal(readLanMessage(lanAnswer(TAG, 'x', []), TAG), null)
  assert.equal(readLanMessage(lanAnswer(TAG, 'x', ['/ip4/192.168.7.1/tcp/1']), TAG), null)
  for (const bytes of [new Uint8Array(0), new Uint8Array(12).fill(255)]) assert.equal(readLanMessage(bytes, TAG), null)
})

test('an answer speaks for one device, and of few addresses', () => {
  const others = [at(1), at(2, '12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA'), at(3)]
  const heard = readLanMessage(lanAnswer(TAG, 'x', others), TAG)
  assert.deepEqual(heard?.kind === 'answer' && heard.addresses, [at(1), at(3)])
  const many = Array.from({ length: 100 }, (_, host) => at(host))
  const few = readLanMessage(lanAnswer(TAG, 'x', [`/dns4/${'a'.repeat(250)}/p2p/${PEER}`, ...many]), TAG)
  assert.deepEqual(few?.kind === 'answer' && few.addresses, many.slice(0, 8))
})
