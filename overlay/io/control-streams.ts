// Messages to one peer go over one long-lived stream per direction: a fresh stream would cost ten times a message. The
// sender keeps a bounded outbox per peer and says of each frame only what differs from an earlier one. Both ends speak
// to libp2p's stream itself: most messages are one small frame, and a Duplex around it cost as much again.

import { once } from 'node:events'
import type { Connection, Stream } from '@libp2p/interface'
import { pipe } from 'it-pipe'
import { createPacker } from '../frame-delta.ts'
import type { NodeId } from '../kernel/ids.ts'
import { createOutbox, OUTBOX_AGE_MS_MAX, type Outbox } from '../outbox.ts'
import { createPace, type ReceiverSetup, receiveControl } from './control-receiver.ts'
import type { Counters } from './counters.ts'
import type { Libp2pNode } from './create-libp2p.ts'
import { CONTROL_PROTOCOL } from './protocols.ts'

/** Two simultaneous dials and a stream that is being replaced on each. */
const STREAMS_PER_CONNECTION_MAX = 4

export interface ControlStreams {
  send(to: NodeId, bytes: Uint8Array): void
  /** Moves to the best connection from the next message on, e.g. when a direct path appeared. */
  move(peer: NodeId): void
  /** Forgets what waits for a peer. */
  forget(peer: NodeId): void
  close(): void
}

export interface ControlSetup extends ReceiverSetup {
  readonly node: Libp2pNode
  /** A connection that passed hello, dialled if there is none. */
  connect(peer: NodeId, signal: AbortSignal): Promise<Connection>
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
  const pace = createPace()
  await node.handle(CONTROL_PROTOCOL, (stream, connection) => receiveControl(setup, pace, stream, connection), {
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
    const stream = await openStream(setup, peer).catch(() => null)
    if (stream === null) {
      setup.counters.add('control-dropped-unreachable', link.outbox.clear())
      return
    }
    await sendOver(stream, link, stop, setup.counters)
  } while (link.outbox.size > 0)
}

async function openStream({ connect }: ControlSetup, peer: NodeId): Promise<Stream> {
  const signal = AbortSignal.timeout(OUTBOX_AGE_MS_MAX)
  const connection = await connect(peer, signal)
  const stream = await connection.newStream(CONTROL_PROTOCOL, {
    signal,
    runOnLimitedConnection: true,
    maxOutboundStreams: STREAMS_PER_CONNECTION_MAX,
  })
  // Nothing is said back on this stream; who listens is told when it ends.
  stream.addEventListener('message', () => {})
  return stream
}

/** Returns when the stream is gone or is to be left; what the stream had not taken waits on. */
async function sendOver(stream: Stream, link: Link, stop: AbortSignal, counters: Counters): Promise<void> {
  const over = new AbortController()
  const end = (): void => {
    over.abort()
    link.wake()
  }
  stream.addEventListener('close', end)
  stop.addEventListener('abort', end)
  const write = async (source: AsyncIterable<Uint8Array>): Promise<void> => {
    for await (const batch of source) if (!stream.send(batch)) await once(stream, 'drain', { signal: over.signal })
  }
  if (stop.aborted || stream.status !== 'open') over.abort()
  await pipe(batches(link, over.signal, counters), write).catch(() => {})
  stop.removeEventListener('abort', end)
  if (stream.status === 'open') stream.close().catch(() => {})
}

/**
 * What is in the outbox, joined to batches: everything that was sent within one turn of the event loop leaves at once.
 */
async function* batches(link: Link, over: AbortSignal, counters: Counters): AsyncGenerator<Uint8Array> {
  const packer = createPacker()
  while (!over.aborted) {
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
