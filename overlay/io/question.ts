// One question and one answer, on a stream of its own: what most of our protocols come down to.

import type { Connection, Stream } from '@libp2p/interface'
import { readFrame, writeFrame } from './frames.ts'
import { libp2pDuplex } from './stream-duplex.ts'

export interface Asking {
  /** The longest answer. */
  readonly bytesMax: number
  readonly signal: AbortSignal
  /** Whether it may be asked over a relay; no where nothing is said. */
  readonly mayRelay?: boolean
}

/** Resolves to the answer. Rejects as `readFrame` does, and where the peer does not speak the protocol. */
export async function askOnStream(
  connection: Connection,
  protocol: string,
  question: Uint8Array,
  { bytesMax, signal, mayRelay = false }: Asking,
): Promise<Uint8Array> {
  const duplex = libp2pDuplex(await connection.newStream(protocol, { signal, runOnLimitedConnection: mayRelay }))
  duplex.on('error', () => {})
  try {
    writeFrame(duplex, question)
    duplex.end()
    const answer = await readFrame(duplex, bytesMax, signal)
    duplex.resume()
    return answer
  } catch (problem) {
    duplex.destroy()
    throw problem
  }
}

/** How long a question may be, and how long it may take to come. */
export interface Listening {
  readonly bytesMax: number
  readonly msMax: number
}

/** Says what `answer` makes of the question. Where that rejects, or none comes, the stream ends without an answer. */
export async function answerOnStream(
  stream: Stream,
  { bytesMax, msMax }: Listening,
  answer: (question: Uint8Array) => Uint8Array | Promise<Uint8Array>,
): Promise<void> {
  const duplex = libp2pDuplex(stream)
  duplex.on('error', () => {})
  try {
    writeFrame(duplex, await answer(await readFrame(duplex, bytesMax, AbortSignal.timeout(msMax))))
    duplex.end()
  } catch {
    duplex.destroy()
  }
}
