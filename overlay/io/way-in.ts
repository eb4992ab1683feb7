// A way in is a listener on this device that carries what arrives to a service. All of them share this: how a name is
// turned into a connection is handed in, because resolution, policy and the next instance are the node's business.

import { once } from 'node:events'
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net'
import type { Duplex, Writable } from 'node:stream'
import type { Result } from '../kernel/result.ts'
import { splice } from './splice.ts'

/** Why there is no connection to a service: a stable code and a sentence for people. */
export interface ConnectProblem {
  readonly code: string
  readonly sentence: string
}

/** The other end of a connection that came in: where on this device, or in which container, its program is. */
export interface Origin {
  readonly address: string
  readonly port: number
}

/** What is wanted, and by whom; `from` is null for the node itself. */
export interface Call {
  readonly protocol: 'tcp' | 'udp'
  readonly from: Origin | null
  /**
   * The stream that will be joined to the connection, paused. What it says may be read and sent before there is one;
   * it is put back where no connection came of it, or else the call fails for good (`lost`).
   */
  readonly caller?: Duplex
}

/**
 * Connects to a service by `name:port`. Never rejects; the signal says that nobody waits any longer. With `udp` the
 * stream carries datagrams (overlay/datagrams.ts).
 */
export type Connect = (address: string, signal: AbortSignal, call: Call) => Promise<Result<Duplex, ConnectProblem>>

/** A TCP call by whoever holds the other end of the socket. */
export const callOver = ({ remoteAddress, remotePort }: Socket): Call => ({
  protocol: 'tcp',
  from: remoteAddress === undefined ? null : { address: remoteAddress, port: remotePort ?? 0 },
})

/** Connections that one listener carries at once; a guess far above what a device serves. */
const CONNECTIONS_PER_LISTENER_MAX = 4_096

export interface Listener {
  readonly host: string
  readonly port: number
  /** Stops listening and cuts what it carries. */
  close(): Promise<void>
}

/** Listens on an address of this device and carries each connection to one service. Rejects when it cannot listen. */
export function carryFrom(
  at: { readonly host: string; readonly port: number },
  address: string,
  connect: Connect,
  onProblem: (problem: ConnectProblem) => void,
): Promise<Listener> {
  const server = createServer({ allowHalfOpen: true, pauseOnConnect: true, noDelay: true }, (socket) => {
    void carry(socket, address, connect, onProblem)
  })
  return listenOn(server, at)
}

/** A server as a way in: bounded, and closed with all that it carries. Rejects when it cannot listen. */
export async function listenOn(
  server: Server,
  at: { readonly host: string; readonly port: number },
): Promise<Listener> {
  const sockets = new Set<Socket>()
  server.on('connection', (socket: Socket) => {
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
  })
  server.maxConnections = CONNECTIONS_PER_LISTENER_MAX
  await listening(server, at)
  const { port } = server.address() as AddressInfo
  return {
    host: at.host,
    port,
    close: async () => {
      const closed = once(server, 'close')
      server.close()
      for (const socket of sockets) socket.destroy()
      await closed
    },
  }
}

/** Resolves when the server listens, rejects with the operating system's error when it cannot. */
export async function listening(server: Server, at: { readonly host: string; readonly port: number }): Promise<void> {
  server.listen(at)
  await once(server, 'listening')
}

async function carry(
  socket: Socket,
  address: string,
  connect: Connect,
  onProblem: (problem: ConnectProblem) => void,
): Promise<void> {
  socket.on('error', () => {})
  // What the caller says meanwhile is here when the tunnel is open.
  socket.read(0)
  const connected = await connect(address, goneSignal(socket), { ...callOver(socket), caller: socket })
  if (!connected.ok) {
    onProblem(connected.error)
    // A reset, so that the caller sees a failed connection and not an empty answer.
    socket.resetAndDestroy()
    return
  }
  if (socket.destroyed) connected.value.destroy()
  else splice(socket, connected.value)
}

/** One for all: each call ends like this, and hardly ever anybody reads why. */
const HUNG_UP = new Error('the caller hung up')

/** Aborts when whoever waits on this stream (or HTTP response) has gone. */
export function goneSignal(stream: Writable): AbortSignal {
  const gone = new AbortController()
  stream.once('close', () => gone.abort(HUNG_UP))
  return gone.signal
}
