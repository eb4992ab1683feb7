// Joins two byte streams end to end: back-pressure both ways, a half-close is carried over, a cut cuts the other.

import type { Duplex } from 'node:stream'

/** Carries bytes both ways until both directions ended; an error or a cut on one side destroys the other. */
export function splice(a: Duplex, b: Duplex): void {
  a.pipe(b)
  b.pipe(a)
  cutWith(a, b)
  cutWith(b, a)
}

function cutWith(from: Duplex, to: Duplex): void {
  from.on('error', (problem) => to.destroy(problem))
  from.on('close', () => {
    // Closed before its end was read, or before it took everything: the other side must not take this for an end.
    if (!from.readableEnded || !from.writableFinished) to.destroy()
  })
}
