// The proxy, the loopback addresses and the forward, each in front of a real HTTP server.

import assert from 'node:assert/strict'
import { createSocket, type Socket as DatagramSocket } from 'node:dgram'
import { once } from 'node:events'
import { Agent, createServer, type IncomingMessage, request } from 'node:http'
import {
  type AddressInfo,
  connect as connectTcp,
  createServer as createTcpServer,
  type Server,
  type Socket,
} from 'node:net'
import type { Duplex } from 'node:stream'
import { after, before, test } from 'node:test'
import { err, ok } from '../kernel/result.ts'
import { dialDatagrams } from './datagram-duplex.ts'
import { PATIENCE_MS } from './fixtures.ts'
import { openForward } from './forward.ts'
import { openHttpProxy } from './http-proxy.ts'
import { openVirtualListeners, type VirtualPort } from './virtual-listeners.ts'
import type { Connect, ConnectProblem, Listener } from './way-in.ts'

const NAME = 'app.ns.web.ns.0.rr.local'
const MIB = 1_048_576

const tcp = (port: number): VirtualPort => ({ port, protocol: 'tcp' })

let proxy: Listener
let service: Server
let dead: Server
const asked: string[] = []
const ahead: string[] = []
const problems: ConnectProblem[] = []
const onProblem = (problem: ConnectProblem): void => void problems.push(problem)

/** Names with port 80 (or 18080, and 82) lead to the HTTP service, 81 to one that hangs up, others nowhere. */
const connect: Connect = async (address, _signal, { caller }) => {
  asked.push(address)
  if (address.endsWith(':82')) ahead.push(await saidAhead(caller))
  const server = /:(80|82|18080)$/.test(address) ? service : address.endsWith(':81') ? dead : null
  if (server === null) return err({ code: 'no-such-port', sentence: `${address} declares no such port` })
  const socket = connectTcp({ port: (server.address() as AddressInfo).port, host: '127.0.0.1', allowHalfOpen: true })
  await once(socket, 'connect')
  return ok(socket)
}

before(async () => {
  service = createServer(async (incoming, response) => {
    const body = Buffer.concat(await incoming.toArray())
    response.setHeader('Set-Cookie', ['a=1', 'b=2'])
    response.setHeader('Connection', 'close, X-Hop')
    response.setHeader('X-Hop', 'stays here')
    response.statusCode = 201
    response.end(
      JSON.stringify({ method: incoming.method, url: incoming.url, headers: incoming.headers, bytes: body.length }),
    )
  })
  service.on('upgrade', (_incoming, socket: Socket) => {
    socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n')
    socket.pipe(socket)
  })
  dead = createTcpServer((socket) => socket.destroy())
  for (const server of [service, dead]) {
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
  }
  proxy = await openHttpProxy({ port: 0, connect })
})
after(async () => {
  await proxy.close()
  service.close()
  dead.close()
})

/** How a request begins that goes ahead of its connection, to the port 82: said before there is one. */
async function saidAhead(caller: Duplex | undefined): Promise<string> {
  assert.ok(caller)
  if (caller.readableLength === 0) await once(caller, 'readable', { signal: AbortSignal.timeout(PATIENCE_MS) })
  const head: Buffer = caller.read(caller.readableLength)
  caller.unshift(head)
  return head.toString().split('\r\n')[0] ?? ''
}

interface Answer {
  readonly status: number | undefined
  readonly headers: IncomingMessage['headers']
  readonly body: string
}

async function ask(options: {
  readonly path: string
  readonly host?: string
  readonly method?: string
  readonly body?: Buffer
  readonly agent?: Agent
  readonly headers?: Record<string, string>
}): Promise<Answer> {
  const { path, host = NAME, method = 'GET', body, agent, headers = {} } = options
  const { port } = proxy
  const asking = request({
    host: '127.0.0.1',
    port,
    path,
    method,
    headers: { host, ...headers },
    ...(agent ? { agent } : {}),
  })
  asking.end(body)
  const [answer] = (await once(asking, 'response', { signal: AbortSignal.timeout(PATIENCE_MS) })) as [IncomingMessage]
  return { status: answer.statusCode, headers: answer.headers, body: Buffer.concat(await answer.toArray()).toString() }
}

/** Speaks HTTP by hand over one connection to the proxy. */
async function raw(text: string): Promise<Socket> {
  const socket = connectTcp(proxy.port, '127.0.0.1')
  await once(socket, 'connect')
  socket.write(text)
  return socket
}

const firstBytes = async (socket: Duplex): Promise<string> => String((await once(socket, 'data'))[0])

