// What two nodes say on a line: frames of a fixed head and, after it, bytes. A line carries many tunnels, so each frame
// names its tunnel; the bytes of a tunnel are handed on as they come, everything else is small and read whole.

import { err, ok, type Result } from './kernel/result.ts'

/** Kind (1 byte), length of what follows (3 bytes), number of the tunnel (4 bytes); big-endian. */
export const FRAME_HEAD_BYTES = 8
/** As much as a socket hands out at once: more would wait for its end, less would cost more calls. */
export const FRAME_BYTES_MAX = 65_536
/**
 * What one frame of a tunnel's bytes carries: with its head it fills four records of TLS (16 KiB, RFC 8446, section
 * 5.1). A few bytes more would be a record of their own, and at the other end a piece of their own to be carried on.
 */
export const DATA_BYTES_MAX = FRAME_BYTES_MAX - FRAME_HEAD_BYTES
const CREDIT_BYTES = 4
/** Also the number's bound on the wire. */
export const TUNNEL_NUMBER_MAX = 0xffff_ffff

/**
 * `data` are a tunnel's bytes (the first ones open it), `end` says that no more follow, `credit` that the hearer may
 * send so many bytes more, `cut` that the tunnel was cut in both directions. `ping` asks whether the line still works,
 * and `pong` says so; they are of no tunnel.
 */
const KINDS = ['data', 'end', 'credit', 'cut', 'ping', 'pong'] as const
export type FrameKind = (typeof KINDS)[number]

const BYTES_MAX: Readonly<Record<FrameKind, number>> = {
  data: FRAME_BYTES_MAX,
  end: 0,
  credit: CREDIT_BYTES,
  cut: 0,
  ping: 0,
  pong: 0,
}

/** The head of a frame with so many bytes. */
export function writeHead(kind: FrameKind, tunnel: number, length: number): Uint8Array {
  const head = new Uint8Array(FRAME_HEAD_BYTES)
  const view = new DataView(head.buffer)
  view.setUint32(0, length)
  view.setUint8(0, KINDS.indexOf(kind))
  view.setUint32(4, tunnel)
  return head
}

export function writeCredit(bytes: number): Uint8Array {
  const body = new Uint8Array(CREDIT_BYTES)
  new DataView(body.buffer).setUint32(0, bytes)
  return body
}

/** Null for what is no credit. */
export const readCredit = (body: Uint8Array): number | null =>
  body.length === CREDIT_BYTES ? new DataView(body.buffer, body.byteOffset, CREDIT_BYTES).getUint32(0) : null

/** Of `data` a piece, of everything else the whole. */
export type OnFrame = (kind: FrameKind, tunnel: number, bytes: Uint8Array) => void

export interface FrameReader {
  /**
   * Takes bytes in order and hands on what they contain; the error says what is wrong, and nothing after it makes
   * sense.
   */
  take(bytes: Uint8Array): Result<null, string>
}

/** Reads the frames of one line; holds at most a head and a credit. */
export function createFrameReader(onFrame: OnFrame): FrameReader {
  const head = new Uint8Array(FRAME_HEAD_BYTES)
  const headView = new DataView(head.buffer)
  let headBytes = 0
  let kind: FrameKind = 'data'
  let tunnel = 0
  let left = 0
  let whole: Uint8Array | null = null

  const startFrame = (): Result<null, string> => {
    headBytes = 0
    const named = KINDS[headView.getUint8(0)]
    if (named === undefined) return err(`no frame is of kind ${headView.getUint8(0)}`)
    kind = named
    left = headView.getUint32(0) & 0xff_ffff
    tunnel = headView.getUint32(4)
    if (left > BYTES_MAX[kind]) return err(`a frame of ${left} bytes; ${kind} has at most ${BYTES_MAX[kind]}`)
    whole = kind === 'data' ? null : new Uint8Array(left)
    if (whole !== null && left === 0) onFrame(kind, tunnel, whole)
    return ok(null)
  }

  const takeBody = (bytes: Uint8Array): void => {
    left -= bytes.length
    if (whole === null) return onFrame(kind, tunnel, bytes)
    whole.set(bytes, whole.length - left - bytes.length)
    if (left === 0) onFrame(kind, tunnel, whole)
  }

  return {
    take: (bytes) => {
      for (let at = 0; at < bytes.length; ) {
        if (left > 0) {
          const body = at === 0 && bytes.length <= left ? bytes : bytes.subarray(at, at + left)
          at += body.length
          takeBody(body)
          continue
        }
        const part = bytes.subarray(at, at + FRAME_HEAD_BYTES - headBytes)
        head.set(part, headBytes)
        headBytes += part.length
        at += part.length
        if (headBytes < FRAME_HEAD_BYTES) break
        const started = startFrame()
        if (!started.ok) return started
      }
      return ok(null)
    },
  }
}
