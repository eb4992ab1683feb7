// Round-trip times: libp2p's ping protocol, measured with a clock finer than its own milliseconds, because `closest`
// has to tell 0.3 ms from 0.9.

import { randomBytes } from 'node:crypto'
import type { Connection } from '@libp2p/interface'
import { libp2pDuplex } from './stream-duplex.ts'

const PING_PROTOCOL = '/ipfs/ping/1.0.0'
const PING_BYTES = 32
/** How often a peer is measured; the machines smooth. A measurement costs about 200 bytes each way. */
export const ROUND_TRIP_INTERVAL_MS = 10_000
/** How often it is looked who is due, so that a fleet is measured one after the other and not in one burst. */
const SWEEP_INTERVAL_MS = 1_000
const MEASURED_PER_SWEEP_MAX = 8
const ROUND_TRIP_TIMEOUT_MS = 5_000

/** One round trip in ms; rejects when there is no answer. */
export async function measureRoundTrip(connection: Connection, signal: AbortSignal): Promise<number> {
  const stream = await connection.newStream(PING_PROTOCOL, { signal, runOnLimitedConnection: true })
  const duplex = libp2pDuplex(stream)
  try {
    const answered = new Promise<void>((resolve, reject) => {
      let left = PING_BYTES
      duplex.on('data', (bytes: Uint8Array) => {
        left -= bytes.length
        if (left <= 0) resolve()
      })
      duplex.on('error', reject)
      signal.addEventListener('abort', () => reject(signal.reason), { once: true })
    })
    const start = performance.now()
    duplex.write(randomBytes(PING_BYTES))
    await answered
    const ms = performance.now() - start
    duplex.end()
    return ms
  } catch (problem) {
    duplex.destroy()
    throw problem
  }
}

export interface RoundTripSetup {
  /** The connections whose round-trip time is of interest now. */
  connections(): readonly Connection[]
  onRoundTrip(connection: Connection, ms: number): void
}

/** Measures each connection soon after it appears and then every ROUND_TRIP_INTERVAL_MS; returns how to stop. */
export function measureRoundTrips({ connections, onRoundTrip }: RoundTripSetup): () => void {
  const measuredAt = new WeakMap<Connection, number>()
  const sweep = (): void => {
    const now = performance.now()
    const since = (connection: Connection): number => now - (measuredAt.get(connection) ?? Number.NEGATIVE_INFINITY)
    const due = connections().filter((connection) => since(connection) >= ROUND_TRIP_INTERVAL_MS)
    for (const connection of due.slice(0, MEASURED_PER_SWEEP_MAX)) {
      measuredAt.set(connection, now)
      measureRoundTrip(connection, AbortSignal.timeout(ROUND_TRIP_TIMEOUT_MS)).then(
        (ms) => onRoundTrip(connection, ms),
        // A peer that does not answer is the business of the connection's liveness check and of the watchers.
        () => {},
      )
    }
  }
  const timer = setInterval(sweep, SWEEP_INTERVAL_MS)
  timer.unref()
  return () => clearInterval(timer)
}
