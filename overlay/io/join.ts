// Joining: one question, one answer, from a device that is no member yet. The asking side is a libp2p node that lives
// only for this; it passes the handshake because the invite told it the federation's id, and gets nothing but this
// protocol. A member that asks for a new credential does the same over a connection that it has.

import { setTimeout as delay } from 'node:timers/promises'
import type { Connection, PrivateKey, Stream } from '@libp2p/interface'
import { multiaddr } from '@multiformats/multiaddr'
import { type FederationId, nodeId } from '../kernel/ids.ts'
import { createNode, type Libp2pNode } from './create-libp2p.ts'
import { readFrame, writeFrame } from './frames.ts'
import type { HelloDesk } from './hello.ts'
import type { Gate } from './network.ts'
import { askToBeCarried } from './newcomers.ts'
import { ANSWER_BYTES_MAX, JOIN_PROTOCOL, JOIN_TIMEOUT_MS, RENEWAL_PROTOCOL, REQUEST_BYTES_MAX } from './protocols.ts'
import { libp2pDuplex } from './stream-duplex.ts'

/**
 * How long a device that was not found where its invite says is looked for by mDNS, before its addresses are tried
 * again and it is looked for anew. A guess: mDNS asks every 10 s, so a few looks find it.
 */
const LAN_LOOK_MS = 3_000
const LAN_LOOK_STEP_MS = 100
/** Addresses of one look; a guess: a device with many interfaces. */
const FOUND_MAX = 16

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
  const signal = AbortSignal.timeout(JOIN_TIMEOUT_MS)
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

export interface JoinRequest {
  readonly federation: FederationId
  readonly nodeKey: PrivateKey
  /** The invite's multiaddrs, each with `/p2p/<id>`; tried in turn. */
  readonly addresses: readonly string[]
  readonly request: Uint8Array
  readonly signal: AbortSignal
  /** Looks on the local network, too, where the addresses are no longer good. Default false. */
  readonly mdns?: boolean
  /** Told what is waited for, for people. */
  readonly onStep?: (text: string) => void
}

export interface JoinAnswer {
  readonly answer: Uint8Array
  /** The address that answered. */
  readonly from: string
}

/** No address of the invite answered. The message lists each with the reason. */
export class JoinUnreachableError extends Error {
  override readonly name = 'JoinUnreachableError'
  readonly attempts: readonly { readonly address: string; readonly reason: string }[]

  constructor(attempts: JoinUnreachableError['attempts']) {
    const list = attempts.map(({ address, reason }) => `${address}: ${reason}`).join('; ')
    super(attempts.length === 0 ? 'the invite names no address' : `no address of the invite answered (${list})`)
    this.attempts = attempts
  }
}

/** Asks the invite's addresses in turn. Rejects with JoinUnreachableError, or with the signal's reason when aborted. */
export async function exchangeJoin(join: JoinRequest): Promise<JoinAnswer> {
  const { federation, nodeKey: privateKey, addresses, mdns = false, onStep = () => undefined } = join
  const node = await createNode({
    privateKey,
    federation,
    listen: [],
    announce: [],
    mdns,
    clientMode: true,
  })
  const attempts: { readonly address: string; readonly reason: string }[] = []
  const found = listenForHosts(node, addresses)
  try {
    await node.start()
    for await (const address of addressesInTurn(addresses, found, mdns, onStep)) {
      onStep(`waiting for an answer of ${address}`)
      try {
        return { answer: await askAt(node, address, join), from: address }
      } catch (problem) {
        join.signal.throwIfAborted()
        attempts.push({ address, reason: reasonOf(problem) })
      }
    }
    throw new JoinUnreachableError(attempts)
  } finally {
    await node.stop()
  }
}

/** Where the devices that the invite names are found on the local network; the secret is told to nobody else. */
function listenForHosts(node: Libp2pNode, addresses: readonly string[]): Set<string> {
  const hosts = new Set(addresses.map((address) => address.slice(address.lastIndexOf('/') + 1)))
  const found = new Set<string>()
  node.addEventListener('peer:discovery', ({ detail: { id, multiaddrs } }) => {
    const host = id.toString()
    if (!hosts.has(host)) return
    for (const address of multiaddrs.slice(0, FOUND_MAX - found.size)) {
      found.add(address.toString().includes('/p2p/') ? address.toString() : `${address}/p2p/${host}`)
    }
  })
  return found
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

async function askAt(node: Libp2pNode, address: string, { request, signal }: JoinRequest): Promise<Uint8Array> {
  const bounded = AbortSignal.any([signal, AbortSignal.timeout(JOIN_TIMEOUT_MS)])
  await askToBeCarried(node, address, bounded)
  const connection = await node.dial(multiaddr(address), { signal: bounded })
  return await askOver(connection, JOIN_PROTOCOL, request, bounded)
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
