// What waits to be sent to one peer: bounded, oldest dropped first, and nothing kept longer than it is worth. The
// machines above repeat what matters, so a late message is worse than a lost one.

import { encode } from 'it-length-prefixed'
import type { FramePacker } from './frame-delta.ts'
import type { Millis } from './kernel/time.ts'

/** A guess: 16 messages a second for a minute, or a whole anti-entropy answer in pieces. */
export const OUTBOX_MESSAGES_MAX = 1_024
/** Relation: 64 of the largest messages (64 KiB each). */
export const OUTBOX_BYTES_MAX = 4_194_304
/** How long a message waits for a connection: longer than a dial at 400 ms of round trip (4.5 of them). */
export const OUTBOX_AGE_MS_MAX: Millis = 2_000
/** The most that is sent in one piece; libp2p carries small writes ten times slower than writes of 64 KiB. */
export const BATCH_BYTES_MAX = 65_536
/** What packing adds at most, and the varint before it. */
const FRAMING_BYTES_MAX = 4

export interface Outbox {
  /** Adds a message; returns how many older ones had to go. */
  push(bytes: Uint8Array, now: Millis): number
  /**
   * Takes messages out, packed, length-prefixed and joined, at least one and at most BATCH_BYTES_MAX; null when empty.
   */
  takeBatch(packer: FramePacker): Uint8Array | null
  /** Drops what is older than OUTBOX_AGE_MS_MAX; returns how many. */
  dropOld(now: Millis): number
  /** Drops everything; returns how many. */
  clear(): number
  readonly size: number
}

interface Waiting {
  readonly bytes: Uint8Array
  readonly since: Millis
}

/** An empty outbox; it owns its queue and changes it in place. */
export function createOutbox(): Outbox {
  let queue: Waiting[] = []
  let total = 0
  const shift = (): Waiting | undefined => {
    const first = queue.shift()
    total -= first?.bytes.length ?? 0
    return first
  }
  const dropOld = (now: Millis): number => {
    let dropped = 0
    for (let first = queue[0]; first !== undefined && now - first.since > OUTBOX_AGE_MS_MAX; first = queue[0]) {
      shift()
      dropped += 1
    }
    return dropped
  }
  return {
    push: (bytes, now) => {
      let dropped = 0
      while (queue.length > 0 && (queue.length >= OUTBOX_MESSAGES_MAX || total + bytes.length > OUTBOX_BYTES_MAX)) {
        shift()
        dropped += 1
      }
      queue.push({ bytes, since: now })
      total += bytes.length
      return dropped
    },
    takeBatch: (packer) => {
      const first = shift()
      if (first === undefined) return null
      const batch = encode.single(packer.pack(first.bytes))
      for (let next = queue[0]; next !== undefined; next = queue[0]) {
        // Asked before it is packed: what is packed has to go.
        if (batch.length + next.bytes.length + FRAMING_BYTES_MAX > BATCH_BYTES_MAX) break
        batch.append(encode.single(packer.pack(next.bytes)))
        shift()
      }
      return batch.subarray()
    },
    dropOld,
    clear: () => {
      const dropped = queue.length
      queue = []
      total = 0
      return dropped
    },
    get size() {
      return queue.length
    },
  }
}
