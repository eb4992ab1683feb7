// Messages to one peer go over one long-lived stream per direction: a fresh stream would cost ten times a message. The
// sender keeps a bounded outbox per peer and says of each frame only what differs from an earlier one; the receiver
// hands frames up one at a time and drops a stream that makes no sense.

import { once } from 'node:events'
import type { Duplex } from 'node:stream'
import { setTimeout as delay, setImmediate as nextTurn } from 'node:timers/promises'
import type { Connection, Stream } from '@libp2p/interface'
import { decode } from 'it-length-prefixed'
import { pipe } from 'it-pipe'
import {
  type Allowances,
  CONTROL_BYTES_PER_MEMBER,
  CONTROL_MESSAGES_PER_MEMBER,
  createAllowances,
} from '../allowance.ts'
import { createPacker, createUnpacker, PACKED_BYTES_MAX } from '../frame-delta.ts'
import { InvariantError } from '../kernel/assert.ts'
import type { NodeId } from '../kernel/ids.ts'
import { createOutbox, OUTBOX_AGE_MS_MAX, type Outbox } from '../outbox.ts'
import { peerOf } from './connections.ts'
import type { Counters } from './counters.ts'
import type { Libp2pNode } from './create-libp2p.ts'
import { spareWindowUpdates } from './multiplexer.ts'
import { CONTROL_PROTOCOL } from './protocols.ts'
import { libp2pDuplex } from './stream-duplex.ts'

/** Two simultaneous dials and a stream that is being replaced on each. */
const STREAMS_PER_CONNECTION_MAX = 4
/** Frames of one stream in one turn of the event loop: some milliseconds of signatures. A guess. */
const FRAMES_PER_TURN_MAX = 32

export interface ControlStreams {
  send(to: NodeId, bytes: Uint8Array): void
  /** Moves to the best connection from the next message on, e.g. when a direct path appeared. */
  move(peer: NodeId): void
  /** Forgets what waits for a peer. */
  forget(peer: NodeId): void
  close(): void
}

export interface ControlSetup {
  readonly node: Libp2pNode
  readonly counters: Counters
  /** A connection that passed hello, dialled if there is none. */
  connect(peer: NodeId, signal: AbortSignal): Promise<Connection>
  onMessage(bytes: Uint8Array, from: NodeId): void
}

/** What each member may say, over all its streams. */
interface Pace {
  readonly messages: Allowances
  readonly bytes: Allowances
}

interface Link {
  readonly outbox: Outbox
  /** Told when there is something to send. */
  wake: () => void
  stop: AbortController
}

export async function openControlStreams(setup: ControlSetup): Promise<ControlStreams> {
  const { node, counters } = setup
  const links = new Map<NodeId, Link>()
  const pace: Pace = {
    messages: createAllowances(CONTROL_MESSAGES_PER_MEMBER),
    bytes: createAllowances(CONTROL_BYTES_PER_MEMBER),
  }
  await node.handle(CONTROL_PROTOCOL, (stream, connection) => receive(setup, pace, stream, connection), {
    maxInboundStreams: STREAMS_PER_CONNECTION_MAX,
    maxOutboundStreams: STREAMS_PER_CONNECTION_MAX,
    runOnLimitedConnection: true,
  })
  const start = (peer: NodeId): Link => {
    const link: Link = { outbox: createOutbox(), wake: () => {}, stop: new AbortController() }
    links.set(peer, link)
    void keepSending(setup, peer, link).finally(() => links.get(peer) === link && links.delete(peer))
    return link
  }
  return {
    send: (to, bytes) => {
      const link = links.get(to) ?? start(to)
      counters.add('control-dropped-overflow', link.outbox.push(bytes, performance.now()))
      link.wake()
    },
    move: (peer) => {
      const link = links.get(peer)
      if (link === undefined) return
      link.stop.abort()
      link.stop = new AbortController()
    },
    forget: (peer) => links.get(peer)?.outbox.clear(),
    close: () => {
      for (const link of links.values()) {
        link.outbox.clear()
        link.stop.abort()
      }
    },
  }
}

