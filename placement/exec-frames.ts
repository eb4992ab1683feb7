// A program in an instance, as two streams of frames: the caller says what to start, then input and sizes; the device
// says what the program writes, and last how it ended. The same frames go over the control socket and over a tunnel.

import { err, ok, type Result } from '../overlay/kernel/result.ts'
import { decodeBounded } from '../overlay/wire/codec.ts'
import {
  encodeWith,
  flag,
  list,
  literal,
  nullable,
  object,
  readWith,
  text,
  union,
  whole,
} from '../overlay/wire/schema.ts'
import type { ExecRequest, TerminalSize } from './runtime.ts'

/** What the caller says: `start` first and once. */
export type ExecCall =
  | { readonly kind: 'start'; readonly request: ExecRequest }
  | { readonly kind: 'input'; readonly bytes: Uint8Array }
  | { readonly kind: 'end' }
  | { readonly kind: 'resize'; readonly size: TerminalSize }

/** What the device says: `started` or `refused` first, `exit` last. */
export type ExecAnswer =
  | { readonly kind: 'started' }
  | { readonly kind: 'out' | 'err'; readonly bytes: Uint8Array }
  /** Null when nobody can tell how it ended. */
  | { readonly kind: 'exit'; readonly code: number | null }
  | { readonly kind: 'refused'; readonly detail: string }

/** The most bytes in one frame, its first byte included; longer input and output is cut into several. */
export const EXEC_FRAME_BYTES_MAX = 65_536
/** Arguments of a program, and bytes of each: together they fit one frame in all but odd cases, which are refused. */
const ARGUMENTS_MAX = 256
const ARGUMENT_CHARS_MAX = 32_768
const DETAIL_CHARS_MAX = 1_000
/** Columns or rows of a terminal (the kernel keeps 16 bits). */
const SIZE_MAX = 65_535

const LENGTH_BYTES = 4
/** The first byte of each frame: the kind of what follows. */
const CONTROL = 0
const RAW = { input: 1, out: 2, err: 3 } as const

const sizeSchema = object({ columns: whole(1, SIZE_MAX), rows: whole(1, SIZE_MAX) })
type ControlMessage = Exclude<ExecCall | ExecAnswer, { readonly bytes: Uint8Array }>
const controlSchema = union<ControlMessage>({
  start: object({
    kind: literal('start'),
    request: object({
      command: list(text(ARGUMENT_CHARS_MAX), ARGUMENTS_MAX),
      terminal: nullable(sizeSchema),
      input: flag,
    }),
  }),
  end: object({ kind: literal('end') }),
  resize: object({ kind: literal('resize'), size: sizeSchema }),
  started: object({ kind: literal('started') }),
  exit: object({ kind: literal('exit'), code: nullable(whole(0, 255)) }),
  refused: object({ kind: literal('refused'), detail: text(DETAIL_CHARS_MAX) }),
})

/** The frames of a message: several for bytes that are too many for one, none for a start that is too large. */
export function encodeExec(message: ExecCall | ExecAnswer): readonly Uint8Array[] {
  if (!('bytes' in message)) {
    const shortened = message.kind === 'refused' ? { ...message, detail: shorten(message.detail) } : message
    return [frame(CONTROL, encodeWith(controlSchema, shortened))]
  }
  const frames: Uint8Array[] = []
  const most = EXEC_FRAME_BYTES_MAX - 1
  for (let at = 0; at < message.bytes.length; at += most) {
    frames.push(frame(RAW[message.kind], message.bytes.subarray(at, at + most)))
  }
  return frames
}

/** A cut may fall between the two halves of a character outside the basic plane; half of one cannot be encoded. */
const shorten = (detail: string): string => detail.slice(0, DETAIL_CHARS_MAX).toWellFormed()

/** Why a request cannot be carried; null where it can. */
export function requestProblem({ command }: ExecRequest): string | null {
  if (command.length === 0) return 'which program? Give one, and its arguments'
  if (command.length > ARGUMENTS_MAX) return `a program takes at most ${ARGUMENTS_MAX} arguments here`
  if (command.some((word) => word.includes('\0'))) return 'an argument cannot hold a zero byte'
  const length = command.reduce((sum, word) => sum + Buffer.byteLength(word), 0)
  const lengthMax = ARGUMENT_CHARS_MAX
  return length > lengthMax ? `a program and its arguments take at most ${lengthMax} bytes here` : null
}

function frame(kind: number, payload: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(LENGTH_BYTES + 1 + payload.length)
  new DataView(bytes.buffer).setUint32(0, 1 + payload.length)
  bytes[LENGTH_BYTES] = kind
  bytes.set(payload, LENGTH_BYTES + 1)
  return bytes
}

export interface ExecReader {
  /** The messages that a piece completes; the error ends the stream. It buffers no more than one frame. */
  read(piece: Uint8Array): Result<readonly (ExecCall | ExecAnswer)[], string>
}

export function createExecReader(): ExecReader {
  let rest: Uint8Array = new Uint8Array(0)
  return {
    read(piece) {
      const bytes = rest.length === 0 ? piece : Buffer.concat([rest, piece])
      const messages: (ExecCall | ExecAnswer)[] = []
      let at = 0
      while (bytes.length - at >= LENGTH_BYTES) {
        const length = new DataView(bytes.buffer, bytes.byteOffset + at).getUint32(0)
        if (length === 0 || length > EXEC_FRAME_BYTES_MAX) return err(`a frame of ${length} bytes`)
        if (bytes.length - at < LENGTH_BYTES + length) break
        const begin = at + LENGTH_BYTES
        const message = decode(bytes[begin] ?? CONTROL, bytes.subarray(begin + 1, begin + length))
        if (!message.ok) return message
        messages.push(message.value)
        at = begin + length
      }
      rest = bytes.subarray(at)
      return ok(messages)
    },
  }
}

function decode(kind: number, payload: Uint8Array): Result<ExecCall | ExecAnswer, string> {
  switch (kind) {
    case RAW.input:
      return ok({ kind: 'input', bytes: payload })
    case RAW.out:
      return ok({ kind: 'out', bytes: payload })
    case RAW.err:
      return ok({ kind: 'err', bytes: payload })
    case CONTROL: {
      const raw = decodeBounded(payload)
      if (!raw.ok) return err(raw.error.detail)
      return readWith(controlSchema, raw.value, () => err('no envelope belongs here'))
    }
    default:
      return err(`a frame of the unknown kind ${kind}`)
  }
}
