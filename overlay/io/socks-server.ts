// A SOCKS5 proxy on loopback whose hosts are services: by name, which the node resolves, or by a virtual address. What
// the bytes mean is in overlay/socks.ts.

import { createServer, type Server, type Socket } from 'node:net'
import type { Result } from '../kernel/result.ts'
import {
  addressFor,
  REPLIES,
  type Reply,
  readGreeting,
  readSocksRequest,
  replyFor,
  SOCKS_REQUEST_BYTES_MAX,
  type SocksRead,
  writeMethod,
  writeReply,
} from '../socks.ts'
import { takeIpv6Loopback } from './both-loopbacks.ts'
import { serveAssociation } from './socks-datagrams.ts'
import { splice } from './splice.ts'
import { type Connect, type ConnectProblem, callOver, goneSignal, type Listener, listenOn } from './way-in.ts'

export interface SocksServerOptions {
  /** 0 takes a free one. */
  readonly port: number
  readonly connect: Connect
  /** The name of a virtual address of this device, without a port; null for any other address. */
  readonly nameAt: (address: string) => string | null
  /** A request that was not carried, e.g. for a log line. */
  readonly onProblem: (problem: ConnectProblem) => void
}

const LOOPBACK = '127.0.0.1'
/** How long a client may take to say what it wants. A guess. */
const REQUEST_MS_MAX = 10_000

/** Starts the proxy on loopback. Rejects with the operating system's error when the port is taken. */
export async function openSocksServer(options: SocksServerOptions): Promise<Listener> {
  const server: Server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
    socket.on('error', () => {})
    void serve(socket, options)
  })
  const listener = await listenOn(server, { host: LOOPBACK, port: options.port })
  await takeIpv6Loopback(server, listener.port)
  return listener
}

async function serve(socket: Socket, options: SocksServerOptions): Promise<void> {
  const slow = setTimeout(() => socket.destroy(), REQUEST_MS_MAX)
  const greeting = await readWhole(socket, readGreeting)
  if (greeting === null) return hangUp(socket, slow)
  const isAccepted = greeting.ok && greeting.value
  socket.write(writeMethod(isAccepted))
  if (!isAccepted) return hangUp(socket, slow)
  const request = await readWhole(socket, readSocksRequest)
  clearTimeout(slow)
  if (request === null) return hangUp(socket, slow)
  if (!request.ok) return refuse(socket, request.error)
  const { command, target } = request.value
  if (command === 'udp-associate') return serveAssociation(socket, LOOPBACK, options)
  const address = addressFor(target, options.nameAt)
  if (address === null) {
    options.onProblem({ code: 'not-ours', sentence: `${target.host} is no address of a service` })
    return refuse(socket, REPLIES.notAllowed)
  }
  const connected = await options.connect(address, goneSignal(socket), callOver(socket))
  if (!connected.ok) {
    options.onProblem(connected.error)
    return refuse(socket, replyFor(connected.error.code))
  }
  if (socket.destroyed) return void connected.value.destroy()
  socket.write(writeReply(REPLIES.succeeded, null))
  splice(socket, connected.value)
}

function refuse(socket: Socket, reply: Reply): void {
  socket.end(writeReply(reply, null))
  socket.resume()
}

function hangUp(socket: Socket, timer: NodeJS.Timeout): void {
  clearTimeout(timer)
  socket.end()
  socket.resume()
}

/** Reads until something is whole, and puts back what follows it; null when the client went away before. */
function readWhole<T, E>(socket: Socket, read: (bytes: Uint8Array) => SocksRead<T, E>): Promise<Result<T, E> | null> {
  const { promise, resolve } = Promise.withResolvers<Result<T, E> | null>()
  let bytes: Buffer = Buffer.alloc(0)
  const end = (result: Result<T, E> | null): void => {
    socket.off('data', onData).off('end', onEnd).off('close', onEnd).pause()
    resolve(result)
  }
  const onEnd = (): void => end(null)
  const onData = (chunk: Buffer): void => {
    bytes = Buffer.concat([bytes, chunk])
    const found = read(bytes)
    if (!found.ok) return end(found)
    if (found.value === null) return bytes.length > SOCKS_REQUEST_BYTES_MAX ? end(null) : undefined
    const rest = bytes.subarray(found.value.length)
    end({ ok: true, value: found.value.value })
    if (rest.length > 0) socket.unshift(rest)
  }
  socket.on('data', onData).on('end', onEnd).on('close', onEnd).resume()
  return promise
}
