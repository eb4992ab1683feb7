// Asking a member how it sees a port of this device, which is about to be dialled from: for a ticket on the connection
// that there is, and then by knocking from that port.

import type { Connection } from '@libp2p/interface'
import { decodeObserveAnswer, encodeObserveAnswer, KNOCK_BYTES_MAX } from '../knock.ts'
import { peerOf } from './connections.ts'
import type { Libp2pNode } from './create-libp2p.ts'
import type { KnockDoor } from './knocks.ts'
import { OBSERVE_PROTOCOL } from './protocols.ts'
import { answerOnStream, askOnStream } from './question.ts'

/** How long the question, which is empty, may take to come. */
const QUESTION_MS_MAX = 5_000
const QUESTION = new Uint8Array(0)

export async function serveObservations(node: Libp2pNode, door: KnockDoor): Promise<void> {
  await node.handle(OBSERVE_PROTOCOL, (stream, connection) =>
    answerOnStream(stream, { bytesMax: QUESTION.length, msMax: QUESTION_MS_MAX }, () => {
      const expected = connection.direct ? door.expect(peerOf(connection)) : null
      if (expected === null) throw new Error('this node looks at no port now')
      return encodeObserveAnswer(expected.ticket)
    }),
  )
}

/** A ticket with which to knock at a member that is connected directly. Rejects when it gives none. */
export async function askToBeSeen(connection: Connection, signal: AbortSignal): Promise<string> {
  const asking = { bytesMax: KNOCK_BYTES_MAX, signal }
  const answer = decodeObserveAnswer(await askOnStream(connection, OBSERVE_PROTOCOL, QUESTION, asking))
  if (!answer.ok) throw new Error(answer.error)
  return answer.value.ticket
}