test('a request in absolute form reaches the service without the fields of the hop', async () => {
  const headers = { Connection: 'keep-alive, X-Secret', 'X-Secret': '1', 'Proxy-Authorization': 'x', 'X-Mine': '2' }
  const { status, headers: answered, body } = await ask({ path: `http://${NAME}/a?b=c`, headers })
  const seen = JSON.parse(body)
  assert.equal(status, 201)
  assert.equal(seen.url, '/a?b=c')
  assert.equal(seen.headers.host, NAME)
  assert.equal(seen.headers['x-mine'], '2')
  assert.equal(seen.headers['x-secret'], undefined)
  assert.equal(seen.headers['proxy-authorization'], undefined)
  assert.equal(answered['x-hop'], undefined)
  assert.deepEqual(answered['set-cookie'], ['a=1', 'b=2'])
})

test('one connection of a client serves several requests, also to different names', async () => {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 })
  const first = await ask({ path: '/1', agent })
  const second = await ask({ path: `http://other.ns.web.ns.0.rr.local/2`, agent })
  const sockets = Object.values(agent.freeSockets).flat().length
  agent.destroy()
  assert.deepEqual([first.status, second.status, sockets], [201, 201, 1])
  assert.equal(asked.at(-1), 'other.ns.web.ns.0.rr.local:80')
})

test('a large body goes through with and without a length', async () => {
  const body = Buffer.alloc(8 * MIB, 1)
  const known = await ask({ path: '/', method: 'POST', body, headers: { 'Content-Length': String(body.length) } })
  const chunked = await ask({ path: '/', method: 'PUT', body, headers: { 'Transfer-Encoding': 'chunked' } })
  assert.deepEqual([JSON.parse(known.body).bytes, JSON.parse(chunked.body).bytes], [body.length, body.length])
})

test('a body that the service did not want does not stand before the next request of its client', async () => {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 })
  const body = Buffer.alloc(4 * MIB)
  const statuses: (number | undefined)[] = []
  for (const port of [81, 99])
    statuses.push((await ask({ path: `http://${NAME}:${port}/`, method: 'POST', body, agent })).status)
  statuses.push((await ask({ path: '/next', agent })).status)
  agent.destroy()
  assert.deepEqual(statuses, [502, 502, 201])
})

test('names that are not ours, names that do not parse and services that are not there each say so', async () => {
  const foreign = await ask({ path: 'http://example.org/' })
  const typo = await ask({ path: 'http://web.local/' })
  const noPort = await ask({ path: `http://${NAME}:99/` })
  const cut = await ask({ path: `http://${NAME}:81/` })
  assert.deepEqual([foreign.status, typo.status, noPort.status, cut.status], [403, 404, 502, 502])
  assert.equal(JSON.parse(noPort.body).error.code, 'no-such-port')
  assert.match(JSON.parse(foreign.body).error.message, /ends in "\.local"/)
})

test('a request is there to go ahead before its connection is, by the proxy and by a forward', async () => {
  const stop = new AbortController()
  const there = {
    address: `${NAME}:82`,
    localPort: 0,
    protocol: 'tcp',
    connect,
    onProblem,
    signal: stop.signal,
  } as const
  const { host, port } = await openForward(there)
  const answers = [
    (await ask({ path: `http://${NAME}:82/ahead`, method: 'POST', body: Buffer.alloc(MIB) })).body,
    await (await fetch(`http://${host}:${port}/behind`)).text(),
  ]
  stop.abort()
  assert.deepEqual(ahead, ['POST /ahead HTTP/1.1', 'GET /behind HTTP/1.1'])
  assert.deepEqual(
    answers.map((answer) => JSON.parse(answer).bytes),
    [MIB, 0],
  )
})

test('CONNECT carries bytes both ways and refuses other names', async () => {
  const socket = await raw(`CONNECT ${NAME}:80 HTTP/1.1\r\n\r\n`)
  assert.match(await firstBytes(socket), /^HTTP\/1\.1 200 /)
  socket.write(`GET /x HTTP/1.1\r\nHost: y\r\n\r\n`)
  assert.match(await firstBytes(socket), /^HTTP\/1\.1 201 /)
  socket.destroy()
  assert.match(await firstBytes(await raw('CONNECT example.org:443 HTTP/1.1\r\n\r\n')), /^HTTP\/1\.1 403 /)
})

test('an upgrade passes, and bytes go both ways after it', async () => {
  const socket = await raw(
    `GET http://${NAME}/ws HTTP/1.1\r\nHost: ${NAME}\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n`,
  )
  assert.match(await firstBytes(socket), /^HTTP\/1\.1 101 /)
  socket.write('hello')
  assert.equal(await firstBytes(socket), 'hello')
  socket.destroy()
})

