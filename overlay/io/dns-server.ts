// The DNS server of one device, on loopback, over UDP and TCP (RFC 1035, 7766). It reads and writes messages; what is
// answered is decided in overlay/dns.ts, and what a name leads to is asked of the node.

import { createSocket, type Socket as DatagramSocket } from 'node:dgram'
import { once } from 'node:events'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import { createAnswerMemory } from '../answer-memory.ts'
import { answerTo, type DnsAnswer, type DnsOutcome, type DnsPlan, isLasting, planFor, RCODES, refusal } from '../dns.ts'
import { within } from './deadline.ts'
import { forwardQuestion, type Upstream } from './dns-forward.ts'
import { type DnsQuery, readRequest, writeAnswer } from './dns-message.ts'
import { type Listener, listening } from './way-in.ts'

export interface DnsServerOptions {
  /** An address of this device. */
  readonly host: string
  /** 0 takes one that is free for both UDP and TCP. */
  readonly port: number
  /** What a name of ours leads to; never rejects. */
  readonly resolve: (name: string, needsAddress: boolean, signal: AbortSignal) => Promise<DnsOutcome>
  /** Another number as soon as `resolve` may come to something else; without it every question is looked up. */
  readonly asOf?: () => number
  /** Who answers other systems' names; null refuses them. */
  readonly forwardTo: Upstream | null
  /** A question that got no record, and why. */
  readonly onReason?: (name: string, reason: string) => void
}

/** Questions that are being answered at once; the next is a failure that may be asked again. A guess. */
const PENDING_MAX = 1_024
/** How long an answer may take: a resolver asks again after about five seconds. */
const ANSWER_MS_MAX = 4_500
const TCP_CONNECTIONS_MAX = 256
/** RFC 7766, section 6.2.3: in the order of a few seconds. */
const TCP_IDLE_MS = 10_000
/** Unanswered questions on one TCP connection before no more are read from it. A guess. */
const TCP_PENDING_MAX = 64
const TCP_LENGTH_BYTES = 2
/** How often another port is tried when a free one of UDP is taken for TCP. A guess. */
const PORT_TRIES = 16

interface Answering {
  /** The datagram for a question that was answered a moment ago, where nothing has changed since; null otherwise. */
  known(message: Buffer): Uint8Array | null
  /** Null for what is no question. */
  answer(message: Buffer, protocol: 'tcp' | 'udp'): Promise<Uint8Array | null>
}

/** What is decided for a question: bytes as another resolver wrote them, or an answer of ours, and if it lasts. */
type Decided = { readonly bytes: Uint8Array } | { readonly answer: DnsAnswer; readonly asOf?: number | undefined }

/** Rejects with the operating system's error when the port is taken. */
export async function openDnsServer(options: DnsServerOptions): Promise<Listener> {
  const closing = new AbortController()
  const answering = createAnswering(options, closing.signal)
  const { udp, tcp, connections } = await bind(options, answering)
  return {
    host: options.host,
    port: (tcp.address() as AddressInfo).port,
    close: async () => {
      closing.abort()
      const closed = [once(udp, 'close'), once(tcp, 'close')]
      udp.close()
      tcp.close()
      for (const socket of connections) socket.destroy()
      await Promise.all(closed)
    },
  }
}

async function bind({ host, port }: DnsServerOptions, answering: Answering) {
  const connections = new Set<Socket>()
  for (let attempt = 1; ; attempt++) {
    const udp = createSocket(host.includes(':') ? 'udp6' : 'udp4')
    udp.bind(port, host)
    await once(udp, 'listening')
    const tcp = createServer((socket) => serveConnection(socket, connections, answering))
    tcp.maxConnections = TCP_CONNECTIONS_MAX
    try {
      await listening(tcp, { host, port: udp.address().port })
    } catch (problem) {
      udp.close()
      if (port !== 0 || attempt >= PORT_TRIES) throw problem
      continue
    }
    serveDatagrams(udp, answering)
    return { udp, tcp, connections }
  }
}

