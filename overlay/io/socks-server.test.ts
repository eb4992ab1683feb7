// The SOCKS5 proxy in front of real sockets, spoken to by hand.

import assert from 'node:assert/strict'
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { type AddressInfo, connect as connectTcp, createServer, type Server, type Socket } from 'node:net'
import { after, before, test } from 'node:test'
import { err, ok } from '../kernel/result.ts'
import { dialDatagrams } from './datagram-duplex.ts'
import { PATIENCE_MS } from './fixtures.ts'
import { openSocksServer } from './socks-server.ts'
import type { Connect, ConnectProblem, Listener } from './way-in.ts'

const NAME = 'app.ns.web.ns.0.rr.local'
const ADDRESS = '127.30.0.7'
const problems: ConnectProblem[] = []
const asked: string[] = []
let service: Server
let socks: Listener

const datagrams = createSocket('udp4')

/** Names with port 80 lead to a service that sends back what it gets, 53 to one of datagrams, others nowhere. */
const connect: Connect = async (address, signal, { protocol, from }) => {
  asked.push(`${protocol} ${address}`)
  assert.equal(from?.address, '127.0.0.1')
  if (protocol === 'udp' && address.endsWith(':53')) {
    return ok(await dialDatagrams('127.0.0.1', datagrams.address().port, signal))
  }
  if (!address.endsWith(':80')) return err({ code: 'no-such-port', sentence: `${address} declares no such port` })
  const socket = connectTcp({ port: (service.address() as AddressInfo).port, host: '127.0.0.1', allowHalfOpen: true })
  await once(socket, 'connect')
  return ok(socket)
}

before(async () => {
  service = createServer({ allowHalfOpen: true }, (socket) => socket.pipe(socket)).listen(0, '127.0.0.1')
  datagrams.bind(0, '127.0.0.1')
  await Promise.all([once(service, 'listening'), once(datagrams, 'listening')])
  datagrams.on('message', (datagram, { port, address }) => datagrams.send(`re: ${datagram}`, port, address))
  const nameAt = (address: string) => (address === ADDRESS ? NAME : null)
  socks = await openSocksServer({ port: 0, connect, nameAt, onProblem: (problem) => problems.push(problem) })
})
after(async () => {
  await socks.close()
  service.close()
  datagrams.close()
})

const named = (name: string, port: number) => [3, name.length, ...Buffer.from(name), port >> 8, port & 255]
const received = async (socket: Socket): Promise<Buffer> =>
  (await once(socket, 'data', { signal: AbortSignal.timeout(PATIENCE_MS) }))[0] as Buffer

async function greeted(methods: readonly number[] = [0]): Promise<Socket> {
  const socket = connectTcp({ port: socks.port, host: socks.host, allowHalfOpen: true })
  socket.write(Uint8Array.from([5, methods.length, ...methods]))
  assert.deepEqual([...(await received(socket))], [5, methods.includes(0) ? 0 : 255])
  return socket
}

async function requested(command: number, target: readonly number[]) {
  const socket = await greeted()
  socket.write(Uint8Array.from([5, command, 0, ...target]))
  const reply = await received(socket)
  return { socket, code: reply[1], port: reply.readUInt16BE(8) }
}

test('a name and a virtual address lead to the service, half-close included', async () => {
  for (const target of [named(NAME, 80), [1, 127, 30, 0, 7, 0, 80]]) {
    const { socket, code } = await requested(1, target)
    assert.equal(code, 0)
    socket.end('to the end')
    const chunks: Buffer[] = []
    for await (const chunk of socket) chunks.push(chunk as Buffer)
    assert.equal(Buffer.concat(chunks).toString(), 'to the end')
    assert.equal(asked.at(-1), `tcp ${NAME}:80`)
  }
})

test('bytes that come with the request are not lost', async () => {
  const socket = connectTcp(socks.port, socks.host)
  socket.write(Uint8Array.from([5, 1, 0, 5, 1, 0, ...named(NAME, 80), ...Buffer.from('early')]))
  const chunks: Buffer[] = []
  while (Buffer.concat(chunks).length < 2 + 10 + 5) chunks.push(await received(socket))
  assert.equal(Buffer.concat(chunks).subarray(12).toString(), 'early')
  socket.destroy()
})

test('what cannot be carried is refused with its code', async () => {
  assert.equal((await requested(1, named(NAME, 99))).code, 5)
  assert.equal((await requested(1, [1, 192, 0, 2, 1, 0, 80])).code, 2)
  assert.equal(problems.at(-1)?.code, 'not-ours')
  assert.equal((await requested(2, named(NAME, 80))).code, 7)
  const socket = await greeted([2])
  socket.resume()
  await once(socket, 'end')
  socket.destroy()
})

test('datagrams of an association reach the service and come back under their header', async () => {
  const { socket, code, port } = await requested(3, [1, 0, 0, 0, 0, 0, 0])
  assert.equal(code, 0)
  const client = createSocket('udp4')
  for (const target of [named(NAME, 53), [1, 127, 30, 0, 7, 0, 53]]) {
    const header = Buffer.from([0, 0, 0, ...target])
    client.send(Buffer.concat([header, Buffer.from('hello')]), port, '127.0.0.1')
    const [answer] = (await once(client, 'message', { signal: AbortSignal.timeout(PATIENCE_MS) })) as [Buffer]
    assert.deepEqual(answer, Buffer.concat([header, Buffer.from('re: hello')]))
  }
  // When the connection ends, so does the port: what is sent there comes back as refused.
  socket.destroy()
  const gone = createSocket('udp4')
  gone.connect(port, '127.0.0.1')
  await once(gone, 'connect')
  const refused = once(gone, 'error', { signal: AbortSignal.timeout(PATIENCE_MS) })
  const again = setInterval(() => gone.send('anybody?', () => {}), 20)
  assert.equal(((await refused)[0] as NodeJS.ErrnoException).code, 'ECONNREFUSED')
  clearInterval(again)
  gone.close()
  client.close()
})
