// Joins two byte streams end to end: back-pressure both ways, a half-close is carried over, a cut cuts the other.

import { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { receiveIntoSlabs } from './slab-reading.ts'
import { lend } from './slabs.ts'
import { freeSpent, maySpend } from './spent-bytes.ts'

/** Carries bytes both ways until both directions ended; an error or a cut on one side destroys the other. */
export function splice(a: Duplex, b: Duplex): void {
  carry(a, b)
  carry(b, a)
  cutWith(a, b)
  cutWith(b, a)
}

/** What is written at once at most; a guess between few system calls and little memory. */
export const BATCH_BYTES_MAX = 262_144
/** A socket that said more is read into slabs: what they spare is worth the memory that they take. A guess. */
const BULK_BYTES = 1_048_576

/**
 * As `pipe()`, but what comes in one turn of the event loop is written at once: each piece that a socket hands out is a
 * callback of its own, behind which even the next tick comes too early for a second one.
 */
function carry(from: Duplex, to: Duplex): void {
  const areSpent = maySpend(from, to)
  let isCorked = false
  const flush = (): void => {
    if (!isCorked) return
    isCorked = false
    to.uncork()
    if (to.writableNeedDrain) from.pause()
  }
  const write = (bytes: Uint8Array): void => {
    if (areSpent) to.write(bytes, (problem) => problem || freeSpent(bytes))
    else to.write(bytes)
  }
  // All that there was is in it, so it does not wait for more.
  const onSlab = (bytes: Uint8Array): void => {
    write(lend(bytes))
    if (to.writableNeedDrain) from.pause()
  }
  const onData = (bytes: Uint8Array): void => {
    if (!isCorked) {
      isCorked = true
      to.cork()
      setImmediate(flush)
    }
    write(bytes)
    if (to.writableLength >= BATCH_BYTES_MAX) flush()
    const isBulk = areSpent && from instanceof Socket && from.bytesRead > BULK_BYTES
    if (isBulk && receiveIntoSlabs(from, onSlab)) from.off('data', onData)
  }
  from.on('data', onData)
  to.on('drain', () => from.resume())
  from.on('end', () => to.end())
  if (to.writableNeedDrain) from.pause()
  else from.resume()
}

function cutWith(from: Duplex, to: Duplex): void {
  from.on('error', (problem) => to.destroy(problem))
  from.on('close', () => {
    // Closed before its end was read, or before it took everything: the other side must not take this for an end.
    if (!from.readableEnded || !from.writableFinished) to.destroy()
  })
}