/** Sends until there is nothing to send and no stream, or no stream can be had: then what waits is lost. */
async function keepSending(setup: ControlSetup, peer: NodeId, link: Link): Promise<void> {
  do {
    const stop = link.stop.signal
    const duplex = await openStream(setup, peer).catch(() => null)
    if (duplex === null) {
      setup.counters.add('control-dropped-unreachable', link.outbox.clear())
      return
    }
    await sendOver(duplex, link, stop, setup.counters)
  } while (link.outbox.size > 0)
}

async function openStream({ connect }: ControlSetup, peer: NodeId): Promise<Duplex> {
  const signal = AbortSignal.timeout(OUTBOX_AGE_MS_MAX)
  const connection = await connect(peer, signal)
  const duplex = libp2pDuplex(
    await connection.newStream(CONTROL_PROTOCOL, {
      signal,
      runOnLimitedConnection: true,
      maxOutboundStreams: STREAMS_PER_CONNECTION_MAX,
    }),
  )
  // Nothing is said back on this stream; reading on is how its end is noticed.
  return duplex.resume()
}

/** Returns when the stream is gone or is to be left; what the stream had not taken waits on. */
async function sendOver(duplex: Duplex, link: Link, stop: AbortSignal, counters: Counters): Promise<void> {
  const gone = new AbortController()
  duplex.on('error', () => {})
  duplex.once('close', () => gone.abort())
  const signal = AbortSignal.any([stop, gone.signal])
  signal.addEventListener('abort', () => link.wake())
  const write = async (source: AsyncIterable<Uint8Array>): Promise<void> => {
    for await (const batch of source) if (!duplex.write(batch)) await once(duplex, 'drain', { signal })
  }
  await pipe(batches(link, signal, counters), write).catch(() => {})
  if (gone.signal.aborted) duplex.destroy()
  else duplex.end()
}

/**
 * What is in the outbox, joined to batches: everything that was sent within one turn of the event loop leaves at once.
 */
async function* batches(link: Link, signal: AbortSignal, counters: Counters): AsyncGenerator<Uint8Array> {
  const packer = createPacker()
  while (!signal.aborted) {
    const now = performance.now()
    counters.add('control-dropped-late', link.outbox.dropOld(now))
    const batch = link.outbox.takeBatch(packer)
    if (batch !== null) yield batch
    else
      await new Promise<void>((resolve) => {
        link.wake = resolve
      })
  }
}

async function receive(
  { counters, onMessage }: ControlSetup,
  pace: Pace,
  stream: Stream,
  connection: Connection,
): Promise<void> {
  const from = peerOf(connection)
  if (connection.direct) spareWindowUpdates(stream)
  const duplex = libp2pDuplex(stream)
  duplex.end()
  const unpacker = createUnpacker()
  let sinceTurn = 0
  try {
    await pipe(
      duplex as AsyncIterable<Uint8Array>,
      (source) => decode(source, { maxDataLength: PACKED_BYTES_MAX }),
      async (frames) => {
        for await (const bytes of frames) {
          const frame = unpacker.unpack(bytes.subarray())
          if (!frame.ok) throw new BadFrameError(frame.error)
          onMessage(frame.value, from)
          const now = performance.now()
          const waitMs = Math.max(pace.messages.take(from, 1, now), pace.bytes.take(from, frame.value.length, now))
          sinceTurn += 1
          if (waitMs === 0 && sinceTurn < FRAMES_PER_TURN_MAX) continue
          sinceTurn = 0
          if (waitMs > 0) counters.add('control-held-up')
          // One stream’s frames lie ready in thousands; timers and other members get their turn in between.
          await (waitMs > 0 ? delay(waitMs) : nextTurn())
        }
      },
    )
  } catch (problem) {
    // A bug of ours must not pass for a broken stream.
    if (problem instanceof InvariantError) setImmediate(() => fail(problem))
    // A frame that is too long or makes no sense: nothing after it can be read, so the stream goes, not the node.
    if (problem instanceof BadFrameError || isBadFrame(problem)) counters.add('control-malformed')
    duplex.destroy()
  }
}

/** What came is no packed frame. */
class BadFrameError extends Error {
  override readonly name = 'BadFrameError'
}

const fail = (problem: Error): never => {
  throw problem
}

const isBadFrame = (problem: unknown): boolean =>
  /^Invalid(Message|Data)Length|^UnexpectedEOF/.test((problem as Error)?.name)
