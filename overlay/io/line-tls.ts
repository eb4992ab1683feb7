// How a line is encrypted and how it begins: TLS 1.3 under a key that both ends agreed on over the connection where
// Noise and hello have shown who they are. No certificate is needed: who knows the key is that peer. Lines share the
// ports that libp2p listens on, because TLS begins with a byte with which libp2p never begins.

import { createCipheriv, hkdfSync } from 'node:crypto'
import { once } from 'node:events'
import type { Server, Socket } from 'node:net'
import { type ConnectionOptions, connect, createServer, type TLSSocket } from 'node:tls'
import type { tcp } from '@libp2p/tcp'
import { concat } from 'uint8arrays/concat'
import { CARRIED } from '../carriage.ts'
import { invariant } from '../kernel/assert.ts'
import { KNOCK } from '../knock.ts'

/** A TLS record that carries a handshake (RFC 8446, section 5.1); multistream-select begins with 0x13. */
const HANDSHAKE = 0x16
const KEY_BYTES = 32
/** How long whoever connects may take to say what it is, and then to shake hands; a guess, far above any round trip. */
const FIRST_BYTE_TIMEOUT_MS = 5_000
const HANDSHAKE_TIMEOUT_MS = 5_000
/** Connections that have not said yet what they are; more are closed. As many as libp2p lets wait. */
const UNKNOWN_MAX = 200

/** Both with SHA-256, which is what an external key goes with; the dialler's order counts. */
const AES = 'TLS_AES_128_GCM_SHA256'
const CHACHA = 'TLS_CHACHA20_POLY1305_SHA256'

/** The key of one line, from what both sides drew for it (HKDF, RFC 5869). */
export const lineKey = (ticket: string, secrets: readonly Uint8Array[]): Uint8Array =>
  new Uint8Array(hkdfSync('sha256', concat([...secrets]), ticket, 'coppice line', KEY_BYTES))

const ONLY_13: ConnectionOptions = { minVersion: 'TLSv1.3', maxVersion: 'TLSv1.3' }

/**
 * Begins a line where one is expected: at an address, or at the other end of a connection. Rejects when nobody is there
 * who knows the key.
 */
export async function dialTls(
  at: { readonly host: string; readonly port: number } | { readonly socket: Socket },
  ticket: string,
  key: Uint8Array,
  signal: AbortSignal,
): Promise<TLSSocket> {
  const socket = connect({
    ...ONLY_13,
    ...at,
    ciphers: preferredCiphers(),
    pskCallback: () => ({ identity: ticket, psk: key }),
    // Nobody is believed for a certificate here, whoever signed it.
    checkServerIdentity: () => new Error('the peer does not know the key of the line'),
  })
  socket.on('error', () => {})
  try {
    await once(socket, 'secureConnect', { signal })
    if (!socket.isSessionReused()) throw new Error('the peer does not know the key of the line')
  } catch (problem) {
    socket.destroy()
    throw problem
  }
  return socket
}

/** What a ticket stands for: the key, and whatever the caller wants to find again. */
export interface Redeemed {
  readonly key: Uint8Array
}

export interface LineDoor {
  /** Takes a connection that began like TLS. */
  enter(socket: Socket): void
  close(): void
}

/** The accepting end. `redeem` is asked for the ticket that is shown, and answers once for each. */
export function openLineDoor<R extends Redeemed>(
  redeem: (ticket: string) => R | null,
  on: {
    onLine(socket: TLSSocket, redeemed: R): void
    /** No ticket, a used one, a wrong key, or too slow. */
    onRefused(): void
  },
): LineDoor {
  const shaking = new Set<Socket>()
  const found = new WeakMap<object, R>()
  const server = createServer({
    ...ONLY_13,
    ciphers: `${AES}:${CHACHA}`,
    handshakeTimeout: HANDSHAKE_TIMEOUT_MS,
    pskCallback: (socket, ticket) => {
      const redeemed = redeem(ticket)
      if (redeemed === null) return null
      found.set(socket, redeemed)
      return redeemed.key
    },
  })
  // Nothing is resumed here. But Node reads into what it set aside for the first bytes, over and over: that is what the
  // hello took, 1.5 KB, as it was read before, unless somebody may want to look at the hello; then it is 16 KiB.
  server.on('resumeSession', (_id, done) => done(null, null))
  server.on('tlsClientError', (_problem, socket) => {
    on.onRefused()
    socket.destroy()
  })
  server.on('secureConnection', (socket) => {
    const redeemed = found.get(socket)
    invariant(redeemed !== undefined, 'a handshake without a certificate needs a key')
    on.onLine(socket, redeemed)
  })
  return {
    enter: (socket) => {
      shaking.add(socket)
      socket.once('close', () => shaking.delete(socket))
      server.emit('connection', socket)
    },
    close: () => {
      for (const socket of shaking) socket.destroy()
    },
  }
}

