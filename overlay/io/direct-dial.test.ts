// Which of the connections that a search made are kept, where two searches run at the same time.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Connection } from '@libp2p/interface'
import { multiaddr } from '@multiformats/multiaddr'
import type { Libp2pNode } from './create-libp2p.ts'
import { createDirectDial } from './direct-dial.ts'

const [ONE, OTHER] = [multiaddr('/ip4/192.0.2.1/tcp/4001'), multiaddr('/ip4/192.0.2.2/tcp/4001')] as const

/** A node whose dials end when they are told to. */
function bench() {
  const dials = new Map<string, PromiseWithResolvers<Connection>>()
  const closed: string[] = []
  const dial = (address: object): Promise<Connection> => {
    const dialling = Promise.withResolvers<Connection>()
    dials.set(String(address), dialling)
    return dialling.promise
  }
  const node = { services: { inside: { transportManager: { dial } } } } as unknown as Libp2pNode
  const answer = (address: object): Connection => {
    const connection = {
      status: 'open',
      close: async () => void closed.push(String(address)),
      abort: () => {},
    } as unknown as Connection
    dials.get(String(address))?.resolve(connection)
    return connection
  }
  const isDialled = async (address: object): Promise<void> => {
    while (!dials.has(String(address))) await new Promise((resolve) => setImmediate(resolve))
  }
  return { search: createDirectDial(node, new AbortController().signal), answer, isDialled, closed }
}

const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

test('what comes late is closed where nobody else looks for it', async () => {
  const { search, answer, isDialled, closed } = bench()
  const found = search([ONE, OTHER])
  await isDialled(OTHER)
  const second = answer(OTHER)
  assert.equal(await found, second)
  answer(ONE)
  await settle()
  assert.deepEqual(closed, [String(ONE)])
})

test('and kept where another search has taken it', async () => {
  const { search, answer, isDialled, closed } = bench()
  const both = search([ONE, OTHER])
  const only = search([ONE])
  await isDialled(OTHER)
  const second = answer(OTHER)
  assert.equal(await both, second)
  const first = answer(ONE)
  assert.equal(await only, first)
  await settle()
  assert.deepEqual(closed, [])
})
