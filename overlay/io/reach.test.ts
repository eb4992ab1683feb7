// Which of a device's addresses the others are told of.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { multiaddr } from '@multiformats/multiaddr'
import { announced, knockable } from './reach.ts'

const told = (...addresses: readonly string[]): readonly string[] =>
  announced(addresses.map((address) => multiaddr(address))).map(String)

const LOOPBACK = '/ip4/127.0.0.1/tcp/4001'
const LAN = '/ip4/192.168.7.2/tcp/4001'
const RELAY = '12D3KooWGzxzKZYveHXtpG6AsrUJBcWxHBFS2HsEoGTxrMLvKXtf'

test('addresses of loopback are told of only where there are no others: who dials them reaches itself', () => {
  assert.deepEqual(told(LOOPBACK, LAN), [LAN])
  assert.deepEqual(told(LOOPBACK, '/ip6/2a00:1::22/tcp/4001'), ['/ip6/2a00:1::22/tcp/4001'])
  assert.deepEqual(told(LOOPBACK, '/ip6/::1/tcp/4001'), [LOOPBACK])
})

test('a way over a relay on loopback gives way to one that others can take', () => {
  const [near, far] = [`${LOOPBACK}/p2p/${RELAY}/p2p-circuit`, `/ip4/203.0.113.9/tcp/4001/p2p/${RELAY}/p2p-circuit`]
  assert.deepEqual(told(LOOPBACK, near), [LOOPBACK, near])
  assert.deepEqual(told(LAN, near, far), [LAN, far])
})

test('addresses of one cable are told of to nobody', () => {
  assert.deepEqual(told('/ip4/169.254.3.4/tcp/4001', '/ip6/fe80::1/tcp/4001', LAN), [LAN])
})

test('a member is knocked at where it was dialled, and at public addresses of the other family', () => {
  const listening = [LAN, '/ip4/1.2.3.9/tcp/4001', '/ip6/2a00:1::22/tcp/4002', '/ip6/fd00::1/tcp/4001']
  const at = (host: string): readonly string[] =>
    knockable(
      listening.map((address) => multiaddr(address)),
      host,
    ).map((place) => `${place.host} ${place.port}`)
  assert.deepEqual(at('1.2.3.9'), ['1.2.3.9 4001', '2a00:1::22 4002'])
  assert.deepEqual(at('2a00:1::22'), ['2a00:1::22 4002', '1.2.3.9 4001'])
  assert.deepEqual(at('192.168.7.2'), ['192.168.7.2 4001', '2a00:1::22 4002'])
  assert.deepEqual(at('5.6.7.8'), [], 'who dialled this node is not known to be reachable')
})
