// Joining: one question, one answer, from a device that is no member yet. The asking side is a libp2p node that lives
// only for this; it passes the handshake because the invite told it the federation's id, and gets nothing but this
// protocol. A member that asks for a new credential does the same over a connection that it has.

import { setTimeout as delay } from 'node:timers/promises'
import type { Connection, PrivateKey, Stream } from '@libp2p/interface'
import { multiaddr } from '@multiformats/multiaddr'
import { JOIN_CONNECT_MS_MAX, JOIN_PATIENCE_MS_MAX, JOIN_PATIENCE_MS_MIN } from '../join-rounds.ts'
import { type FederationId, nodeId } from '../kernel/ids.ts'
import type { Millis } from '../kernel/time.ts'
import { createNode, type Libp2pNode } from './create-libp2p.ts'
import { readFrame, writeFrame } from './frames.ts'
import type { HelloDesk } from './hello.ts'
import type { OnNeighbour } from './lan-discovery.ts'
import type { Gate } from './network.ts'
import { askToBeCarried } from './newcomers.ts'
import {
  ANSWER_BYTES_MAX,
  JOIN_PROTOCOL,
  JOIN_SERVED_MS_MAX,
  JOIN_TIMEOUT_MS,
  RENEWAL_PROTOCOL,
  REQUEST_BYTES_MAX,
} from './protocols.ts'
import { libp2pDuplex } from './stream-duplex.ts'

/**
 * How long a device that was not found where its invite says is looked for by mDNS, before its addresses are tried
 * again and it is looked for anew. A guess: multicast asks every 10 s at the latest, so a few looks find it.
 */
const LAN_LOOK_MS = 3_000
const LAN_LOOK_STEP_MS = 100
/** Addresses that are tried, the latest; a guess: a device with many interfaces. */
const FOUND_MAX = 16
/** What libp2p tells of a dial when the other side has taken the connection (libp2p's upgrader.ts). */
const HANDSHAKE_BEGINS = 'upgrader:encrypt-outbound-connection'

/** Answers requests to join; the connection is closed once the answer is out. */
export async function serveJoins(node: Libp2pNode, gate: Gate, desk: HelloDesk): Promise<void> {
  await node.handle(
    JOIN_PROTOCOL,
    async (stream, connection) => {
      const answered = answerWith(gate.serveJoin, stream, connection)
      desk.exempt(connection, answered)
      await answered
    },
    { maxInboundStreams: 1, runOnLimitedConnection: true },
  )
}

/** Answers members that ask for a new credential; they stay connected. */
export async function serveRenewals(node: Libp2pNode, gate: Gate): Promise<void> {
  await node.handle(RENEWAL_PROTOCOL, (stream, connection) => answerWith(gate.serveRenewal, stream, connection), {
    maxInboundStreams: 1,
    runOnLimitedConnection: true,
  })
}

async function answerWith(serve: Gate['serveJoin'], stream: Stream, connection: Connection): Promise<void> {
  const signal = AbortSignal.timeout(JOIN_SERVED_MS_MAX)
  const duplex = libp2pDuplex(stream)
  duplex.on('error', () => {})
  try {
    const request = await readFrame(duplex, REQUEST_BYTES_MAX, signal)
    writeFrame(duplex, await serve(nodeId(connection.remotePeer.toString()), request))
    duplex.end()
    // The asking side ends the stream once it has the answer; closing the connection earlier could cut it off.
    await readFrame(duplex, 0, signal).catch(() => {})
  } catch {
    duplex.destroy()
  }
}

/** Asks a member for a new credential. */
export const askForRenewal = (connection: Connection, request: Uint8Array, signal: AbortSignal): Promise<Uint8Array> =>
  askOver(connection, RENEWAL_PROTOCOL, request, AbortSignal.any([signal, AbortSignal.timeout(JOIN_TIMEOUT_MS)]))

export interface GuestOptions {
  readonly federation: FederationId
  readonly nodeKey: PrivateKey
  /** The invite's multiaddrs, each with `/p2p/<id>`; tried in turn. */
  readonly addresses: readonly string[]
  /** Looks on the local network, too, where the addresses are no longer good. Default false. */
  readonly mdns?: boolean
}

export interface JoinQuestion {
  readonly request: Uint8Array
  /** How long a device that took the connection has for its answer. Default JOIN_PATIENCE_MS_MIN. */
  readonly patienceMs?: Millis
  readonly signal?: AbortSignal
  /** Told what is waited for, for people. */
  readonly onStep?: (text: string) => void
}

export interface JoinAnswer {
  readonly answer: Uint8Array
  /** The address that answered. */
  readonly from: string
}

/** What came of one address; `isBusy` where a device is there that did not answer in time. */
export interface JoinAttempt {
  readonly address: string
  readonly reason: string
  readonly isBusy: boolean
}

/** No address of the invite answered. The message lists each with the reason. */
export class JoinUnreachableError extends Error {
  override readonly name = 'JoinUnreachableError'
  readonly attempts: readonly JoinAttempt[]

  constructor(attempts: JoinUnreachableError['attempts']) {
    const list = attempts.map(({ address, reason }) => `${address}: ${reason}`).join('; ')
    super(attempts.length === 0 ? 'the invite names no address' : `no address of the invite answered (${list})`)
    this.attempts = attempts
  }
}

/** A node that lives only to ask, as often as that takes. */
export interface Guest {
  /**
   * Asks the addresses in turn, once. Rejects with JoinUnreachableError, or with the signal's reason when aborted.
   */
  ask(question: JoinQuestion): Promise<JoinAnswer>
  close(): Promise<void>
}

