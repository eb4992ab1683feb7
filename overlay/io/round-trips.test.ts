// Who is asked answers, and a connection over which nobody can be asked is cut.

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { after, test } from 'node:test'
import type { Connection } from '@libp2p/interface'
import { LIVENESS } from '../liveness.ts'
import type { Libp2pNode } from './create-libp2p.ts'
import { createBareNode } from './fixtures.ts'
import { PING_PROTOCOL } from './protocols.ts'
import { heedPings, measureRoundTrips } from './round-trips.ts'

const PATIENCE_MS = 30_000
const nodes: Libp2pNode[] = []
after(async () => {
  for (const node of nodes) await node.stop()
})

/** A node that heeds who asks it. */
async function addNode(): Promise<{ readonly node: Libp2pNode; readonly heard: Connection[] }> {
  const node = await createBareNode()
  const heard: Connection[] = []
  heedPings(node, (connection) => heard.push(connection))
  await node.start()
  nodes.push(node)
  return { node, heard }
}

test('who is asked hears that somebody is there, over which connection, and answers; who asks does not', async () => {
  const [near, far] = [await addNode(), await addNode()]
  const connection = await near.node.dial(far.node.getMultiaddrs())
  const nobody = { connections: () => [], liveness: LIVENESS, onRoundTrip: () => {}, onDoubt: () => {} }
  const { measure, close } = measureRoundTrips(nobody)
  for (let count = 0; count < 3; count++) assert.ok((await measure(connection, AbortSignal.timeout(PATIENCE_MS))) > 0)
  close()
  assert.equal(far.heard.length, 3)
  assert.deepEqual([...new Set(far.heard)], far.node.getConnections(near.node.peerId))
  assert.deepEqual(near.heard, [])
})

test('a connection that lets no stream be opened is cut, although its socket is open', async () => {
  const [near, far] = [await addNode(), await addNode()]
  const connection = await near.node.dial(far.node.getMultiaddrs())
  // As libp2p leaves it where a stream that is to be closed gets no answer in time.
  Object.assign((connection as unknown as { readonly muxer: object }).muxer, { status: 'closing' })
  const cut = new Promise((resolve) => connection.addEventListener('close', resolve))
  const told = { onRoundTrip: () => assert.fail('nothing can be measured'), onDoubt: () => {} }
  const { close } = measureRoundTrips({ connections: () => [connection], liveness: LIVENESS, ...told })
  await cut
  close()
  assert.equal(connection.status, 'aborted')
})

test('whoever says something while he is waited for is not cut, and who says nothing is', async () => {
  const [near, far] = [await addNode(), await addNode()]
  await far.node.unhandle(PING_PROTOCOL)
  const connection = await near.node.dial(far.node.getMultiaddrs())
  const liveness = { intervalMs: 200, answerMsMax: 50 }
  const { heard, close } = measureRoundTrips({
    connections: () => [connection],
    liveness,
    onRoundTrip: () => assert.fail('nobody answers'),
    onDoubt: () => {},
  })
  const cut = once(connection, 'close', { signal: AbortSignal.timeout(PATIENCE_MS) })
  let asked = 0
  const askedTwice = Promise.withResolvers<void>()
  await far.node.handle(PING_PROTOCOL, () => {
    asked += 1
    if (asked <= 2) heard(connection)
    else askedTwice.resolve()
  })
  await askedTwice.promise
  assert.equal(connection.status, 'open')
  await cut
  close()
})
