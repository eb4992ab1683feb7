// What a caller says before its tunnel is open goes right behind the tunnel's header, so that the first answer takes
// one round trip and not two. A refused tunnel carried nothing: then the caller's stream has its bytes again, for the
// next instance.

import type { Duplex, Writable } from 'node:stream'

/** Of one caller; more waits until the tunnel is open. A request with its header fits. A guess. */
export const EARLY_BYTES_MAX = 16_384

export interface EarlyBytes {
  /** Whether anything went out. */
  wereSent(): boolean
  /** The tunnel is open: whoever joins the two carries the rest. */
  keep(): void
  /** The tunnel was refused: what was said is put back. */
  takeBack(): void
}

/** Sends what the caller has said, and what it says until `keep` or `takeBack`, without waiting for anything. */
export function sendEarly(caller: Duplex, tunnel: Writable): EarlyBytes {
  const sent: Uint8Array[] = []
  let left = EARLY_BYTES_MAX
  const send = (): void => {
    while (left > 0 && caller.readableLength > 0) {
      // Never more than is there: a stream that is read beyond its last byte tells its end, and this is too soon.
      const bytes: Uint8Array | null = caller.read(Math.min(left, caller.readableLength))
      if (bytes === null) return
      left -= bytes.length
      sent.push(bytes)
      tunnel.write(bytes)
    }
  }
  const stop = (): void => void caller.off('readable', send)
  caller.on('readable', send)
  send()
  return {
    wereSent: () => sent.length > 0,
    keep: stop,
    takeBack: () => {
      stop()
      if (sent.length > 0 && !caller.destroyed) caller.unshift(Buffer.concat(sent))
    },
  }
}
