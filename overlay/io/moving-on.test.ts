// The way to a peer is dead, and it comes again over another one: what waits goes on over that.

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { after, test } from 'node:test'
import { createVillage, HEADER, openTunnel, PATIENCE_MS, type TestNode, wantOf } from './fixtures.ts'

const village = createVillage()
const sockets = new Set<Socket>()
after(async () => {
  for (const socket of sockets) socket.destroy()
  await village.stop()
})

/** A way to a port that can go dead: its connections stay, and nothing comes through any more. */
async function openWay(to: number): Promise<{ readonly port: number; die(): void }> {
  const server = createServer((near) => {
    const far = connect(to, '127.0.0.1')
    for (const socket of [near, far]) sockets.add(socket.on('error', () => {}))
    near.pipe(far).pipe(near)
    near.on('close', () => far.destroy())
    far.on('close', () => near.destroy())
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const die = (): void => {
    server.close()
    for (const socket of sockets) socket.unpipe().pause()
  }
  return { port: (server.address() as AddressInfo).port, die }
}

/** Of two members the first has dialled the second by a way that can die. */
async function pairOverWay() {
  const [a, b] = [await village.add(), await village.add()]
  const way = await openWay(Number(b.network.addresses()[0]?.split('/')[4]))
  a.network.want([{ peer: b.network.self, addresses: [`/ip4/127.0.0.1/tcp/${way.port}`] }])
  await a.heard.until(() => a.network.connectedPeers().length === 1, 'the first hears of the second')
  return { a, b, way }
}

/** The same member from another place. */
async function comeAgain(b: TestNode, to: TestNode): Promise<void> {
  const again = await village.add({ privateKey: b.key })
  again.network.want(wantOf(to))
}

const openWhileDead = (a: TestNode, b: TestNode) =>
  a.network.openTunnel(b.network.self, HEADER, AbortSignal.timeout(PATIENCE_MS))

test('a tunnel that was asked for on a dead line is opened where the peer is now', async () => {
  const { a, b, way } = await pairOverWay()
  const first = await openTunnel(a, b)
  way.die()
  const opening = openWhileDead(a, b)
  await comeAgain(b, a)
  const opened = await opening
  assert.ok(opened.ok, JSON.stringify(opened))
  assert.equal(a.network.counters()['tunnels-moved'], 1)
  opened.value.end('here')
  assert.equal(String(await opened.value.toArray()), 'here')
  first.destroy()
})

test('so is one that waited for a line, and the line is made over the connection that works', async () => {
  const { a, b, way } = await pairOverWay()
  way.die()
  const opening = openWhileDead(a, b)
  await comeAgain(b, a)
  const opened = await opening
  assert.ok(opened.ok, JSON.stringify(opened))
  const counters = a.network.counters()
  assert.deepEqual([counters['tunnels-moved'], counters['tunnels-on-lines'], counters['lines-failed'] ?? 0], [1, 1, 0])
  opened.value.destroy()
})
