// A connected UDP socket as a stream of framed datagrams: the end of a tunnel that carries UDP. Whoever does not read
// loses datagrams, as with UDP anywhere, and never fills memory.

import { createSocket, type Socket } from 'node:dgram'
import { Duplex } from 'node:stream'
import { createDatagramReader, frameDatagram } from '../datagrams.ts'

/** Received datagrams that wait for the tunnel; what comes beyond is dropped. */
const RECEIVED_BYTES_MAX = 262_144
/** UDP has no end: this long without a datagram either way is one (RFC 4787, REQ-5, asks for two minutes at least). */
export const DATAGRAM_IDLE_MS = 120_000

/** Rejects with the operating system's error, or when the signal aborts. */
export function dialDatagrams(host: string, port: number, signal: AbortSignal): Promise<Duplex> {
  const { promise, resolve, reject } = Promise.withResolvers<Duplex>()
  const socket = createSocket(host.includes(':') ? 'udp6' : 'udp4')
  const fail = (problem: Error): void => {
    socket.close()
    reject(problem)
  }
  const onAbort = (): void => fail(new Error('it did not answer in time'))
  socket.once('error', fail)
  signal.addEventListener('abort', onAbort, { once: true })
  socket.connect(port, host, () => {
    socket.removeListener('error', fail)
    signal.removeEventListener('abort', onAbort)
    resolve(overSocket(socket))
  })
  return promise
}

function overSocket(socket: Socket): Duplex {
  const reader = createDatagramReader()
  let isFull = false
  let [bytesRead, bytesWritten] = [0, 0]
  const duplex = new Duplex({
    allowHalfOpen: false,
    readableHighWaterMark: RECEIVED_BYTES_MAX,
    read: () => {
      isFull = false
    },
    write: (chunk: Uint8Array, _encoding, done) => {
      idle.refresh()
      bytesWritten += chunk.length
      const datagrams = reader.push(chunk)
      if (!datagrams.ok) return done(new Error(datagrams.error))
      for (const datagram of datagrams.value) socket.send(datagram)
      done()
    },
    destroy: (problem, done) => {
      clearTimeout(idle)
      socket.close()
      done(problem)
    },
  })
  const idle = setTimeout(() => duplex.destroy(), DATAGRAM_IDLE_MS)
  socket.on('message', (datagram) => {
    idle.refresh()
    const framed = frameDatagram(datagram)
    if (framed === null || isFull) return
    bytesRead += framed.length
    isFull = !duplex.push(framed)
  })
  // Nobody listens there any more: the flow ends, and the caller's next datagram may find another instance.
  socket.on('error', (problem) => duplex.destroy(problem))
  // As the sockets of node:net have it.
  return Object.defineProperties(duplex, {
    bytesRead: { get: () => bytesRead },
    bytesWritten: { get: () => bytesWritten },
  })
}
