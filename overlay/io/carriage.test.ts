// Lines over a relay: tunnels take them, the relay sees nothing of what they carry, joins nobody who was not announced,
// and a direct connection is preferred as soon as there is one.

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type AddressInfo, connect, createServer } from 'node:net'
import { type Duplex, Transform } from 'node:stream'
import { after, test } from 'node:test'
import { CARRIED } from '../carriage.ts'
import { preamble, TICKET_CHARS } from '../tickets.ts'
import { createVillage, openTunnel, PATIENCE_MS, type TestNode, wantOf } from './fixtures.ts'

const village = createVillage()
after(() => village.stop())

const counted = ({ network }: TestNode, name: string): number => network.counters()[name] ?? 0
const relayedOf = ({ network }: TestNode): readonly string[] =>
  network.addresses().filter((address) => address.includes('/p2p-circuit'))

/** Two members that reach each other through a third only. The first says where it dials the relay. */
async function behindRelay(
  options: Parameters<typeof village.add>[0] = {},
  relayAt: (relay: TestNode) => Promise<readonly string[]> = async ({ network }) => network.addresses(),
): Promise<readonly [TestNode, TestNode, TestNode]> {
  const relay = await village.add({ ...options, relay: true })
  const [a, b] = [await village.add({ listen: [] }), await village.add({ listen: ['/p2p-circuit'] })]
  b.network.want(wantOf(relay))
  await b.heard.until(() => relayedOf(b).length > 0, 'b has an address on the relay')
  const seen = { peer: relay.network.self, addresses: await relayAt(relay) }
  a.network.want([seen])
  await a.heard.until(() => a.network.connectedPeers().length === 1, 'a is connected to the relay')
  a.network.want([seen, { peer: b.network.self, addresses: relayedOf(b) }])
  await a.heard.until(() => a.network.connectedPeers().length === 2, 'a is connected to b')
  return [a, b, relay]
}

async function echoed(tunnel: Duplex, word: string): Promise<string> {
  tunnel.end(word)
  return (await tunnel.toArray()).map(String).join('')
}

/** A way to the first address of a node on which all that passes from the dialler is kept. */
async function tapped(to: TestNode) {
  const [, , host = '', , port] = (to.network.addresses()[0] ?? '').split('/')
  const flows: Buffer[][] = []
  const server = createServer((inner) => {
    const flow: Buffer[] = []
    flows.push(flow)
    const keep = new Transform({
      transform: (chunk: Buffer, _encoding, done) => {
        flow.push(chunk)
        done(null, chunk)
      },
    })
    const outer = connect({ host, port: Number(port) })
    for (const [one, other] of [
      [inner, outer],
      [outer, inner],
    ] as const)
      one.on('error', () => {}).on('close', () => other.destroy())
    inner.pipe(keep).pipe(outer)
    outer.pipe(inner)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  after(() => server.close())
  const at = (server.address() as AddressInfo).port
  return {
    address: `/ip4/127.0.0.1/tcp/${at}/p2p/${to.network.self}`,
    flows: () => flows.map((flow) => Buffer.concat(flow)),
  }
}

test('tunnels over a relay take a line that it carries, both ways, and it sees nothing of them', async () => {
  let flows: () => readonly Buffer[] = () => []
  const [a, b, relay] = await behindRelay({}, async (node) => {
    const tap = await tapped(node)
    flows = tap.flows
    return [tap.address]
  })
  const secret = 'nobody between us reads this. '.repeat(1_000)
  assert.equal(await echoed(await openTunnel(a, b), secret), secret)
  assert.equal(await echoed(await openTunnel(b, a), secret), secret)
  assert.deepEqual([counted(a, 'tunnels-on-lines'), counted(b, 'tunnels-on-lines')], [1, 1])
  assert.equal(counted(relay, 'lines-carried'), 1)

  const carried = flows().filter((flow) => flow[0] === CARRIED)
  assert.equal(carried.length, 1)
  assert.ok((carried[0]?.length ?? 0) > secret.length)
  for (const flow of flows()) assert.ok(!flow.includes('nobody between us'))
})

test('who is cut off at the relay loses what it carries', async () => {
  const [a, b, relay] = await behindRelay()
  const tunnel = await openTunnel(a, b)
  tunnel.resume()
  const lost = assert.rejects(once(tunnel, 'close', { signal: AbortSignal.timeout(PATIENCE_MS) }), /the line was lost/)
  await relay.network.cut(a.network.self)
  await lost
  assert.equal(tunnel.readableEnded, false)
})

test('where the relay carries no lines, tunnels are libp2p streams through it', async () => {
  const [a, b] = await behindRelay({ lines: false })
  assert.equal(await echoed(await openTunnel(a, b), 'x'), 'x')
  assert.deepEqual([counted(a, 'tunnels-on-lines'), counted(a, 'lines-failed')], [0, 1])
})

test('a relay joins nobody who shows a ticket that it did not give', async () => {
  const relay = await village.add({ relay: true })
  const [, , host = '', , port] = (relay.network.addresses()[0] ?? '').split('/')
  const stranger = connect({ host, port: Number(port) })
  const heard: Buffer[] = []
  stranger.on('data', (bytes) => heard.push(bytes)).on('error', () => {})
  stranger.write(preamble(CARRIED, '0'.repeat(TICKET_CHARS)))
  await once(stranger, 'close', { signal: AbortSignal.timeout(PATIENCE_MS) })
  assert.deepEqual([heard.length, counted(relay, 'carriage-refused')], [0, 1])
})

test('new tunnels leave the relay when there is a direct connection, and the old one goes on', async () => {
  const relay = await village.add({ relay: true })
  const a = await village.add({ listen: ['/ip4/127.0.0.1/tcp/0', '/p2p-circuit'] })
  const b = await village.add({ listen: [] })
  a.network.want(wantOf(relay))
  await a.heard.until(() => relayedOf(a).length > 0, 'a has an address on the relay')
  b.network.want([...wantOf(relay), { peer: a.network.self, addresses: relayedOf(a) }])
  const pathToA = () => b.heard.connected.findLast(({ peer }) => peer === a.network.self)?.path
  await b.heard.until(() => pathToA() === 'relay', 'b reaches a through the relay')
  const before = await openTunnel(b, a)
  b.network.want([...wantOf(relay), { peer: a.network.self, addresses: a.network.addresses() }])
  await b.heard.until(() => pathToA() === 'direct', 'b reaches a directly')
  const after = await openTunnel(b, a)
  assert.equal(counted(b, 'lines'), 2)
  assert.equal(await echoed(before, 'old'), 'old')
  await relay.network.stop()
  assert.equal(await echoed(after, 'new'), 'new')
})
