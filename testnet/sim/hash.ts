// A quick 64-bit hash in two halves of 32 bits. It stands in for signatures and makes the fingerprint of a run: it
// guards against mistakes, not against malice, and nothing outside the simulator uses it.

export interface Hash {
  readonly high: number
  readonly low: number
}

/**
 * Two multiplicative hashes with different primes (after FNV-1a; the primes are xxHash's) over four bytes at a time,
 * mixed at the end (MurmurHash3's finaliser). Each step is a bijection of its half: a changed word changes the hash.
 */
export function hashBytes(bytes: Uint8Array, seed: number): Hash {
  let high = seed ^ 0x811c9dc5
  let low = Math.imul(seed, 0x9e3779b1) ^ bytes.length
  let index = 0
  while (index < bytes.length) {
    const isWhole = index + 4 <= bytes.length
    const word = isWhole ? wordAt(bytes, index) : (bytes[index] as number)
    high = Math.imul(high ^ word, 0x01000193)
    high ^= high >>> 15
    low = Math.imul(low ^ word, 0x85ebca77)
    low ^= low >>> 13
    index += isWhole ? 4 : 1
  }
  return { high: finish(high), low: finish(low ^ high) }
}

const wordAt = (bytes: Uint8Array, index: number): number =>
  (bytes[index] as number) |
  ((bytes[index + 1] as number) << 8) |
  ((bytes[index + 2] as number) << 16) |
  ((bytes[index + 3] as number) << 24)

export function hashText(text: string, seed = 0): number {
  let hash = seed ^ 0x811c9dc5
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193)
  return finish(hash)
}

/** Folds a number into a running hash. */
export const fold = (hash: number, value: number): number => finish(Math.imul(hash ^ value, 0x85ebca77) + 0x9e3779b1)

function finish(hash: number): number {
  let mixed = hash
  mixed = Math.imul(mixed ^ (mixed >>> 16), 0x85ebca6b)
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35)
  return (mixed ^ (mixed >>> 16)) >>> 0
}
