// Memory that bulk is read into, again and again: a slab is lent piece by piece and used anew when each piece has come
// back. Memory of its own for each read is garbage a moment later, and costs as much as the reading.

/**
 * Eight records of TLS (16 KiB, RFC 8446, section 5.1), and room for one more. With sixteen, what was read had left the
 * processor's cache more often by the time it was encrypted or written: 6 % more of a core for one stream.
 */
export const SLAB_BYTES = 9 * 16_384
/** Free slabs that are kept: what the widest window of one tunnel takes (8 MiB, line-window.ts). */
const FREE_MAX = 64
/** What is smaller is copied, which costs little, so that it does not hold a slab for as long as it waits. A guess. */
export const LENT_BYTES_MIN = 8_192

export interface Slab {
  readonly bytes: Uint8Array
  /** Bytes of it that somebody holds. */
  lent: number
  /** Whether it is being read into. */
  isOpen: boolean
}

const slabs = new WeakMap<ArrayBufferLike, Slab>()
const free: Slab[] = []

export function openSlab(): Slab {
  const known = free.pop()
  if (known !== undefined) {
    known.isOpen = true
    return known
  }
  // Not `new Uint8Array`, which would write zeros all over it.
  const bytes = new Uint8Array(Buffer.allocUnsafeSlow(SLAB_BYTES).buffer)
  const slab: Slab = { bytes, lent: 0, isOpen: true }
  slabs.set(bytes.buffer, slab)
  return slab
}

/** Nothing is read into it any more; what was lent of it is still good. */
export function closeSlab(slab: Slab): void {
  slab.isOpen = false
  keepIfFree(slab)
}

/** Lets go of the memory that waits for readers. */
export function forgetFreeSlabs(): void {
  free.length = 0
}

/** Of bytes in a slab: something that stays as it is until `returnLent`. Others are themselves. */
export function lend(bytes: Uint8Array): Uint8Array {
  const slab = slabs.get(bytes.buffer)
  if (slab === undefined) return bytes
  if (bytes.length < LENT_BYTES_MIN) return bytes.slice()
  slab.lent += bytes.length
  return bytes
}

/**
 * Nobody holds these bytes any more; false where they are not a slab's. A slab of which some bytes never come back is
 * not used again, and left to the collector.
 */
export function returnLent(bytes: Uint8Array): boolean {
  const slab = slabs.get(bytes.buffer)
  if (slab === undefined) return false
  slab.lent -= bytes.length
  keepIfFree(slab)
  return true
}

function keepIfFree(slab: Slab): void {
  if (!slab.isOpen && slab.lent === 0 && free.length < FREE_MAX) free.push(slab)
}
