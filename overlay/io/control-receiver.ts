// The receiving end of a control stream: hands frames up one at a time, each member's at its pace, and drops a stream
// that makes no sense. What came is handed up in the turn in which it came.

import type { Connection, Stream } from '@libp2p/interface'
import {
  type Allowances,
  CONTROL_BYTES_PER_MEMBER,
  CONTROL_MESSAGES_PER_MEMBER,
  createAllowances,
} from '../allowance.ts'
import { createUnpacker, PACKED_BYTES_MAX } from '../frame-delta.ts'
import { createFrameReader } from '../frame-reader.ts'
import { InvariantError } from '../kernel/assert.ts'
import type { NodeId } from '../kernel/ids.ts'
import { peerOf } from './connections.ts'
import type { Counters } from './counters.ts'
import { spareWindowUpdates } from './multiplexer.ts'

/** Frames of one stream in one turn of the event loop: some milliseconds of signatures. A guess. */
const FRAMES_PER_TURN_MAX = 32
/** Received bytes that wait for their turn before the stream is paused; the sender's window comes on top. */
const WAITING_BYTES_MAX = 262_144

/** What each member may say, over all its streams. */
export interface Pace {
  readonly messages: Allowances
  readonly bytes: Allowances
}

export const createPace = (): Pace => ({
  messages: createAllowances(CONTROL_MESSAGES_PER_MEMBER),
  bytes: createAllowances(CONTROL_BYTES_PER_MEMBER),
})

export interface ReceiverSetup {
  readonly counters: Counters
  /** The peer at the other end of this connection is there. */
  onHeard(connection: Connection): void
  onMessage(bytes: Uint8Array, from: NodeId): void
}

/** Hands up what comes on a stream until it ends. */
export function receiveControl(
  { counters, onHeard, onMessage }: ReceiverSetup,
  pace: Pace,
  stream: Stream,
  connection: Connection,
): void {
  const from = peerOf(connection)
  const frames = createFrameReader(PACKED_BYTES_MAX)
  const unpacker = createUnpacker()
  let isHeldUp = false
  let isOver = false
  let sinceTurn = 0

  const giveUp = (why: string): void => {
    isOver = true
    stream.abort(new Error(why))
  }

  /** Hands one frame up; how long the next has to wait in ms, null where there was none. */
  const handUpOne = (): number | null => {
    const packed = frames.next()
    if (packed.ok && packed.value === null) return null
    const frame = packed.ok ? unpacker.unpack(packed.value as Uint8Array) : packed
    if (!frame.ok) {
      // Nothing after it can be read, so the stream goes, not the node.
      counters.add('control-malformed')
      giveUp(frame.error)
      return null
    }
    onMessage(frame.value, from)
    const now = performance.now()
    return Math.max(pace.messages.take(from, 1, now), pace.bytes.take(from, frame.value.length, now))
  }

  const handUp = (): void => {
    try {
      for (let waitMs = handUpOne(); waitMs !== null && !isOver; waitMs = handUpOne()) {
        sinceTurn += 1
        if (waitMs === 0 && sinceTurn < FRAMES_PER_TURN_MAX) continue
        sinceTurn = 0
        if (waitMs > 0) counters.add('control-held-up')
        return holdUp(waitMs)
      }
    } catch (problem) {
      // A bug of ours must not pass for a broken stream.
      if (problem instanceof InvariantError) setImmediate(() => fail(problem))
      giveUp('what was said could not be taken in')
    }
  }

  /** One stream’s frames lie ready in thousands; timers and other members get their turn in between. */
  const holdUp = (waitMs: number): void => {
    isHeldUp = true
    const goOn = (): void => {
      isHeldUp = false
      if (isOver) return
      handUp()
      if (!isHeldUp && stream.readStatus === 'paused') stream.resume()
    }
    if (waitMs > 0) setTimeout(goOn, waitMs)
    else setImmediate(goOn)
  }

  stream.addEventListener('message', ({ data }) => {
    frames.add(data)
    onHeard(connection)
    if (!isHeldUp && !isOver) handUp()
    // Not here and now: a pause made while resume() hands out what was buffered is undone below, in yamux.
    if (isHeldUp && frames.size > WAITING_BYTES_MAX) queueMicrotask(pause)
  })
  const pause = (): void => {
    if (isHeldUp && stream.readStatus === 'readable') stream.pause()
  }
  stream.addEventListener('close', ({ error }) => {
    if (error !== undefined) isOver = true
  })
  if (connection.direct) spareWindowUpdates(stream)
  // Nothing is said back.
  stream.close().catch(() => {})
}

const fail = (problem: Error): never => {
  throw problem
}