test('a forward listens until it is told to stop', async () => {
  const stop = new AbortController()
  const { host, port } = await openForward({
    address: `${NAME}:80`,
    localPort: 0,
    protocol: 'tcp',
    connect,
    onProblem,
    signal: stop.signal,
  })
  const answer = await fetch(`http://${host}:${port}/forwarded`)
  assert.equal(JSON.parse(await answer.text()).url, '/forwarded')
  stop.abort()
  const refused = connectTcp(port, host)
  const [problem] = await once(refused, 'error')
  assert.equal(problem.code, 'ECONNREFUSED')
})

test('a service answers on its loopback address and no longer when it is gone', async () => {
  const listeners = openVirtualListeners({ connect, onProblem })
  await listeners.set([{ name: NAME, host: '127.30.200.7', ports: [tcp(18_080), tcp(18_081)] }])
  assert.deepEqual(listeners.open(), ['127.30.200.7:18080', '127.30.200.7:18081'])
  const answer = await fetch('http://127.30.200.7:18080/virtual')
  assert.equal(JSON.parse(await answer.text()).url, '/virtual')
  // A declared port that leads nowhere is reset, and the reason is told.
  const [problem] = await once(connectTcp(18_081, '127.30.200.7'), 'error')
  assert.equal(problem.code, 'ECONNRESET')
  assert.equal(problems.at(-1)?.code, 'no-such-port')

  await listeners.set([{ name: NAME, host: '127.30.200.7', ports: [tcp(18_080)] }])
  assert.deepEqual(listeners.open(), ['127.30.200.7:18080'])
  await listeners.set([{ name: NAME, host: '192.0.2.1', ports: [tcp(18_080)] }])
  assert.deepEqual(listeners.open(), [])
  assert.equal(problems.at(-1)?.code, 'listen-failed')
  await listeners.close()
})

/** A UDP service that answers each datagram, and the sockets of its callers. */
async function echoDatagrams() {
  const server = createSocket('udp4').bind(0, '127.0.0.1')
  await once(server, 'listening')
  server.on('message', (datagram, { port, address }) => server.send(`re: ${datagram}`, port, address))
  return server
}

async function askDatagram(socket: DatagramSocket, text: string, port: number, host: string): Promise<string> {
  const answered = once(socket, 'message', { signal: AbortSignal.timeout(PATIENCE_MS) })
  socket.send(text, port, host)
  return String((await answered)[0])
}

test('datagrams go through a forward and a virtual address, each caller on a flow of its own', async () => {
  const server = await echoDatagrams()
  const opened: string[] = []
  const connectUdp: Connect = async (address, signal, { protocol }) => {
    opened.push(`${protocol} ${address}`)
    return ok(await dialDatagrams('127.0.0.1', server.address().port, signal))
  }
  const stop = new AbortController()
  const forwarded = await openForward({
    address: `${NAME}:53`,
    localPort: 0,
    protocol: 'udp',
    connect: connectUdp,
    onProblem,
    signal: stop.signal,
  })
  const callers = [createSocket('udp4'), createSocket('udp4')]
  for (const [index, caller] of callers.entries()) {
    for (const turn of [1, 2]) {
      const said = await askDatagram(caller, `${index} ${turn}`, forwarded.port, forwarded.host)
      assert.equal(said, `re: ${index} ${turn}`)
    }
  }
  assert.deepEqual(opened, [`udp ${NAME}:53`, `udp ${NAME}:53`])

  const listeners = openVirtualListeners({ connect: connectUdp, onProblem })
  await listeners.set([{ name: NAME, host: '127.30.200.8', ports: [{ port: 18_053, protocol: 'udp' }] }])
  assert.equal(await askDatagram(callers[0] as DatagramSocket, 'hi', 18_053, '127.30.200.8'), 're: hi')
  await listeners.close()
  stop.abort()
  for (const socket of [...callers, server]) socket.close()
})

test('a datagram for which there is no service is dropped, and the reason is told', async () => {
  const stop = new AbortController()
  const told = Promise.withResolvers<ConnectProblem>()
  const { host, port } = await openForward({
    address: `${NAME}:99`,
    localPort: 0,
    protocol: 'udp',
    connect,
    onProblem: told.resolve,
    signal: stop.signal,
  })
  const caller = createSocket('udp4')
  caller.send('anybody?', port, host)
  assert.equal((await told.promise).code, 'no-such-port')
  caller.close()
  stop.abort()
})
