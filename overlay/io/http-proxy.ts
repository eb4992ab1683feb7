// An HTTP/1.1 forward proxy on loopback whose names are services. Each request gets its own tunnel, so that a round
// robin is one per request; the client's connection is kept alive across them.

import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type Duplex, duplexPair } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import {
  endToEndFields,
  type HeaderFields,
  type HttpRefusal,
  type HttpTarget,
  headerFields,
  readConnectTarget,
  readTarget,
  upgradeFields,
} from '../http-forwarding.ts'
import { err, type Result } from '../kernel/result.ts'
import { takeIpv6Loopback } from './both-loopbacks.ts'
import { splice } from './splice.ts'
import { type Call, type Connect, callOver, goneSignal, type Listener, listening } from './way-in.ts'

export interface HttpProxyOptions {
  /** 0 takes a free port. */
  readonly port: number
  readonly connect: Connect
  /** A request that was not carried, e.g. for a log line. */
  readonly onRefused?: (address: string, refusal: HttpRefusal) => void
}

const LOOPBACK = '127.0.0.1'
/** Bounds a slow header (Node's default); bodies may take as long as they flow. */
const HEADERS_TIMEOUT_MS = 60_000
const CONNECTIONS_MAX = 4_096
/** Clients keep a connection to a proxy for the next request; longer than most of their own idle times. */
const KEEP_ALIVE_TIMEOUT_MS = 60_000
const VIA = '1.1 coppice'

/** Starts the proxy on loopback. Rejects with the operating system's error when the port is taken. */
export async function openHttpProxy(options: HttpProxyOptions): Promise<Listener> {
  const server = createServer({ requestTimeout: 0, headersTimeout: HEADERS_TIMEOUT_MS })
  server.keepAliveTimeout = KEEP_ALIVE_TIMEOUT_MS
  server.maxConnections = CONNECTIONS_MAX
  server.on('request', (incoming, response) => void carryRequest(options, incoming, response))
  server.on('upgrade', (incoming, socket, head) => void carryUpgrade(options, incoming, socket, head))
  server.on('connect', (incoming, socket, head) => void carryConnect(options, incoming, socket, head))
  server.on('clientError', (_problem, socket) => {
    if (socket.writable) socket.end(rawRefusal({ status: 400, code: 'malformed', sentence: 'this is no HTTP request' }))
  })
  await listening(server, { host: LOOPBACK, port: options.port })
  const { port } = server.address() as AddressInfo
  await takeIpv6Loopback(server, port)
  const tunnels = new Set<Duplex>()
  server.on('connection', (socket) => {
    tunnels.add(socket)
    socket.once('close', () => tunnels.delete(socket))
  })
  return {
    host: LOOPBACK,
    port,
    close: async () => {
      const { promise, resolve } = Promise.withResolvers<void>()
      server.close(() => resolve())
      for (const socket of tunnels) socket.destroy()
      await promise
    },
  }
}

/** Finds the service's connection, or says why there is none. */
async function reach(
  { connect, onRefused }: HttpProxyOptions,
  target: Result<HttpTarget, HttpRefusal>,
  requested: string,
  signal: AbortSignal,
  call: Call,
): Promise<Result<{ readonly path: string; readonly tunnel: Duplex }, HttpRefusal>> {
  const refuse = (refusal: HttpRefusal) => {
    onRefused?.(requested, refusal)
    return err(refusal)
  }
  if (!target.ok) return refuse(target.error)
  const connected = await connect(target.value.address, signal, call)
  if (!connected.ok) return refuse({ status: 502, ...connected.error })
  return { ok: true, value: { path: target.value.path, tunnel: connected.value } }
}

async function carryRequest(
  options: HttpProxyOptions,
  incoming: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const { url = '/', headers } = incoming
  const target = readTarget(url, headers.host)
  // The request is written while its tunnel is being opened, so that its first bytes may go ahead of that.
  const [near, caller] = duplexPair()
  const fields = endToEndFields(headerFields(incoming.rawHeaders))
  const outgoing = requestOver(near, incoming, target.ok ? target.value.path : '/', fields)
  let isRefused = false
  outgoing.on('response', (answer) => void carryAnswer(answer, response, near))
  outgoing.on('error', (problem) => {
    near.destroy()
    if (isRefused) return
    if (response.headersSent) response.destroy(problem)
    else answerRefusal(response, cutRefusal(problem))
  })
  response.on('close', () => {
    if (!response.writableFinished) outgoing.destroy()
  })
  // What nobody takes any more is read to its end: behind it comes the client's next request.
  outgoing.on('close', () => incoming.unpipe(outgoing).resume())
  incoming.pipe(outgoing)
  const call = { ...callOver(incoming.socket), caller }
  const reached = await reach(options, target, url, goneSignal(response), call)
  if (reached.ok) return join(caller, reached.value.tunnel)
  isRefused = true
  outgoing.destroy()
  answerRefusal(response, reached.error)
}

