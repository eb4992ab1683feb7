// Somebody between two members, as a relay or a router is: it may drop, delay and change what passes, and cannot have
// anything believed that was not said.

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { after, test } from 'node:test'
import { bytesOf, createVillage, type TestNode } from './fixtures.ts'

/** What the one in the middle does to bytes that pass; null drops them. */
type Meddle = (bytes: Buffer) => Buffer | null

interface Middle {
  readonly address: string
  meddle: Meddle
  delayMs: number
  close(): void
}

const village = createVillage()
const middles: Middle[] = []
after(async () => {
  for (const middle of middles) middle.close()
  await village.stop()
})

/** Stands in front of a node and passes on what comes, both ways. */
async function standBefore({ network }: TestNode): Promise<Middle> {
  const [, port = '0', peer = ''] = /\/tcp\/(\d+)\/p2p\/(.+)$/.exec(network.addresses()[0] ?? '') ?? []
  const sockets = new Set<Socket>()
  const carry = (from: Socket, to: Socket): void => {
    sockets.add(from)
    from.on('error', () => undefined)
    from.once('close', () => {
      sockets.delete(from)
      to.destroy()
    })
    from.on('data', (bytes: Buffer) => {
      const passed = middle.meddle(bytes)
      if (passed !== null) setTimeout(() => to.writable && to.write(passed), middle.delayMs)
    })
  }
  const server: Server = createServer((client) => {
    const onward = connect(Number(port), '127.0.0.1')
    carry(client, onward)
    carry(onward, client)
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const bound = server.address()
  assert.ok(bound !== null && typeof bound === 'object')
  const middle: Middle = {
    address: `/ip4/127.0.0.1/tcp/${bound.port}/p2p/${peer}`,
    meddle: (bytes) => bytes,
    delayMs: 0,
    close: () => {
      server.close()
      for (const socket of sockets) socket.destroy()
    },
  }
  middles.push(middle)
  return middle
}

/** Two members that reach each other through somebody. */
async function pair(): Promise<{ readonly a: TestNode; readonly b: TestNode; readonly middle: Middle }> {
  const [a, b] = [await village.add(), await village.add()]
  const middle = await standBefore(b)
  a.network.want([{ peer: b.network.self, addresses: [middle.address] }])
  await b.heard.until(() => b.heard.connected.length === 1, 'they are connected')
  return { a, b, middle }
}

const heardTexts = ({ heard }: TestNode): readonly string[] => heard.messages.map(({ text }) => text)

test('bytes that are changed on the way end the connection, and nothing that was not said is ever heard', async () => {
  const { a, b, middle } = await pair()
  a.network.send(b.network.self, bytesOf('said'))
  await b.heard.until(() => heardTexts(b).includes('said'), 'what was said is heard')
  middle.meddle = (bytes) => {
    const changed = Buffer.from(bytes)
    changed[changed.length - 1] = (changed.at(-1) ?? 0) ^ 1
    return changed
  }
  a.network.send(b.network.self, bytesOf('changed'))
  await b.heard.until(() => b.heard.disconnected.length === 1, 'the connection ends')
  middle.meddle = (bytes) => bytes
  await b.heard.until(() => b.heard.connected.length === 2, 'they find each other again')
  // The first of it may be lost: whoever is told later of the new connection drops what it is to send.
  await b.heard.until(() => {
    a.network.send(b.network.self, bytesOf('again'))
    return heardTexts(b).includes('again')
  }, 'what is said then is heard')
  const said = ['said', 'changed', 'again']
  assert.ok(heardTexts(b).every((text) => said.includes(text)))
})

test('what passes cannot be read: neither what is said nor who is a member stands in it', async () => {
  const [a, b] = [await village.add(), await village.add()]
  const middle = await standBefore(b)
  const seen: Buffer[] = []
  middle.meddle = (bytes) => {
    seen.push(bytes)
    return bytes
  }
  a.network.want([{ peer: b.network.self, addresses: [middle.address] }])
  await b.heard.until(() => b.heard.connected.length === 1, 'they are connected')
  a.network.send(b.network.self, bytesOf('a secret of theirs'))
  await b.heard.until(() => heardTexts(b).length === 1, 'it is heard')
  const all = Buffer.concat(seen)
  assert.ok(all.length > 1_000)
  for (const text of ['a secret of theirs', 'member 12D3', a.network.self, '/coppice/control'])
    assert.equal(all.includes(text), false, text)
})

test('what is played again is not heard again', async () => {
  const { a, b, middle } = await pair()
  middle.meddle = (bytes) => Buffer.concat([bytes, bytes])
  a.network.send(b.network.self, bytesOf('once'))
  await b.heard.until(() => b.heard.disconnected.length === 1, 'the connection ends')
  assert.ok(heardTexts(b).filter((text) => text === 'once').length <= 1)
})

test('what is held up arrives late and whole', async () => {
  const { a, b, middle } = await pair()
  middle.delayMs = 150
  for (let number = 0; number < 20; number++) a.network.send(b.network.self, bytesOf(`late ${number}`))
  await b.heard.until(() => heardTexts(b).length === 20, 'all of it is heard')
  assert.deepEqual(
    heardTexts(b),
    Array.from({ length: 20 }, (_, number) => `late ${number}`),
  )
})
