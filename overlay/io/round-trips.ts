// Whether the other end of a connection still answers, and how soon: libp2p's ping protocol over one stream that stays
// open. A fresh stream for each would cost ten times as much, in bytes and in processor time. The clock is finer than
// libp2p's own milliseconds, because `closest` has to tell 0.3 ms from 0.9.

import type { Duplex } from 'node:stream'
import type { Connection, StreamMiddleware } from '@libp2p/interface'
import { isAskedNow, type Liveness } from '../liveness.ts'
import type { Libp2pNode } from './create-libp2p.ts'
import { spareWindowUpdates } from './multiplexer.ts'
import { PING_PROTOCOL } from './protocols.ts'
import { libp2pDuplex } from './stream-duplex.ts'
import { wakes } from './wakes.ts'

const PING_BYTES = 32
/** The time to answer where this device has lost an address: most likely nothing will, and a wrong cut costs a dial. */
const MOVED_MS_MAX = 1_000
/** What has not answered after so long is waited for, and others are preferred. A guess, above most round trips. */
const DOUBT_FELT_MS = 300
/** What came while this process itself stood still is read before the peer is given up. */
const LAST_LOOK_MS = 250
/**
 * A connection on which so many streams in a row could not be opened, or broke, is of no use, even if somebody is
 * there: one end closes it and does not come to an end, say. A guess; streams that break do not come in threes.
 */
const BROKEN_MAX = 3
/** How often it is looked who is due, so that a fleet is asked one after the other and not in one burst. */
const SWEEP_INTERVAL_MS = 1_000
const ASKED_PER_SWEEP_MIN = 8

export interface RoundTripSetup {
  /** All that is open. */
  connections(): readonly Connection[]
  readonly liveness: Liveness
  onRoundTrip(connection: Connection, ms: number): void
  /** A connection that is doubted has not answered for a while; one that is not answers. */
  onDoubt(connection: Connection, isDoubted: boolean): void
}

export interface RoundTrips {
  /** One round trip in ms; rejects when there is no answer. */
  measure(connection: Connection, signal: AbortSignal): Promise<number>
  /** Cuts a connection unless it answers soon: the peer came again over another one, or this node moved. */
  doubt(connection: Connection, reason: 'peer-came-again' | 'moved'): void
  /** Something came from the peer over it just now. */
  heard(connection: Connection): void
  close(): void
}

/** The open stream of one connection, and who waits for an echo on it, in order. */
interface Line {
  readonly duplex: Duplex
  readonly waiting: { readonly sentAt: number; answer(ms: number): void; fail(problem: Error): void }[]
}

/**
 * Measures each connection soon after it appears, and again where it was silent for an interval. One that does not
 * answer is aborted: nothing else would notice a peer that lost its power.
 */
