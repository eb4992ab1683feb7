// Hands a question of another naming system on to a resolver that the operator named, as it came, and its answer back.
// Each question has a socket and a number of its own, so that nobody can guess what an answer has to look like (RFC
// 5452).

import { randomInt } from 'node:crypto'
import { createSocket } from 'node:dgram'
import { connect } from 'node:net'

export interface Upstream {
  /** An IP address. */
  readonly host: string
  readonly port: number
}

/** A lost datagram is sent once more after this long. A guess: a slow resolver takes a second. */
const RESEND_MS = 1_500
const HEADER_BYTES = 12
const TCP_LENGTH_BYTES = 2

/** The resolver's answer under the question's own number; null when there was none before the signal. Never rejects. */
export async function forwardQuestion(
  message: Buffer,
  protocol: 'tcp' | 'udp',
  upstream: Upstream,
  signal: AbortSignal,
): Promise<Uint8Array | null> {
  const question = Buffer.from(message)
  question.writeUInt16BE(randomInt(65_536), 0)
  const answer = await (protocol === 'udp' ? overUdp : overTcp)(question, upstream, signal)
  if (answer === null) return null
  const own = Buffer.from(answer)
  own.writeUInt16BE(message.readUInt16BE(0), 0)
  return own
}

/** An answer carries our number and is marked as one. */
const isAnswer = (bytes: Buffer, question: Buffer): boolean =>
  bytes.length >= HEADER_BYTES && bytes.readUInt16BE(0) === question.readUInt16BE(0) && (bytes[2] ?? 0) >= 0x80

function overUdp(question: Buffer, { host, port }: Upstream, signal: AbortSignal): Promise<Buffer | null> {
  const { promise, resolve } = Promise.withResolvers<Buffer | null>()
  const socket = createSocket(host.includes(':') ? 'udp6' : 'udp4')
  const again = setInterval(() => socket.send(question, () => {}), RESEND_MS)
  const giveUp = (): void => resolve(null)
  signal.addEventListener('abort', giveUp, { once: true })
  socket.on('error', giveUp)
  // A connected socket takes datagrams from the resolver only.
  socket.connect(port, host, () => socket.send(question, () => {}))
  socket.on('message', (bytes) => {
    if (isAnswer(bytes, question)) resolve(bytes)
  })
  return promise.finally(() => {
    clearInterval(again)
    signal.removeEventListener('abort', giveUp)
    socket.close()
  })
}

function overTcp(question: Buffer, { host, port }: Upstream, signal: AbortSignal): Promise<Buffer | null> {
  const { promise, resolve } = Promise.withResolvers<Buffer | null>()
  const socket = connect({ host, port })
  const length = Buffer.alloc(TCP_LENGTH_BYTES)
  length.writeUInt16BE(question.length, 0)
  socket.write(Buffer.concat([length, question]))
  const giveUp = (): void => resolve(null)
  signal.addEventListener('abort', giveUp, { once: true })
  socket.on('error', giveUp)
  socket.on('close', giveUp)
  let received: Buffer = Buffer.alloc(0)
  socket.on('data', (chunk) => {
    received = Buffer.concat([received, chunk])
    if (received.length < TCP_LENGTH_BYTES) return
    const end = TCP_LENGTH_BYTES + received.readUInt16BE(0)
    if (received.length < end) return
    const bytes = received.subarray(TCP_LENGTH_BYTES, end)
    resolve(isAnswer(bytes, question) ? bytes : null)
  })
  return promise.finally(() => {
    signal.removeEventListener('abort', giveUp)
    socket.destroy()
  })
}
