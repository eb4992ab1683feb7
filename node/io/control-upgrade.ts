// A stream both ways over the control socket: an HTTP request that asks to leave HTTP (RFC 9110, section 7.8). After
// the answer 101 the bytes are those of the stream; every other answer is an error as elsewhere in the API.

import { request as httpRequest, type IncomingMessage, type Server } from 'node:http'
import type { Duplex } from 'node:stream'
import { splice } from '../../overlay/io/splice.ts'
import { type CoppiceError, errorView } from '../errors.ts'

/** What the bytes are called; a program in an instance (placement/exec-frames.ts). */
const PROTOCOL = 'coppice-exec'
/** The most an error's answer may hold, in bytes. */
const ANSWER_BYTES_MAX = 65_536

/** Whoever asks for a stream gets what `open` returns, or why not. `open` is given the path with its query. */
export function serveUpgrades(
  server: Server,
  open: (path: URL, gone: AbortSignal) => Promise<Duplex>,
  stopping: AbortSignal,
): void {
  server.on('upgrade', (asked: IncomingMessage, socket: Duplex, head: Buffer) => {
    const gone = new AbortController()
    const end = (): void => void socket.destroy()
    socket.once('close', () => {
      stopping.removeEventListener('abort', end)
      gone.abort()
    })
    // The other end of the splice hears of it, and before that nobody needs to.
    socket.on('error', () => undefined)
    stopping.addEventListener('abort', end, { once: true })
    if (head.length > 0) socket.unshift(head)
    const path = new URL(asked.url ?? '/', 'http://node')
    open(path, gone.signal).then(
      (stream) => {
        stream.on('error', () => undefined)
        socket.write(`HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: ${PROTOCOL}\r\n\r\n`)
        splice(socket, stream)
      },
      (problem: unknown) => {
        const body = JSON.stringify(errorView(problem))
        const length = Buffer.byteLength(body)
        socket.end(`HTTP/1.1 409 Conflict\r\nContent-Length: ${length}\r\nConnection: close\r\n\r\n${body}`)
      },
    )
  })
}

/** Asks for a stream; rejects with what the node has against it, as `explain` reads its answer. */
export function openUpgrade(
  socketPath: string,
  path: string,
  explain: (answer: string) => CoppiceError,
  signal: AbortSignal,
): Promise<Duplex> {
  const headers = { connection: 'Upgrade', upgrade: PROTOCOL }
  const { promise, resolve, reject } = Promise.withResolvers<Duplex>()
  const asked = httpRequest({ socketPath, method: 'GET', path, headers, agent: false, signal })
  asked.once('upgrade', (_answer, socket, head) => {
    if (head.length > 0) socket.unshift(head)
    signal.addEventListener('abort', () => socket.destroy(), { once: true })
    resolve(socket)
  })
  asked.once('response', (answer) => {
    let text = ''
    answer.on('data', (piece) => {
      text = (text + String(piece)).slice(0, ANSWER_BYTES_MAX)
    })
    answer.once('close', () => reject(explain(text)))
  })
  asked.once('error', reject)
  asked.end()
  return promise
}