export async function openGuest(options: GuestOptions): Promise<Guest> {
  const { federation, nodeKey: privateKey, addresses, mdns = false } = options
  const found = new Set<string>()
  const node = await createNode({
    privateKey,
    federation,
    listen: [],
    announce: [],
    ...(mdns ? { onNeighbour: hostsAmongNeighbours(addresses, found) } : {}),
    clientMode: true,
    // Whoever is busy takes long for the handshake, too.
    addressMsMax: JOIN_PATIENCE_MS_MAX,
  })
  await node.start()
  const ask = async (question: JoinQuestion): Promise<JoinAnswer> => {
    const { signal, onStep = () => undefined } = question
    const attempts: JoinAttempt[] = []
    for await (const address of addressesInTurn(addresses, found, mdns, onStep)) {
      onStep(`waiting for an answer of ${address}`)
      const attempt = await askAt(node, address, question)
      if ('answer' in attempt) return attempt
      signal?.throwIfAborted()
      attempts.push(attempt)
    }
    throw new JoinUnreachableError(attempts)
  }
  return { ask, close: async () => node.stop() }
}

/** Asks once. Rejects as `ask` of a Guest. */
export async function exchangeJoin(join: GuestOptions & JoinQuestion): Promise<JoinAnswer> {
  const guest = await openGuest(join)
  try {
    return await guest.ask(join)
  } finally {
    await guest.close()
  }
}

/** Where the devices that the invite names are found on the local network; the secret is told to nobody else. */
function hostsAmongNeighbours(addresses: readonly string[], found: Set<string>): OnNeighbour {
  const hosts = new Set(addresses.map((address) => address.slice(address.lastIndexOf('/') + 1)))
  return (peer, multiaddrs) => {
    const host = peer.toString()
    if (!hosts.has(host)) return
    for (const address of multiaddrs) {
      const whole = address.toString().includes('/p2p/') ? address.toString() : `${address}/p2p/${host}`
      found.delete(whole)
      found.add(whole)
    }
    for (const oldest of [...found].slice(0, -FOUND_MAX)) found.delete(oldest)
  }
}

/** The addresses of the invite, then those that were found, for which a short wait is worth it. */
async function* addressesInTurn(
  addresses: readonly string[],
  found: ReadonlySet<string>,
  mdns: boolean,
  onStep: (text: string) => void,
): AsyncGenerator<string> {
  yield* addresses
  if (mdns) onStep(`looking on this network for the device that made the invite, for ${LAN_LOOK_MS / 1_000} s`)
  const deadline = performance.now() + LAN_LOOK_MS
  while (mdns && found.size === 0 && performance.now() < deadline) await delay(LAN_LOOK_STEP_MS)
  for (const address of found) if (!addresses.includes(address)) yield address
}

/** One address: a short while to be there, and once it is, the patience of the question. */
async function askAt(node: Libp2pNode, address: string, question: JoinQuestion): Promise<JoinAnswer | JoinAttempt> {
  const { request, signal, patienceMs = JOIN_PATIENCE_MS_MIN } = question
  const patience = new AbortController()
  const giveUp = (): void => patience.abort(new DOMException('it did not answer in time', 'TimeoutError'))
  // Over a relay others have to answer before it can.
  let timer = setTimeout(giveUp, address.includes('/p2p-circuit') ? patienceMs : JOIN_CONNECT_MS_MAX)
  let isThere = false
  const onThere = (): void => {
    if (isThere) return
    isThere = true
    clearTimeout(timer)
    timer = setTimeout(giveUp, patienceMs)
  }
  const bounded = signal === undefined ? patience.signal : AbortSignal.any([signal, patience.signal])
  const onProgress = ({ type }: { readonly type: string }): void => {
    if (type === HANDSHAKE_BEGINS) onThere()
  }
  let connection: Connection | null = null
  try {
    await askToBeCarried(node, address, bounded)
    connection = await node.dial(multiaddr(address), { signal: bounded, onProgress })
    return { answer: await askOver(connection, JOIN_PROTOCOL, request, bounded), from: address }
  } catch (problem) {
    // It serves one question; the next one is asked over another.
    connection?.abort(new Error('the question came to nothing'))
    const isBusy = isThere && patience.signal.aborted
    return {
      address,
      reason: isBusy ? `it is busy: no answer within ${patienceMs / 1_000} s` : reasonOf(problem),
      isBusy,
    }
  } finally {
    clearTimeout(timer)
  }
}

async function askOver(
  connection: Connection,
  protocol: string,
  request: Uint8Array,
  signal: AbortSignal,
): Promise<Uint8Array> {
  const duplex = libp2pDuplex(await connection.newStream(protocol, { signal, runOnLimitedConnection: true }))
  duplex.on('error', () => {})
  try {
    writeFrame(duplex, request)
    const answer = await readFrame(duplex, ANSWER_BYTES_MAX, signal)
    duplex.end()
    return answer
  } catch (problem) {
    duplex.destroy()
    throw problem
  }
}

/** What a person can act on; libp2p's own words for the rest. */
function reasonOf(problem: unknown): string {
  const causes = problem instanceof AggregateError ? problem.errors : [problem]
  const words = causes
    .map((cause) => (cause instanceof Error ? `${cause.name}: ${cause.message}` : String(cause)))
    .join(', ')
  if (/ECONNREFUSED/.test(words)) return 'nothing listens there (connection refused)'
  if (/EHOSTUNREACH|ENETUNREACH/.test(words)) return 'there is no route to it from this network'
  if (/Timeout|abort/i.test(words)) return 'it did not answer in time'
  if (/EncryptionFailed|ECONNRESET|UnexpectedEOF|closed/i.test(words)) {
    return 'it closed the connection during the handshake: another federation, or not Coppice'
  }
  return words
}
