// Datagrams in a tunnel: each keeps its bounds by two bytes of length before it. What a reader keeps is at most one
// datagram that has not come in whole.

import { err, ok, type Result } from './kernel/result.ts'

/** The most that UDP carries over IPv4: 65,535 less the two headers (RFC 768, RFC 791). */
export const DATAGRAM_BYTES_MAX = 65_507
const LENGTH_BYTES = 2

/** A datagram as it stands in a tunnel; null for one that is too long to be one. */
export function frameDatagram(datagram: Uint8Array): Uint8Array | null {
  if (datagram.length > DATAGRAM_BYTES_MAX) return null
  const framed = new Uint8Array(LENGTH_BYTES + datagram.length)
  framed[0] = datagram.length >> 8
  framed[1] = datagram.length & 255
  framed.set(datagram, LENGTH_BYTES)
  return framed
}

export interface DatagramReader {
  /** The datagrams that are whole with these bytes; an error for a length that no datagram has, and for ever after. */
  push(bytes: Uint8Array): Result<readonly Uint8Array[], string>
}

export function createDatagramReader(): DatagramReader {
  let rest = new Uint8Array(0)
  return {
    push: (bytes) => {
      const all = rest.length === 0 ? bytes : joined(rest, bytes)
      const datagrams: Uint8Array[] = []
      let at = 0
      while (all.length - at >= LENGTH_BYTES) {
        const length = ((all[at] ?? 0) << 8) | (all[at + 1] ?? 0)
        if (length > DATAGRAM_BYTES_MAX) return err(`a datagram of ${length} bytes; at most ${DATAGRAM_BYTES_MAX}`)
        if (all.length - at - LENGTH_BYTES < length) break
        datagrams.push(all.slice(at + LENGTH_BYTES, at + LENGTH_BYTES + length))
        at += LENGTH_BYTES + length
      }
      rest = all.slice(at)
      return ok(datagrams)
    },
  }
}

function joined(a: Uint8Array, b: Uint8Array): Uint8Array<ArrayBuffer> {
  const all = new Uint8Array(a.length + b.length)
  all.set(a)
  all.set(b, a.length)
  return all
}
