// Carried bytes are freed when they are written. Left to the garbage collector, those of a fast stream come to a
// hundred megabytes, and another thread is busy with marking.

import { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { FRAME_HEAD_BYTES } from '../line-frames.ts'
import { returnLent } from './slabs.ts'

/** What is smaller is left to the collector, which is quick with what is small and young. A guess. */
export const SPENT_BYTES_MIN = 8_192

const owners = new WeakSet<Duplex>()

/** Says of a stream that nobody else holds the pieces that are read from it, and that it keeps none that it wrote. */
export const ownsItsBytes = (duplex: Duplex): void => void owners.add(duplex)

/** Whether what goes from one stream to another may be freed when it was written. Sockets of Node may. */
export const maySpend = (from: Duplex, to: Duplex): boolean =>
  [from, to].every((duplex) => duplex instanceof Socket || owners.has(duplex))

/**
 * Frees a piece that was written, or gives it back to its slab. Freed it is if nothing else that is carried shares its
 * memory: before it only the head of its frame may stand, and after it nothing. Of what was cut into pieces the last
 * one frees all; they are written in order.
 */
export function freeSpent(bytes: Uint8Array): void {
  if (returnLent(bytes)) return
  const { buffer, byteOffset, length } = bytes
  const isWhole = byteOffset <= FRAME_HEAD_BYTES && byteOffset + length === buffer.byteLength
  if (isWhole && length >= SPENT_BYTES_MIN && buffer instanceof ArrayBuffer) buffer.transfer(0)
}