function requestOver(tunnel: Duplex, incoming: IncomingMessage, path: string, fields: HeaderFields) {
  const all: HeaderFields = [...fields, ['Via', VIA]]
  // A body without a length is sent in chunks again; a field of ours, as theirs concerned their connection only.
  const isChunked = incoming.headers['transfer-encoding'] !== undefined
  return request({
    method: incoming.method ?? 'GET',
    path,
    headers: flat(isChunked ? [...all, ['Transfer-Encoding', 'chunked']] : all),
    setHost: false,
    createConnection: () => tunnel,
  })
}

async function carryAnswer(answer: IncomingMessage, response: ServerResponse, tunnel: Duplex): Promise<void> {
  const fields: HeaderFields = [...endToEndFields(headerFields(answer.rawHeaders)), ['Via', VIA]]
  try {
    response.writeHead(answer.statusCode ?? 502, answer.statusMessage, flat(fields))
    await pipeline(answer, response)
  } catch {
    // What was cut is cut for the client too, so that half a body is not taken for the whole.
    response.destroy()
  } finally {
    tunnel.destroy()
  }
}

/** WebSocket and its like: once the service agrees, bytes both ways. */
async function carryUpgrade(options: HttpProxyOptions, incoming: IncomingMessage, socket: Duplex, head: Buffer) {
  socket.on('error', () => {})
  const { url = '/', headers } = incoming
  const reached = await reach(
    options,
    readTarget(url, headers.host),
    url,
    goneSignal(socket),
    callOver(incoming.socket),
  )
  if (!reached.ok) {
    socket.end(rawRefusal(reached.error))
    return
  }
  const { path, tunnel } = reached.value
  const outgoing = requestOver(tunnel, incoming, path, upgradeFields(headerFields(incoming.rawHeaders)))
  outgoing.on('upgrade', (answer, upgraded, rest) => {
    socket.write(rawHead(answer, headerFields(answer.rawHeaders)))
    if (rest.length > 0) socket.write(rest)
    if (head.length > 0) upgraded.write(head)
    splice(socket, upgraded)
  })
  outgoing.on('response', (answer) => {
    // The service stays with HTTP: its answer is passed on, and with it the connection ends.
    const fields = endToEndFields(headerFields(answer.rawHeaders))
    socket.write(rawHead(answer, [...fields, ['Connection', 'close']]))
    pipeline(answer, socket).catch(() => socket.destroy())
  })
  outgoing.on('error', (problem) => {
    tunnel.destroy()
    socket.end(rawRefusal(cutRefusal(problem)))
  })
  outgoing.end()
}

async function carryConnect(options: HttpProxyOptions, incoming: IncomingMessage, socket: Duplex, head: Buffer) {
  socket.on('error', () => {})
  const url = incoming.url ?? ''
  const reached = await reach(options, readConnectTarget(url), url, goneSignal(socket), callOver(incoming.socket))
  if (!reached.ok) {
    socket.end(rawRefusal(reached.error))
    return
  }
  const { tunnel } = reached.value
  socket.write('HTTP/1.1 200 Connection established\r\n\r\n')
  if (head.length > 0) tunnel.write(head)
  splice(socket, tunnel)
}

/** The client may have gone while the tunnel was being opened. */
function join(caller: Duplex, tunnel: Duplex): void {
  if (caller.destroyed) tunnel.destroy()
  else splice(caller, tunnel)
}

const cutRefusal = (problem: Error): HttpRefusal => ({
  status: 502,
  code: 'cut',
  sentence: `the service cut the connection before it answered (${problem.message})`,
})

function answerRefusal(response: ServerResponse, { status, code, sentence }: HttpRefusal): void {
  if (response.destroyed || response.headersSent) return
  response.writeHead(status, { 'Content-Type': 'application/json', Via: VIA })
  response.end(refusalBody(code, sentence))
}

function rawRefusal({ status, code, sentence }: HttpRefusal): string {
  const body = refusalBody(code, sentence)
  const length = Buffer.byteLength(body)
  const fields = `Content-Type: application/json\r\nContent-Length: ${length}\r\nConnection: close`
  return `HTTP/1.1 ${status} Refused\r\n${fields}\r\n\r\n${body}`
}

const refusalBody = (code: string, message: string): string => `${JSON.stringify({ error: { code, message } })}\n`

function rawHead({ statusCode, statusMessage }: IncomingMessage, fields: HeaderFields): string {
  const lines = fields.map(([name, value]) => `${name}: ${value}\r\n`).join('')
  return `HTTP/1.1 ${statusCode} ${statusMessage}\r\n${lines}\r\n`
}

/** Node's flat list: order, spelling and repeated fields (Set-Cookie) stay as they are. */
const flat = (fields: HeaderFields): string[] => fields.flat()
