// Joins two byte streams end to end: back-pressure both ways, a half-close is carried over, a cut cuts the other.

import type { Duplex } from 'node:stream'
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
  from.on('data', (bytes: Buffer) => {
    if (!isCorked) {
      isCorked = true
      to.cork()
      setImmediate(flush)
    }
    if (areSpent) to.write(bytes, (problem) => problem || freeSpent(bytes))
    else to.write(bytes)
    if (to.writableLength >= BATCH_BYTES_MAX) flush()
  })
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
