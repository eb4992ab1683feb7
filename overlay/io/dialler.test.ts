// A dial that hangs holds up no other one of the same peer.

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type AddressInfo, createServer } from 'node:net'
import { after, test } from 'node:test'
import { type NodeId, nodeId } from '../kernel/ids.ts'
import { createCounters } from './counters.ts'
import type { Libp2pNode } from './create-libp2p.ts'
import { createDialler, type DiallerSetup } from './dialler.ts'
import { createBareNode } from './fixtures.ts'

const nodes: Libp2pNode[] = []
const silent = createServer((socket) => void socket.on('error', () => {}))
after(async () => {
  silent.close()
  for (const node of nodes) await node.stop()
})

async function addNode(): Promise<Libp2pNode> {
  const node = await createBareNode()
  await node.start()
  nodes.push(node)
  return node
}

const idOf = (node: Libp2pNode): NodeId => nodeId(node.peerId.toString())

test('an address that turns up is dialled while another one swallows what is said to it', async () => {
  silent.listen(0, '127.0.0.1')
  await once(silent, 'listening')
  const [near, far] = [await addNode(), await addNode()]
  // Nobody has to prove membership here.
  const connections = { best: () => null } as unknown as DiallerSetup['connections']
  const desk = { admitted: async () => {} } as unknown as DiallerSetup['desk']
  const stop = new AbortController()
  const dialler = createDialler({ node: near, desk, connections, counters: createCounters() }, stop.signal)
  const swallows = `/ip4/127.0.0.1/tcp/${(silent.address() as AddressInfo).port}`
  let hasEnded = false
  const hanging = dialler.dialBesides(idOf(far), [swallows]).finally(() => {
    hasEnded = true
  })
  hanging.catch(() => {})
  await once(silent, 'connection')
  const found = await dialler.dialBesides(idOf(far), [swallows, ...far.getMultiaddrs().map(String)])
  assert.equal(found.remotePeer.toString(), idOf(far))
  assert.equal(hasEnded, false, 'without waiting for it')
  stop.abort()
  await assert.rejects(hanging)
  assert.ok((await near.services.ping.ping(far.peerId)) > 0, 'what was found outlives the dial')
  assert.equal(found.status, 'open')
})

test('what failed is not dialled a second time because the peer store has it too', async () => {
  const [near, far] = [await addNode(), await addNode()]
  const addresses = far.getMultiaddrs().map(String)
  await near.peerStore.merge(far.peerId, { multiaddrs: far.getMultiaddrs() })
  await far.stop()
  let dials = 0
  const counting = Object.create(near, { dial: { value: () => Promise.reject(new Error(`dial ${++dials}`)) } })
  const connections = { best: () => null } as unknown as DiallerSetup['connections']
  const desk = { admitted: async () => {} } as unknown as DiallerSetup['desk']
  const setup = { node: counting as Libp2pNode, desk, connections, counters: createCounters() }
  const dialler = createDialler(setup, new AbortController().signal)
  await assert.rejects(dialler.dial(idOf(far), addresses))
  assert.equal(dials, 0)
  await assert.rejects(dialler.dial(idOf(far), []), /dial 1/, 'and it is, where nothing was named')
})
