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
const BATCH_BYTES_MAX = 262_144

/** As `pipe()`, but what comes at once is written at once: one system call instead of one for each piece. */
function carry(from: Duplex, to: Duplex): void {
  const areSpent = maySpend(from, to)
  let isCorked = false
  const flush = (): void => {
    isCorked = false
    to.uncork()
    if (to.writableNeedDrain) from.pause()
  }
  from.on('data', (bytes: Buffer) => {
    if (!isCorked) {
      isCorked = true
      to.cork()
      process.nextTick(flush)
    }
    const hasRoom = areSpent ? to.write(bytes, (problem) => problem || freeSpent(bytes)) : to.write(bytes)
    if (!hasRoom && to.writableLength >= BATCH_BYTES_MAX) from.pause()
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