function createAnswering(options: DnsServerOptions, closing: AbortSignal): Answering {
  let pending = 0
  const memory = createAnswerMemory()
  const decide = async (message: Buffer, query: DnsQuery, protocol: 'tcp' | 'udp'): Promise<Decided> => {
    const plan = planFor(query.question)
    if (plan.kind === 'answer') return { answer: plan.answer }
    const { signal, end } = within(ANSWER_MS_MAX, closing)
    return await lookedUp(message, query, protocol, plan, signal).finally(end)
  }
  const lookedUp = async (
    message: Buffer,
    query: DnsQuery,
    protocol: 'tcp' | 'udp',
    plan: Exclude<DnsPlan, { readonly kind: 'answer' }>,
    signal: AbortSignal,
  ): Promise<Decided> => {
    if (plan.kind === 'resolve') {
      const outcome = await options.resolve(plan.name, plan.needsAddress, signal)
      const answer = answerTo(query.question, outcome)
      const lasts = outcome.kind === 'found' && isLasting(query.question, answer)
      return { answer, asOf: lasts ? outcome.asOf : undefined }
    }
    if (options.forwardTo === null) return { answer: refusal(`${query.question.name} is no name of ours`) }
    const forwarded = await forwardQuestion(message, protocol, options.forwardTo, signal)
    if (forwarded !== null) return { bytes: forwarded }
    return { answer: failure(`${options.forwardTo.host} did not answer for ${query.question.name}`) }
  }
  const known: Answering['known'] = (message) =>
    options.asOf === undefined ? null : memory.find(message, { now: performance.now(), asOf: options.asOf() })
  const answer: Answering['answer'] = async (message, protocol) => {
    const request = readRequest(message)
    if (request.kind === 'dropped') return null
    if (request.kind === 'refused') return request.answer
    const { query } = request
    const writing = { bytesMax: protocol === 'udp' ? query.bytesMax : null, recursionAvailable: !!options.forwardTo }
    if (pending >= PENDING_MAX) return writeAnswer(query, failure('too many questions at once'), writing)
    pending += 1
    try {
      const decided = await decide(message, query, protocol)
      if ('bytes' in decided) return decided.bytes
      const { reason } = decided.answer
      if (reason !== null) options.onReason?.(query.question.name, reason)
      const bytes = writeAnswer(query, decided.answer, writing)
      const { asOf } = decided
      if (asOf !== undefined && protocol === 'udp') memory.keep(message, bytes, { now: performance.now(), asOf })
      return bytes
    } finally {
      pending -= 1
    }
  }
  return { known, answer }
}

const failure = (reason: string): DnsAnswer => ({ rcode: RCODES.failed, records: [], zone: null, reason })

function serveDatagrams(socket: DatagramSocket, { known, answer }: Answering): void {
  // An answer to a program that is gone comes back as an error; nobody else waits for it.
  socket.on('error', () => {})
  socket.on('message', (message, sender) => {
    const say = (bytes: Uint8Array | null): void => {
      if (bytes !== null) socket.send(bytes, sender.port, sender.address, () => {})
    }
    const again = known(message)
    if (again !== null) say(again)
    else void answer(message, 'udp').then(say)
  })
}

/** Several questions may be under way on one connection, and are answered as the answers come. */
function serveConnection(socket: Socket, connections: Set<Socket>, { answer }: Answering): void {
  connections.add(socket)
  socket.once('close', () => connections.delete(socket))
  socket.on('error', () => socket.destroy())
  socket.setTimeout(TCP_IDLE_MS, () => socket.destroy())
  let rest: Buffer = Buffer.alloc(0)
  let pending = 0
  const read = (): void => {
    while (pending < TCP_PENDING_MAX && rest.length >= TCP_LENGTH_BYTES) {
      const end = TCP_LENGTH_BYTES + rest.readUInt16BE(0)
      if (rest.length < end) break
      const message = rest.subarray(TCP_LENGTH_BYTES, end)
      rest = rest.subarray(end)
      pending += 1
      void answer(message, 'tcp').then((bytes) => {
        pending -= 1
        if (bytes !== null && socket.writable) socket.write(framed(bytes))
        socket.resume()
        read()
      })
    }
    if (pending >= TCP_PENDING_MAX) socket.pause()
  }
  socket.on('data', (chunk) => {
    rest = rest.length === 0 ? chunk : Buffer.concat([rest, chunk])
    read()
  })
}

function framed(bytes: Uint8Array): Buffer {
  const message = Buffer.alloc(TCP_LENGTH_BYTES + bytes.length)
  message.writeUInt16BE(bytes.length, 0)
  message.set(bytes, TCP_LENGTH_BYTES)
  return message
}
