// Dialling a member back at the address from which its connection comes, so that it learns whether it can be reached
// from outside. Only that address is dialled, and only the member itself counts as an answer: its key is checked.

import type { Connection } from '@libp2p/interface'
import { multiaddr } from '@multiformats/multiaddr'
import { type NodeId, nodeId } from '../kernel/ids.ts'
import { decodeBounded, encodeCbor } from '../wire/codec.ts'
import type { Libp2pNode } from './create-libp2p.ts'
import { closeQuietly, type HelloDesk } from './hello.ts'
import { DIAL_BACK_BYTES_MAX, DIAL_BACK_PROTOCOL } from './protocols.ts'
import { answerOnStream, askOnStream } from './question.ts'

/** A first packet that was lost is sent again after 1 s, and a handshake takes some round trips. */
const DIAL_BACK_MS_MAX = 3_000
/** The question, the dial and the answer. */
const ANSWER_MS_MAX = 5_000
/** Dials for others at once; further questions get no answer and are asked again. A guess. */
const DIALS_AT_ONCE_MAX = 16

export async function serveDialBacks(node: Libp2pNode, desk: HelloDesk): Promise<void> {
  const running = new Set<NodeId>()
  await node.handle(DIAL_BACK_PROTOCOL, async (stream, connection) => {
    const peer = nodeId(connection.remotePeer.toString())
    if (running.has(peer) || running.size >= DIALS_AT_ONCE_MAX || !connection.direct) {
      stream.abort(new Error('this node dials nobody back now'))
      return
    }
    running.add(peer)
    await answerOnStream(stream, { bytesMax: DIAL_BACK_BYTES_MAX, msMax: ANSWER_MS_MAX }, async (raw) => {
      const port = portIn(raw)
      return encodeCbor({ isReached: port !== null && (await reaches(node, desk, connection, port)) })
    })
    running.delete(peer)
  })
}

async function reaches(node: Libp2pNode, desk: HelloDesk, from: Connection, port: number): Promise<boolean> {
  const seen = hostAndPortOf(from.remoteAddr.toString())
  if (seen === null) return false
  const target = multiaddr(`/${seen.family}/${seen.host}/tcp/${port}/p2p/${from.remotePeer}`)
  try {
    const { transportManager } = node.services.inside
    const dialled = await transportManager.dial(target, { signal: AbortSignal.timeout(DIAL_BACK_MS_MAX) })
    await desk.admitted(dialled)
    await closeQuietly(dialled)
    return true
  } catch {
    return false
  }
}

/** Asks a member to dial this node at a port; null when it gives no answer. */
export async function askForDialBack(connection: Connection, port: number): Promise<boolean | null> {
  const signal = AbortSignal.timeout(ANSWER_MS_MAX)
  try {
    const asking = { bytesMax: DIAL_BACK_BYTES_MAX, signal }
    const raw = decodeBounded(await askOnStream(connection, DIAL_BACK_PROTOCOL, encodeCbor({ port }), asking))
    const { isReached } = ((raw.ok ? raw.value : null) ?? {}) as { readonly isReached?: unknown }
    return typeof isReached === 'boolean' ? isReached : null
  } catch {
    return null
  }
}

function portIn(bytes: Uint8Array): number | null {
  const raw = decodeBounded(bytes)
  const { port } = (raw.ok && typeof raw.value === 'object' ? (raw.value ?? {}) : {}) as { readonly port?: unknown }
  return typeof port === 'number' && Number.isInteger(port) && port > 0 && port < 65_536 ? port : null
}

export interface HostAndPort {
  readonly family: 'ip4' | 'ip6'
  readonly host: string
  readonly port: number
}

/** The IP address and TCP port that a multiaddr begins with; null for others, relayed ones included. */
export function hostAndPortOf(address: string): HostAndPort | null {
  const [, family, host = '', protocol, port] = address.split('/')
  if ((family !== 'ip4' && family !== 'ip6') || protocol !== 'tcp' || address.includes('/p2p-circuit')) return null
  return { family, host, port: Number(port) }
}