export function measureRoundTrips(setup: RoundTripSetup): RoundTrips {
  const { connections, liveness, onRoundTrip, onDoubt } = setup
  const { intervalMs, answerMsMax } = liveness
  const lines = new WeakMap<Connection, Promise<Line>>()
  const askedAt = new WeakMap<Connection, number>()
  const heardAt = new WeakMap<Connection, number>()
  const broken = new WeakMap<Connection, number>()

  const measure = async (connection: Connection, signal: AbortSignal): Promise<number> => {
    const known = lines.get(connection)
    const line = known ?? openLine(connection, signal)
    if (known === undefined) {
      lines.set(connection, line)
      const forget = (): unknown => lines.get(connection) === line && lines.delete(connection)
      line.then(({ duplex }) => duplex.once('close', forget), forget)
    }
    return await roundTrip(await line, signal)
  }
  const ask = async (connection: Connection): Promise<void> => {
    const { signal, clear } = patience(answerMsMax)
    const since = performance.now()
    try {
      onRoundTrip(connection, await measure(connection, signal))
      broken.delete(connection)
      onDoubt(connection, false)
    } catch (problem) {
      if (signal.aborted) cutIfSilent(connection, since, problem as Error)
      else askAgain(connection, problem as Error)
    } finally {
      clear()
    }
  }
  /** Whoever says something is there, however late he answers: where devices are too busy a cut makes more work. */
  const cutIfSilent = (connection: Connection, since: number, problem: Error): boolean => {
    const isSilent = (heardAt.get(connection) ?? Number.NEGATIVE_INFINITY) < since
    if (isSilent) connection.abort(problem)
    return isSilent
  }
  const askAgain = (connection: Connection, problem: Error): void => {
    const times = (broken.get(connection) ?? 0) + 1
    broken.set(connection, times)
    if (times < BROKEN_MAX) askedAt.delete(connection)
    else connection.abort(problem)
  }
  const sweep = (): void => {
    const now = performance.now()
    const open = connections()
    const due = open.filter((connection) =>
      isAskedNow({ askedAt: askedAt.get(connection), heardAt: heardAt.get(connection) }, intervalMs, now),
    )
    const share = Math.ceil((open.length * SWEEP_INTERVAL_MS) / intervalMs)
    for (const connection of due.slice(0, Math.max(ASKED_PER_SWEEP_MIN, share))) {
      askedAt.set(connection, now)
      void ask(connection)
    }
  }
  const close = wakes.every(SWEEP_INTERVAL_MS, sweep)
  const doubt: RoundTrips['doubt'] = async (connection, reason) => {
    const { signal, clear } = patience(reason === 'moved' ? MOVED_MS_MAX : answerMsMax)
    const since = performance.now()
    const felt = setTimeout(() => onDoubt(connection, true), DOUBT_FELT_MS)
    try {
      await measure(connection, signal)
      onDoubt(connection, false)
    } catch (problem) {
      const isHeard = signal.aborted && !cutIfSilent(connection, since, problem as Error)
      onDoubt(connection, !isHeard)
    } finally {
      clearTimeout(felt)
      clear()
    }
  }
  const heard = (connection: Connection): void => void heardAt.set(connection, performance.now())
  return { measure, doubt, heard, close }
}

/**
 * Whoever asks is there, and need not be asked; what it asks costs no window updates. libp2p appends each inbound
 * stream's handler to the very list of middleware that was registered, so this registers itself anew whenever it runs.
 */
export function heedPings(node: Libp2pNode, onHeard: (connection: Connection) => void): void {
  const heed: StreamMiddleware = (stream, connection, next) => {
    node.use(PING_PROTOCOL, heed)
    next(stream, connection)
    if (stream.direction !== 'inbound') return
    if (connection.direct) spareWindowUpdates(stream)
    stream.addEventListener('message', () => onHeard(connection))
  }
  node.use(PING_PROTOCOL, heed)
}

async function openLine(connection: Connection, signal: AbortSignal): Promise<Line> {
  const stream = await connection.newStream(PING_PROTOCOL, { signal, runOnLimitedConnection: true })
  if (connection.direct) spareWindowUpdates(stream)
  const duplex = libp2pDuplex(stream)
  const line: Line = { duplex, waiting: [] }
  let echoed = 0
  duplex.on('data', (bytes: Uint8Array) => {
    for (echoed += bytes.length; echoed >= PING_BYTES; echoed -= PING_BYTES) {
      const first = line.waiting.shift()
      first?.answer(performance.now() - first.sentAt)
    }
  })
  duplex.on('error', () => {})
  duplex.once('end', () => duplex.destroy())
  duplex.once('close', () => {
    for (const one of line.waiting.splice(0)) one.fail(new Error('the stream of pings was closed'))
  })
  return line
}

async function roundTrip({ duplex, waiting }: Line, signal: AbortSignal): Promise<number> {
  signal.throwIfAborted()
  if (duplex.destroyed) throw new Error('the stream of pings was closed')
  const { promise, resolve, reject } = Promise.withResolvers<number>()
  // Without its echo nobody could tell the following ones apart.
  const giveUp = (): void => void duplex.destroy()
  signal.addEventListener('abort', giveUp, { once: true })
  waiting.push({ sentAt: performance.now(), answer: resolve, fail: reject })
  duplex.write(new Uint8Array(PING_BYTES))
  return await promise.finally(() => signal.removeEventListener('abort', giveUp))
}

/** Aborts when there was no answer in time, and none has come in the turns of the event loop since. */
function patience(answerMsMax: number): { readonly signal: AbortSignal; clear(): void } {
  const stop = new AbortController()
  let timer = setTimeout(() => {
    timer = setTimeout(() => stop.abort(new Error('the peer does not answer')), LAST_LOOK_MS)
  }, answerMsMax)
  return { signal: stop.signal, clear: () => clearTimeout(timer) }
}
