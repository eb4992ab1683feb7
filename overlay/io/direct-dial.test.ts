// Which of the connections that a search made are kept, where two searches run at the same time.

import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
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

const TICK_MS = 50
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

/** One dial to an address; `take` says that its kernel took the connection. */
async function dialOne() {
  let take = (): void => {}
  let patience: AbortSignal | undefined
  const dial = (_address: object, { signal, onTaken }: { signal: AbortSignal; onTaken(): void }) => {
    take = onTaken
    patience = signal
    return new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason)))
  }
  const node = { services: { inside: { transportManager: { dial } } } } as unknown as Libp2pNode
  const search = createDirectDial(node, new AbortController().signal)([ONE])
  search.catch(() => {})
  await settle()
  assert.ok(patience !== undefined)
  return { take: () => take(), patience, search }
}

/** In small steps: what a timer sets anew counts from the end of the step. */
function pass({ mock }: TestContext, ms: number): void {
  for (let passed = 0; passed < ms; passed += TICK_MS) mock.timers.tick(TICK_MS)
}

test('an address that takes no connection is given up after 5 s', async (context) => {
  context.mock.timers.enable({ apis: ['setTimeout'] })
  const { patience, search } = await dialOne()
  pass(context, 4_900)
  assert.equal(patience.aborted, false)
  pass(context, 100)
  assert.equal(patience.aborted, true)
  await assert.rejects(search)
})

test('who took it may be busy: it has half a minute from then on', async (context) => {
  context.mock.timers.enable({ apis: ['setTimeout'] })
  const { take, patience, search } = await dialOne()
  pass(context, 4_000)
  take()
  pass(context, 29_900)
  assert.equal(patience.aborted, false)
  pass(context, 100)
  await assert.rejects(search)
})
