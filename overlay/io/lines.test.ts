// Lines between real nodes: tunnels take them in both directions, strangers get nothing from the port that they share,
// and whoever is cut off loses them at once.

import assert from 'node:assert/strict'
import { once } from 'node:events'
import type { Duplex } from 'node:stream'
import { after, test } from 'node:test'
import { connect } from 'node:tls'
import { LINE_TICKET_CHARS } from '../line-request.ts'
import { createVillage, HEADER, openTunnel, type TestNode } from './fixtures.ts'

const CIPHERS = 'TLS_AES_128_GCM_SHA256'

const village = createVillage()
after(() => village.stop())

async function echoed(tunnel: Duplex, word: string): Promise<string> {
  tunnel.end(word)
  return (await tunnel.toArray()).map(String).join('')
}

const counted = ({ network }: TestNode, name: string): number => network.counters()[name] ?? 0

test('tunnels of both nodes share the line that the one who dialled made', async () => {
  const [a, b] = await village.pair()
  for (const [from, to] of [
    [a, b],
    [b, a],
    [a, b],
  ] as const)
    assert.equal(await echoed(await openTunnel(from, to), 'x'), 'x')
  assert.deepEqual([counted(a, 'lines'), counted(b, 'lines')], [1, 1])
  assert.deepEqual([counted(a, 'tunnels-on-lines'), counted(b, 'tunnels-on-lines')], [2, 1])
})

test('who cannot dial the other asks to be called, and its first tunnel is on a line already', async () => {
  const [a, b] = await village.pair()
  assert.equal(await echoed(await openTunnel(b, a), 'called'), 'called')
  assert.equal(counted(b, 'tunnels-on-lines'), 1)
  assert.deepEqual([counted(a, 'lines'), counted(b, 'lines')], [1, 1])
})

test('the line that carries bulk is left to it', async () => {
  const [a, b] = await village.pair()
  const bulk = await openTunnel(a, b)
  bulk.resume()
  for (let sent = 0; sent < 6 * 1_048_576; sent += 65_536) {
    if (!bulk.write(Buffer.alloc(65_536))) await once(bulk, 'drain')
  }
  await a.heard.until(() => counted(a, 'lines') === 2, 'there is another line')
  assert.equal(await echoed(await openTunnel(a, b), 'small'), 'small')
  bulk.destroy()
})

/** Connects to the port of a node as if it had a ticket, and resolves to the error. */
async function knock(node: TestNode, psk: Uint8Array): Promise<string> {
  const [, , host = '', , port = ''] = (node.network.addresses()[0] ?? '').split('/')
  const pskCallback = () => ({ identity: 'ab'.repeat(LINE_TICKET_CHARS / 2), psk })
  const socket = connect({ host, port: Number(port), minVersion: 'TLSv1.3', pskCallback, ciphers: CIPHERS })
  socket.on('secureConnect', () => assert.fail('a stranger was let in'))
  const [problem] = await once(socket, 'error')
  return String(problem)
}

test('whoever shows a ticket that nobody gave is refused in the handshake, and counted', async () => {
  const [, b] = await village.pair()
  await knock(b, new Uint8Array(32))
  await b.heard.until(() => counted(b, 'lines-refused') === 1, 'it is counted')
  assert.equal(counted(b, 'lines'), 0)
})

test('who is cut off loses its tunnels at once, and opens no others', async () => {
  const [a, b] = await village.pair()
  const tunnel = await openTunnel(a, b)
  tunnel.write('still here')
  await once(tunnel, 'data')
  village.members.delete(a.network.self)
  const lost = once(tunnel, 'error')
  await b.network.cut(a.network.self)
  assert.match(String((await lost)[0]), /lost/)
  const again = await a.network.openTunnel(b.network.self, HEADER, AbortSignal.timeout(2_000))
  assert.equal(again.ok, false)
  village.members.add(a.network.self)
})

test('with lines turned off on one side, tunnels are libp2p streams', async () => {
  const [a, b] = await village.pair({}, { lines: false })
  assert.equal(await echoed(await openTunnel(a, b), 'x'), 'x')
  assert.equal(await echoed(await openTunnel(b, a), 'y'), 'y')
  assert.deepEqual([counted(a, 'tunnels-on-lines'), counted(b, 'tunnels-on-lines')], [0, 0])
})

test('a tunnel that has waited long enough takes a libp2p stream, and the line is there for the next', async () => {
  const [a, b] = await village.pair({ linePatienceMs: 0 })
  assert.equal(await echoed(await openTunnel(a, b), 'first'), 'first')
  assert.equal(counted(a, 'tunnels-on-lines'), 0)
  await a.heard.until(() => counted(a, 'lines') === 1, 'the line is there')
  assert.equal(await echoed(await openTunnel(a, b), 'second'), 'second')
  assert.deepEqual([counted(a, 'tunnels-on-lines'), counted(a, 'lines-failed')], [1, 0])
})
