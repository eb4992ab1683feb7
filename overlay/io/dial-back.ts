// Dialling a member back at the address from which its connection comes, so that it learns whether it can be reached
// from outside. Only that address is dialled, and only the member itself counts as an answer: it has to be shown the
// ticket that it gave.

import type { Connection } from '@libp2p/interface'
import type { NodeId } from '../kernel/ids.ts'
import {
  decodeDialBack,
  decodeDialBackAnswer,
  encodeDialBack,
  encodeDialBackAnswer,
  KNOCK_BYTES_MAX,
} from '../knock.ts'
import { peerOf } from './connections.ts'
import type { Libp2pNode } from './create-libp2p.ts'
import { type KnockDoor, knock } from './knocks.ts'
import { DIAL_BACK_PROTOCOL } from './protocols.ts'
import { answerOnStream, askOnStream } from './question.ts'

/** A first packet that was lost is sent again after 1 s. */
const DIAL_BACK_MS_MAX = 3_000
/** The question, the dial and the answer. */
const ANSWER_MS_MAX = 5_000
/** Dials for others at once; further questions get no answer and are asked again. A guess. */
const DIALS_AT_ONCE_MAX = 16
/** Of them, dials of one member: where a router has just forwarded a port, that of the port before still waits. */
const DIALS_PER_MEMBER_MAX = 2

export async function serveDialBacks(node: Libp2pNode): Promise<void> {
  const running: NodeId[] = []
  await node.handle(DIAL_BACK_PROTOCOL, async (stream, connection) => {
    const peer = peerOf(connection)
    const own = running.filter((one) => one === peer)
    if (own.length >= DIALS_PER_MEMBER_MAX || running.length >= DIALS_AT_ONCE_MAX || !connection.direct) {
      stream.abort(new Error('this node dials nobody back now'))
      return
    }
    running.push(peer)
    await answerOnStream(stream, { bytesMax: KNOCK_BYTES_MAX, msMax: ANSWER_MS_MAX }, async (raw) => {
      const request = decodeDialBack(raw)
      if (!request.ok) throw new Error(request.error)
      return encodeDialBackAnswer(await reaches(connection, request.value.port, request.value.ticket))
    })
    running.splice(running.indexOf(peer), 1)
  })
}

async function reaches(from: Connection, port: number, ticket: string): Promise<boolean> {
  const seen = hostAndPortOf(from.remoteAddr.toString())
  if (seen === null) return false
  try {
    const { socket } = await knock({ host: seen.host, port }, ticket, AbortSignal.timeout(DIAL_BACK_MS_MAX))
    socket.destroy()
    return true
  } catch {
    return false
  }
}

/** Asks a member to dial this node at a port; null when it gives no answer. */
export async function askForDialBack(connection: Connection, port: number, door: KnockDoor): Promise<boolean | null> {
  const expected = door.expect(peerOf(connection))
  if (expected === null) return null
  const asking = { bytesMax: KNOCK_BYTES_MAX, signal: AbortSignal.timeout(ANSWER_MS_MAX) }
  try {
    const question = encodeDialBack({ port, ticket: expected.ticket })
    const answer = decodeDialBackAnswer(await askOnStream(connection, DIAL_BACK_PROTOCOL, question, asking))
    return answer.ok ? answer.value.isReached && expected.isKnocked() : null
  } catch {
    return null
  }
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
