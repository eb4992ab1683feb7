// One tunnel on a line, as a Node Duplex: what is written waits for credit and for room on the line, what comes waits
// for the reader and is acknowledged by credit.

import { Duplex } from 'node:stream'
import { DATA_BYTES_MAX } from '../line-frames.ts'
import { closeWindow, onRead, openWindow, type Purse, WINDOW_BYTES_MIN } from '../line-window.ts'
import { ownsItsBytes } from './spent-bytes.ts'
import { StreamLostError } from './stream-duplex.ts'

/** Received bytes that wait in the Duplex itself. */
const READ_BYTES_MAX = 65_536
/** Written bytes that wait before `write()` says stop: as many are on their way while the next ones come. */
const WRITTEN_BYTES_MAX = 262_144

/** What a tunnel asks of its line. */
export interface TunnelCarrier {
  /** Calls `pump()` as long as it wants and there is room, one waiting tunnel after the other. */
  sendInTurn(tunnel: LineTunnel): void
  /** `written` is called when the system has taken them. */
  data(parts: readonly Uint8Array[], written?: Done): void
  end(): void
  credit(bytes: number): void
  cut(): void
  /** The tunnel is over in both directions. */
  closed(): void
}

export interface LineTunnel {
  readonly duplex: Duplex
  /** Bytes carried so far, both ways. */
  carried(): number
  /** Bytes came; false when the sender sent more than it was allowed to. */
  receive(bytes: Uint8Array): boolean
  receiveEnd(): void
  /** The receiver takes so many bytes more. */
  receiveCredit(bytes: number): void
  /** Sends one frame of what waits; true when more of it could be sent if there were room. */
  pump(): boolean
  /** The line or the tunnel was cut. */
  lose(problem: Error): void
}

export type Done = (problem?: Error | null) => void

export function createLineTunnel(carrier: TunnelCarrier, purse: Purse): LineTunnel {
  let carried = 0
  const count = (bytes: number): void => {
    carried += bytes
  }
  const duplex: Duplex = new Duplex({
    allowHalfOpen: true,
    readableHighWaterMark: READ_BYTES_MAX,
    writableHighWaterMark: WRITTEN_BYTES_MAX,
    read: () => reader.wanted(),
    write: (chunk: Uint8Array, _encoding, done) => writer.write([chunk], done),
    writev: (chunks: readonly { readonly chunk: Uint8Array }[], done) =>
      writer.write(
        chunks.map(({ chunk }) => chunk),
        done,
      ),
    final: (done) => {
      writer.end()
      done()
    },
    destroy: (problem, done) => {
      if (!reader.hasEnded() || !writer.hasEnded()) carrier.cut()
      reader.close()
      carrier.closed()
      done(problem)
    },
  })
  // Whoever holds the tunnel listens too; until then nobody does.
  duplex.on('error', () => {})
  ownsItsBytes(duplex)
  const reader = createReader(carrier, duplex, purse, count)
  const writer = createWriter(carrier, count)
  const tunnel: LineTunnel = {
    duplex,
    carried: () => carried,
    receive: reader.receive,
    receiveEnd: reader.end,
    receiveCredit: (bytes) => {
      if (writer.credit(bytes)) carrier.sendInTurn(tunnel)
    },
    pump: () => writer.sendOne(),
    lose: (problem) => void duplex.destroy(problem),
  }
  writer.onWaiting(() => carrier.sendInTurn(tunnel))
  return tunnel
}

/** What comes: pushed as long as the Duplex wants it, then kept, at most one window of it. */
function createReader(carrier: TunnelCarrier, duplex: Duplex, purse: Purse, count: (bytes: number) => void) {
  const waiting: Uint8Array[] = []
  let window = openWindow()
  let allowed = WINDOW_BYTES_MIN
  let isWanted = true
  let hasEnded = false
  let isClosed = false
  const hand = (bytes: Uint8Array): void => {
    isWanted = duplex.push(bytes)
    const change = onRead(window, bytes.length, isWanted && waiting.length === 0, purse)
    window = change.window
    if (change.credit === 0 || hasEnded) return
    allowed += change.credit
    carrier.credit(change.credit)
  }
  return {
    hasEnded: () => hasEnded,
    receive: (bytes: Uint8Array): boolean => {
      allowed -= bytes.length
      if (allowed < 0 || hasEnded) return false
      count(bytes.length)
      if (isWanted && waiting.length === 0) hand(bytes)
      else waiting.push(bytes)
      return true
    },
    wanted: (): void => {
      isWanted = true
      for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
        hand(next)
        if (!isWanted) return
      }
      if (hasEnded) duplex.push(null)
    },
    end: (): void => {
      hasEnded = true
      if (waiting.length === 0) duplex.push(null)
    },
    close: (): void => {
      if (!isClosed) closeWindow(window, purse)
      isClosed = true
    },
  }
}

/** What goes: one write at a time, cut into frames. */
function createWriter(carrier: TunnelCarrier, count: (bytes: number) => void) {
  let parts: Uint8Array[] = []
  let bytes = 0
  let credit = WINDOW_BYTES_MIN
  let done: Done | null = null
  let hasEnded = false
  let wake = (): void => {}

  /** The next so many bytes of what waits. */
  const takeParts = (limit: number): readonly Uint8Array[] => {
    const taken: Uint8Array[] = []
    for (let left = limit; left > 0; ) {
      const part = parts[0]
      if (part === undefined) break
      if (part.length <= left) parts.shift()
      else parts[0] = part.subarray(left)
      const piece = part.length <= left ? part : part.subarray(0, left)
      left -= piece.length
      taken.push(piece)
    }
    return taken
  }

  return {
    hasEnded: () => hasEnded,
    onWaiting: (callback: () => void): void => {
      wake = callback
    },
    write: (chunks: Uint8Array[], whenTaken: Done): void => {
      parts = chunks.filter(({ length }) => length > 0)
      bytes = parts.reduce((sum, part) => sum + part.length, 0)
      done = whenTaken
      if (bytes > 0) return wake()
      done = null
      whenTaken()
    },
    end: (): void => {
      hasEnded = true
      carrier.end()
    },
    credit: (more: number): boolean => {
      credit += more
      return bytes > 0
    },
    sendOne: (): boolean => {
      const length = Math.min(bytes, credit, DATA_BYTES_MAX)
      if (length === 0) return false
      bytes -= length
      credit -= length
      count(length)
      const whenWritten = bytes === 0 ? done : null
      if (bytes === 0) done = null
      carrier.data(takeParts(length), whenWritten ?? undefined)
      return bytes > 0 && credit > 0
    },
  }
}

export const lostTunnel = (why: string): Error => new StreamLostError(why)
