// What two nodes tell each other again and again differs in a few bytes from what was said a moment ago: a heartbeat in
// its clock. A stream keeps everything and its order, so each frame may say how it differs from a recent one on the
// same stream, and messages may have fields with readable names.

import { err, ok, type Result } from './kernel/result.ts'
import { MESSAGE_BYTES_MAX } from './wire/codec.ts'

/** Recent frames that both ends keep: heartbeat, answer, probe and ack in a cluster and above it. A guess. */
export const REFERENCES_MAX = 8
/** Longer frames are rare and not kept: this and REFERENCES_MAX bound a stream's memory to 16 KiB at each end. */
export const REFERENCE_BYTES_MAX = 2_048
/** Equal bytes between two different ones that are not worth a copy of their own, which costs two lengths. */
const GAP_BYTES_MIN = 3
/** The longest packed frame: a message and the number of its reference. */
export const PACKED_BYTES_MAX = MESSAGE_BYTES_MAX + 1
/** Lengths up to 65,536 fit three bytes of seven bits. */
const LENGTH_BYTES_MAX = 3

/** One direction of a stream. A frame that was packed has to be sent, or the other end loses the thread. */
export interface FramePacker {
  pack(frame: Uint8Array): Uint8Array
}
export interface FrameUnpacker {
  /** Gives the frame back; the error says why it cannot. Nothing after an error makes sense. */
  unpack(packed: Uint8Array): Result<Uint8Array, string>
}

/** The frames that both ends keep, as both ends change them alike: in the place of the one that a frame resembles. */
interface References {
  readonly frames: (Uint8Array | undefined)[]
  next: number
}

const NO_REFERENCE = 0

/**
 * A packed frame is the number of its reference (from 1; 0 for none, then the frame follows as it is), the count of
 * bytes at the end that are the reference's, and until they are reached pairs of: how many bytes are the reference's at
 * the same place, and how many are new, with these. Counts are unsigned varints.
 */
export function createPacker(): FramePacker {
  const references: References = { frames: [], next: 0 }
  return {
    pack: (frame) => {
      const best = bestReference(references, frame)
      const reference = references.frames[best]
      const delta = reference === undefined ? null : deltaOf(reference, frame, best + 1)
      // Only its own kind may take the place of a reference.
      const isAlike = delta !== null && delta.length <= frame.length / 2
      keep(references, frame, isAlike ? best : null)
      return isAlike ? Uint8Array.from(delta) : plain(frame)
    },
  }
}

export function createUnpacker(): FrameUnpacker {
  const references: References = { frames: [], next: 0 }
  return {
    unpack: (packed) => {
      const slot = packed[0]
      if (slot === undefined) return err('an empty frame')
      if (slot === NO_REFERENCE) {
        const frame = packed.slice(1)
        keep(references, frame, null)
        return ok(frame)
      }
      const reference = references.frames[slot - 1]
      if (reference === undefined) return err(`a frame like number ${slot}, which there is not`)
      const frame = applyDelta(reference, packed)
      if (frame.ok) keep(references, frame.value, slot - 1)
      return frame
    },
  }
}

function keep(references: References, frame: Uint8Array, instead: number | null): void {
  if (frame.length > REFERENCE_BYTES_MAX) return
  references.frames[instead ?? references.next] = frame
  if (instead === null) references.next = (references.next + 1) % REFERENCES_MAX
}

/** The reference with which the frame has most in common at its two ends. */
function bestReference({ frames }: References, frame: Uint8Array): number {
  let best = 0
  let most = -1
  for (let slot = 0; slot < frames.length; slot++) {
    const reference = frames[slot] as Uint8Array
    const common = commonStart(reference, frame) + commonEnd(reference, frame)
    if (common > most) {
      best = slot
      most = common
    }
  }
  return best
}

function deltaOf(reference: Uint8Array, frame: Uint8Array, slot: number): readonly number[] {
  const end = Math.min(commonEnd(reference, frame), Math.min(reference.length, frame.length))
  const stop = frame.length - end
  const comparable = Math.min(stop, reference.length - end)
  const isSame = (at: number): boolean => at < comparable && reference[at] === frame[at]
  const out: number[] = [slot]
  putCount(out, end)
  for (let at = 0; at < stop; ) {
    const from = at
    while (isSame(at)) at++
    const fresh = at
    while (at < stop && !isWorthCopying(isSame, at)) at++
    putCount(out, fresh - from)
    putCount(out, at - fresh)
    for (let each = fresh; each < at; each++) out.push(frame[each] as number)
  }
  return out
}

function isWorthCopying(isSame: (at: number) => boolean, at: number): boolean {
  for (let ahead = 0; ahead < GAP_BYTES_MIN; ahead++) if (!isSame(at + ahead)) return false
  return true
}

function applyDelta(reference: Uint8Array, packed: Uint8Array): Result<Uint8Array, string> {
  const reader = { at: 1 }
  const end = takeCount(packed, reader)
  if (end === null || end > reference.length) return err('an end longer than the frame that it is of')
  const parts: Uint8Array[] = []
  let length = 0
  while (reader.at < packed.length) {
    const same = takeCount(packed, reader)
    const fresh = takeCount(packed, reader)
    if (same === null || fresh === null) return err('a count that is none')
    if (length + same > reference.length || reader.at + fresh > packed.length) return err('a part that is not there')
    if (same + fresh === 0) return err('a part of nothing')
    parts.push(reference.subarray(length, length + same), packed.subarray(reader.at, reader.at + fresh))
    reader.at += fresh
    length += same + fresh
  }
  if (length + end > MESSAGE_BYTES_MAX) return err(`more than ${MESSAGE_BYTES_MAX} bytes`)
  parts.push(reference.subarray(reference.length - end))
  const frame = new Uint8Array(length + end)
  let at = 0
  for (const part of parts) {
    frame.set(part, at)
    at += part.length
  }
  return ok(frame)
}

function plain(frame: Uint8Array): Uint8Array {
  const packed = new Uint8Array(frame.length + 1)
  packed.set(frame, 1)
  return packed
}

function commonStart(a: Uint8Array, b: Uint8Array): number {
  const most = Math.min(a.length, b.length)
  let count = 0
  while (count < most && a[count] === b[count]) count++
  return count
}

function commonEnd(a: Uint8Array, b: Uint8Array): number {
  const most = Math.min(a.length, b.length)
  let count = 0
  while (count < most && a[a.length - 1 - count] === b[b.length - 1 - count]) count++
  return count
}

function putCount(out: number[], count: number): void {
  for (let rest = count; ; rest >>>= 7) {
    if (rest < 0x80) return void out.push(rest)
    out.push((rest & 0x7f) | 0x80)
  }
}

function takeCount(bytes: Uint8Array, reader: { at: number }): number | null {
  let count = 0
  for (let index = 0; index < LENGTH_BYTES_MAX; index++) {
    const byte = bytes[reader.at++]
    if (byte === undefined) return null
    count += (byte & 0x7f) << (7 * index)
    if (byte < 0x80) return count
  }
  return null
}
