// Nobody is served before both sides proved membership, and who is refused hears why.

import assert from 'node:assert/strict'
import { once } from 'node:events'
import type { Duplex } from 'node:stream'
import { after, test } from 'node:test'
import type { Connection } from '@libp2p/interface'
import { multiaddr } from '@multiformats/multiaddr'
import { createPacker } from '../frame-delta.ts'
import { type FederationId, nodeId } from '../kernel/ids.ts'
import { encodeCbor } from '../wire/codec.ts'
import { createNode, type Libp2pNode } from './create-libp2p.ts'
import { bytesOf, createVillage, FEDERATION, newKey, PATIENCE_MS, type TestNode } from './fixtures.ts'
import { frame, readFrame } from './frames.ts'
import { helloMsMax } from './hello.ts'
import { exchangeJoin, JoinUnreachableError } from './join.ts'
import { CONTROL_PROTOCOL, HELLO_PROTOCOL, TUNNEL_PROTOCOL } from './protocols.ts'
import { libp2pDuplex } from './stream-duplex.ts'

/** For the test that lets it pass; everybody else's hello may take its time. */
const HELLO_TIMEOUT_MS = 300
const village = createVillage()
const bare: Libp2pNode[] = []
after(async () => {
  await village.stop()
  await Promise.all(bare.map((node) => node.stop()))
})

/** Holds an invite (it knows the federation) and speaks libp2p, but behaves as a test wants it to. */
async function guest(): Promise<Libp2pNode> {
  const node = await createNode({
    privateKey: await newKey(),
    federation: FEDERATION,
    listen: [],
    announce: [],
    clientMode: true,
  })
  bare.push(node)
  await node.start()
  return node
}

const host = (): Promise<TestNode> => village.add()

const dial = (node: Libp2pNode, to: TestNode): Promise<Connection> =>
  node.dial(multiaddr(to.network.addresses()[0] ?? ''))

async function openStream(connection: Connection, protocol: string): Promise<Duplex> {
  const duplex = libp2pDuplex(await connection.newStream(protocol, { signal: AbortSignal.timeout(PATIENCE_MS) }))
  duplex.on('error', () => {})
  return duplex
}

/** Says a hello that the allow-list believes. */
async function greet(node: Libp2pNode, connection: Connection): Promise<void> {
  village.members.add(nodeId(node.peerId.toString()))
  const duplex = await openStream(connection, HELLO_PROTOCOL)
  duplex.write(frame(bytesOf(`member ${node.peerId}`)))
  duplex.write(frame(encodeCbor({ code: 'welcome', detail: '' })))
  duplex.end().resume()
}

test('who says no hello is dropped in time and gets no other protocol served meanwhile', async () => {
  const a = await village.add({ helloTimeoutMs: HELLO_TIMEOUT_MS })
  const node = await guest()
  const start = performance.now()
  const connection = await dial(node, a)
  const closed = once(connection, 'close', { signal: AbortSignal.timeout(PATIENCE_MS) })
  // It may be dropped before it has said all of this.
  const control = await openStream(connection, CONTROL_PROTOCOL).catch(() => null)
  control?.write(frame(bytesOf('an order')))
  const tunnel = await openStream(connection, TUNNEL_PROTOCOL).catch(() => null)
  tunnel?.write(frame(bytesOf('a header')))
  if (connection.status === 'open') await closed
  else closed.catch(() => undefined)
  assert.ok(performance.now() - start < 10 * HELLO_TIMEOUT_MS)
  assert.deepEqual(a.heard.messages, [])
  assert.equal(a.network.counters()['tunnels-failed'], undefined)
  assert.equal(a.network.counters()['hello-refused-by-us-no-hello'], 1)
})

test('a garbled hello is refused with a code that reaches the other side', async () => {
  const a = await host()
  const node = await guest()
  const duplex = await openStream(await dial(node, a), HELLO_PROTOCOL)
  duplex.write(frame(bytesOf('let me in')))
  const signal = AbortSignal.timeout(PATIENCE_MS)
  await readFrame(duplex, 65_536, signal)
  const verdict = new TextDecoder().decode(await readFrame(duplex, 2_048, signal))
  assert.match(verdict, /stranger/)
})

test('malformed and oversized frames are counted and dropped, and the node lives', async () => {
  const a = await host()
  const node = await guest()
  const connection = await dial(node, a)
  await greet(node, connection)
  await a.heard.until(() => a.heard.connected.length === 1, 'the guest became a member')

  const endless = await openStream(connection, CONTROL_PROTOCOL)
  endless.write(new Uint8Array(16).fill(0xff))
  await a.heard.until(() => a.network.counters()['control-malformed'] === 1, 'a length without end')
  const huge = await openStream(connection, CONTROL_PROTOCOL)
  huge.write(frame(new Uint8Array(70_000)))
  await a.heard.until(() => a.network.counters()['control-malformed'] === 2, 'a frame that is too long')
  const empty = await openStream(connection, CONTROL_PROTOCOL)
  empty.write(new Uint8Array([0]))
  await a.heard.until(() => a.network.counters()['control-malformed'] === 3, 'a frame of nothing')
  const next = await openStream(connection, CONTROL_PROTOCOL)
  next.write(frame(createPacker().pack(bytesOf('sense'))))
  await a.heard.until(() => a.heard.messages.length === 1, 'another stream is read')
  assert.equal(a.network.counters()['control-malformed'], 3)
})

test('a join gets one answer and the connection is closed after it', async () => {
  const a = await host()
  const addresses = [
    '/ip4/127.0.0.1/tcp/1/p2p/12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA',
    ...a.network.addresses(),
  ]
  const request = bytesOf('please')
  const join = { federation: FEDERATION, nodeKey: await newKey(), request, signal: AbortSignal.timeout(PATIENCE_MS) }
  const { answer, from } = await exchangeJoin({ ...join, addresses })
  assert.equal(new TextDecoder().decode(answer), 'PLEASE')
  assert.equal(from, a.network.addresses()[0])
  assert.deepEqual(a.network.connectedPeers(), [])
})

test('a join that reaches nobody says for each address why', async () => {
  const a = await host()
  const nodeKey = await newKey()
  const refused = '/ip4/127.0.0.1/tcp/1/p2p/12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA'
  const federation = 'ef'.repeat(32) as FederationId
  const addresses = [refused, ...a.network.addresses()]
  const joining = exchangeJoin({
    federation,
    nodeKey,
    addresses,
    request: bytesOf('x'),
    signal: AbortSignal.timeout(PATIENCE_MS),
  })
  await assert.rejects(joining, (problem: unknown) => {
    assert.ok(problem instanceof JoinUnreachableError)
    assert.match(problem.attempts[0]?.reason ?? '', /nothing listens there/)
    assert.match(problem.attempts[1]?.reason ?? '', /another federation/)
    return true
  })
})

test('whose handshake took long has longer for its hello, up to half a minute', () => {
  assert.equal(helloMsMax(5_000, 20), 5_000)
  assert.equal(helloMsMax(5_000, 8_000), 16_000)
  assert.equal(helloMsMax(5_000, 29_000), 30_000)
})
