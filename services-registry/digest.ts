// Short hashes by which two stores find what they do not have in common. They are quick and not cryptographic: who
// forges a collision hides one of its own records from anti-entropy, and nothing else, because contents are believed
// for signatures.

import { BUCKETS, HASH_BYTES } from './constants.ts'

/** 64 bits as two unsigned halves. */
export interface Hash {
  readonly high: number
  readonly low: number
}

/**
 * Two 32-bit lanes: FNV-1a (Fowler, Noll, Vo) and a multiply-and-shift in the manner of MurmurHash3 (Appleby), each
 * with the latter's finalizer. Every step is a bijection of the lane, so that a changed byte always changes the
 * outcome.
 */
export function hashBytes(bytes: Uint8Array): Hash {
  let high = 0x811c9dc5
  let low = bytes.length
  for (let index = 0; index < bytes.length; index++) {
    const byte = bytes[index] as number
    high = Math.imul(high ^ byte, 0x01000193)
    low = Math.imul(low ^ byte, 0x85ebca6b)
    low ^= low >>> 15
  }
  return { high: finalize(high), low: finalize(low) }
}

const encoder = new TextEncoder()
export const hashText = (text: string): Hash => hashBytes(encoder.encode(text))

function finalize(lane: number): number {
  let mixed = lane ^ (lane >>> 16)
  mixed = Math.imul(mixed, 0x85ebca6b)
  mixed ^= mixed >>> 13
  mixed = Math.imul(mixed, 0xc2b2ae35)
  return (mixed ^ (mixed >>> 16)) >>> 0
}

/** The mark of a version: the hash of its sealed bytes, whose last bit says whether it is a deletion. */
export function markOf(bytes: Uint8Array, tombstone: boolean): Hash {
  const { high, low } = hashBytes(bytes)
  return { high, low: ((low & ~1) | (tombstone ? 1 : 0)) >>> 0 }
}

export const isDeletionMark = (mark: Hash): boolean => (mark.low & 1) === 1
export const isSameHash = (a: Hash, b: Hash): boolean => a.high === b.high && a.low === b.low
export const bucketOf = (key: Hash): number => key.low % BUCKETS

/** A hash as text, to look things up by. */
export const hashName = (hash: Hash): string => `${hash.high.toString(16)}.${hash.low.toString(16)}`

/**
 * One combined hash per bucket; the combination is exclusive or, so its order does not matter and it can be taken
 * back.
 */
export interface Digest {
  readonly high: Uint32Array
  readonly low: Uint32Array
}

export const emptyDigest = (): Digest => ({ high: new Uint32Array(BUCKETS), low: new Uint32Array(BUCKETS) })

/** Puts a version into its bucket or, said a second time, takes it out again. Changes the digest in place. */
export function toggle(digest: Digest, bucket: number, mark: Hash): void {
  digest.high[bucket] = (digest.high[bucket] ?? 0) ^ mark.high
  digest.low[bucket] = (digest.low[bucket] ?? 0) ^ mark.low
}

export function digestBytes(digest: Digest): Uint8Array {
  const bytes = new Uint8Array(BUCKETS * HASH_BYTES)
  const view = new DataView(bytes.buffer)
  for (let bucket = 0; bucket < BUCKETS; bucket++) {
    view.setUint32(bucket * HASH_BYTES, digest.high[bucket] ?? 0)
    view.setUint32(bucket * HASH_BYTES + 4, digest.low[bucket] ?? 0)
  }
  return bytes
}

/** The buckets in which a digest differs from another's bytes; all of them when those are not a digest of our size. */
export function differingBuckets(digest: Digest, theirs: Uint8Array): readonly number[] {
  const view = new DataView(theirs.buffer, theirs.byteOffset, theirs.byteLength)
  const differing: number[] = []
  for (let bucket = 0; bucket < BUCKETS; bucket++) {
    const at = bucket * HASH_BYTES
    const isSame =
      at + HASH_BYTES <= theirs.length &&
      view.getUint32(at) === digest.high[bucket] &&
      view.getUint32(at + 4) === digest.low[bucket]
    if (!isSame) differing.push(bucket)
  }
  return differing
}

/** Hashes one after another, each 8 bytes, big-endian. */
export function packHashes(hashes: readonly Hash[]): Uint8Array {
  const bytes = new Uint8Array(hashes.length * HASH_BYTES)
  const view = new DataView(bytes.buffer)
  hashes.forEach((hash, index) => {
    view.setUint32(index * HASH_BYTES, hash.high)
    view.setUint32(index * HASH_BYTES + 4, hash.low)
  })
  return bytes
}

/** The hashes in some bytes; what is left over at the end is passed over. */
export function unpackHashes(bytes: Uint8Array): readonly Hash[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  return Array.from({ length: Math.floor(bytes.length / HASH_BYTES) }, (_, index) => ({
    high: view.getUint32(index * HASH_BYTES),
    low: view.getUint32(index * HASH_BYTES + 4),
  }))
}

/** What is said of one held record: which key, which version. */
export interface Row {
  readonly key: Hash
  readonly mark: Hash
}

export const packRows = (rows: readonly Row[]): Uint8Array => packHashes(rows.flatMap((row) => [row.key, row.mark]))

export function unpackRows(bytes: Uint8Array): readonly Row[] {
  const hashes = unpackHashes(bytes)
  const rows: Row[] = []
  for (let i = 0; i + 1 < hashes.length; i += 2) {
    const [key, mark] = [hashes[i], hashes[i + 1]]
    if (key !== undefined && mark !== undefined) rows.push({ key, mark })
  }
  return rows
}