type TcpTransport = ReturnType<typeof tcp>

/** Who takes the connections that are not libp2p's, by what they begin with. */
export interface PortSharers {
  onTls(socket: Socket): void
  /** For two that have a relay join them (carriage.ts). */
  onCarried(socket: Socket): void
  /** Of a member that wants to know how it is seen, or was asked whether this node can be dialled (knocks.ts). */
  onKnock(socket: Socket): void
}

/** The TCP transport, with what begins in another way handed on from each port that it listens on. */
export const sharingPort =
  (transport: TcpTransport, sharers: PortSharers): TcpTransport =>
  (components) => {
    const inner = transport(components)
    const createListener = inner.createListener.bind(inner)
    return Object.assign(inner, {
      createListener: (...options: Parameters<typeof createListener>) => {
        const listener = createListener(...options)
        const unknown = tellApart((listener as unknown as { readonly server: Server }).server, sharers)
        const close = listener.close.bind(listener)
        return Object.assign(listener, {
          close: (...how: Parameters<typeof close>) => {
            // The server counts them and would wait for their end.
            for (const socket of unknown) socket.destroy()
            return close(...how)
          },
        })
      },
    })
  }

/** Returns the connections of which it is not clear yet what they are. */
function tellApart(server: Server, { onTls, onCarried, onKnock }: PortSharers): ReadonlySet<Socket> {
  const [accept, ...others] = server.listeners('connection') as ((socket: Socket) => void)[]
  invariant(accept !== undefined && others.length === 0, 'the TCP transport takes connections where we look for it')
  const unknown = new Set<Socket>()
  server.off('connection', accept)
  server.on('connection', (socket: Socket) => {
    if (unknown.size >= UNKNOWN_MAX) return void socket.destroy()
    unknown.add(socket)
    readFirst(socket, (first) => {
      unknown.delete(socket)
      if (socket.destroyed) return
      if (first === HANDSHAKE) return onTls(socket)
      if (first === CARRIED) return onCarried(socket)
      if (first === KNOCK) return onKnock(socket)
      accept.call(server, socket)
      socket.resume()
    })
  })
  return unknown
}

/** Calls back with the first byte, or with null when the connection closed before; what was read is put back. */
function readFirst(socket: Socket, done: (first: number | null) => void): void {
  const timer = setTimeout(() => socket.destroy(), FIRST_BYTE_TIMEOUT_MS)
  const end = (bytes: Buffer | null): void => {
    clearTimeout(timer)
    socket.off('data', end).off('close', onClose).off('error', onError).pause()
    if (bytes !== null) socket.unshift(bytes)
    done(bytes?.[0] ?? null)
  }
  const onClose = (): void => end(null)
  const onError = (): void => {}
  socket.on('data', end).on('close', onClose).on('error', onError)
}

const TRIAL_BYTES = 65_536
const TRIALS = 8
let preferred: string | null = null

/** The ciphers, the faster one on this machine first: AES wins where the processor has it built in, else ChaCha20. */
function preferredCiphers(): string {
  if (preferred !== null) return preferred
  const piece = new Uint8Array(TRIAL_BYTES)
  const timeOf = (cipher: 'aes-128-gcm' | 'chacha20-poly1305', keyBytes: number): number => {
    const trial = createCipheriv(cipher as 'aes-128-gcm', new Uint8Array(keyBytes), new Uint8Array(12))
    trial.update(piece)
    const from = performance.now()
    for (let index = 0; index < TRIALS; index++) trial.update(piece)
    return performance.now() - from
  }
  const isAesFaster = timeOf('aes-128-gcm', 16) <= timeOf('chacha20-poly1305', 32)
  preferred = isAesFaster ? `${AES}:${CHACHA}` : `${CHACHA}:${AES}`
  return preferred
}
