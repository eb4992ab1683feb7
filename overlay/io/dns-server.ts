// The DNS server of one device, on loopback, over UDP and TCP (RFC 1035, 7766). It reads and writes messages; what is
// answered is decided in overlay/dns.ts, and what a name leads to is asked of the node.

import { createSocket, type Socket as DatagramSocket } from 'node:dgram'
import { once } from 'node:events'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import { answerTo, type DnsAnswer, type DnsOutcome, planFor, RCODES, refusal } from '../dns.ts'
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

type Answering = (message: Buffer, protocol: 'tcp' | 'udp') => Promise<Uint8Array | null>

/** Rejects with the operating system's error when the port is taken. */
export async function openDnsServer(options: DnsServerOptions): Promise<Listener> {
  const closing = new AbortController()
  const answer = createAnswering(options, closing.signal)
  const { udp, tcp, connections } = await bind(options, answer)
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

async function bind({ host, port }: DnsServerOptions, answer: Answering) {
  const connections = new Set<Socket>()
  for (let attempt = 1; ; attempt++) {
    const udp = createSocket(host.includes(':') ? 'udp6' : 'udp4')
    udp.bind(port, host)
    await once(udp, 'listening')
    const tcp = createServer((socket) => serveConnection(socket, connections, answer))
    tcp.maxConnections = TCP_CONNECTIONS_MAX
    try {
      await listening(tcp, { host, port: udp.address().port })
    } catch (problem) {
      udp.close()
      if (port !== 0 || attempt >= PORT_TRIES) throw problem
      continue
    }
    serveDatagrams(udp, answer)
    return { udp, tcp, connections }
  }
}

function createAnswering(options: DnsServerOptions, closing: AbortSignal): Answering {
  let pending = 0
  const decide = async (message: Buffer, query: DnsQuery, protocol: 'tcp' | 'udp'): Promise<DnsAnswer | Uint8Array> => {
    const plan = planFor(query.question)
    const signal = AbortSignal.any([closing, AbortSignal.timeout(ANSWER_MS_MAX)])
    switch (plan.kind) {
      case 'answer':
        return plan.answer
      case 'resolve':
        return answerTo(query.question, await options.resolve(plan.name, plan.needsAddress, signal))
      case 'foreign': {
        if (options.forwardTo === null) return refusal(`${query.question.name} is no name of ours`)
        const forwarded = await forwardQuestion(message, protocol, options.forwardTo, signal)
        return forwarded ?? failure(`${options.forwardTo.host} did not answer for ${query.question.name}`)
      }
    }
  }
  return async (message, protocol) => {
    const request = readRequest(message)
    if (request.kind === 'dropped') return null
    if (request.kind === 'refused') return request.answer
    const { query } = request
    const writing = { bytesMax: protocol === 'udp' ? query.bytesMax : null, recursionAvailable: !!options.forwardTo }
    if (pending >= PENDING_MAX) return writeAnswer(query, failure('too many questions at once'), writing)
    pending += 1
    try {
      const decided = await decide(message, query, protocol)
      if (decided instanceof Uint8Array) return decided
      if (decided.reason !== null) options.onReason?.(query.question.name, decided.reason)
      return writeAnswer(query, decided, writing)
    } finally {
      pending -= 1
    }
  }
}

const failure = (reason: string): DnsAnswer => ({ rcode: RCODES.failed, records: [], zone: null, reason })

function serveDatagrams(socket: DatagramSocket, answer: Answering): void {
  // An answer to a program that is gone comes back as an error; nobody else waits for it.
  socket.on('error', () => {})
  socket.on('message', (message, sender) => {
    void answer(message, 'udp').then((bytes) => {
      if (bytes !== null) socket.send(bytes, sender.port, sender.address, () => {})
    })
  })
}

/** Several questions may be under way on one connection, and are answered as the answers come. */
function serveConnection(socket: Socket, connections: Set<Socket>, answer: Answering): void {
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
