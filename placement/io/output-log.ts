// The output of an instance on disk: rotated while it grows, read from its end, followed as it is written.

import { constants } from 'node:fs'
import { copyFile, type FileHandle, open, rename, stat, truncate } from 'node:fs/promises'
import { findLineStart, type LogLimits, logFile, logFiles, rotationPlan } from '../log-rotation.ts'
import type { LogOptions } from '../runtime.ts'
import { pause } from './deadline.ts'

/** Between two looks for new output while following, in ms: a guess, quick to a person's eye. */
const FOLLOW_INTERVAL_MS = 200
/** Bytes read at once. */
const PIECE_BYTES = 64 * 1_024
/** Bytes at the end of the log in which the last line is looked for. */
const LAST_LINE_BYTES = 2_048

/** Opens the log for an instance to write to; every write goes to the end, also after the file was emptied. */
export const openOutput = (file: string): Promise<FileHandle> => open(file, 'a', 0o600)

/** Rotates the log when it has grown too large. */
export async function rotate(file: string, limits: LogLimits): Promise<void> {
  for (const step of rotationPlan(file, await sizeOf(file), limits)) {
    if (step.kind === 'rename') await rename(step.from, step.to).catch(() => undefined)
    // A clone costs no space on file systems that can; elsewhere this is an ordinary copy.
    else if (step.kind === 'copy') await copyFile(step.from, step.to, constants.COPYFILE_FICLONE)
    else await truncate(step.file)
  }
}

const sizeOf = (file: string): Promise<number> =>
  stat(file).then(
    ({ size }) => size,
    () => 0,
  )

/** The last line of the log, empty when there is none; for the reason why something ended. */
export async function lastLine(file: string): Promise<string> {
  const size = await sizeOf(file)
  const piece = await readPiece(file, Math.max(0, size - LAST_LINE_BYTES), size)
  const lines = Buffer.from(piece).toString('utf8').split('\n')
  return lines.map((line) => line.trim()).findLast((line) => line !== '') ?? ''
}

/** What is kept of the log, or its last lines; then, when asked, what is written until the signal aborts or the log is removed. */
export async function* readLog(file: string, limits: LogLimits, options: LogOptions): AsyncGenerator<Uint8Array> {
  const start =
    options.tail === null ? { age: limits.filesMax - 1, offset: 0 } : await findTail(file, limits, options.tail)
  let position = 0
  for (let age = start.age; age >= 0; age--) {
    const end = await sizeOf(logFile(file, age))
    const from = age === start.age ? start.offset : 0
    for await (const piece of readRange(logFile(file, age), from, end)) {
      if (options.signal.aborted) return
      yield piece
    }
    position = Math.max(from, end)
  }
  if (options.follow) yield* follow(file, position, options.signal)
}

async function* follow(file: string, from: number, signal: AbortSignal): AsyncGenerator<Uint8Array> {
  let position = from
  while (!signal.aborted) {
    const size = await stat(file).then(
      (found) => found.size,
      () => null,
    )
    if (size === null) return
    if (size < position) {
      // It was rotated: the rest of what we were reading stands at the same place in the copy.
      yield* readRange(logFile(file, 1), position, await sizeOf(logFile(file, 1)))
      position = 0
    }
    yield* readRange(file, position, size)
    position = size
    await pause(FOLLOW_INTERVAL_MS, signal)
  }
}

/** In which file, and where in it, the last lines begin. */
async function findTail(file: string, limits: LogLimits, lines: number): Promise<{ age: number; offset: number }> {
  if (lines <= 0) return { age: 0, offset: await sizeOf(file) }
  let missing = lines
  // The last byte of all ends the last line or belongs to it; either way no line begins after it.
  let skipped = 1
  for (const [age, name] of logFiles(file, limits).toReversed().entries()) {
    const size = await sizeOf(name)
    if (size === 0) continue
    for (let end = size - skipped; end > 0; end -= PIECE_BYTES) {
      const begin = Math.max(0, end - PIECE_BYTES)
      const found = findLineStart(await readPiece(name, begin, end), missing)
      if (found.offset !== null) return { age, offset: begin + found.offset }
      missing = found.missing
    }
    skipped = 0
  }
  return { age: limits.filesMax - 1, offset: 0 }
}

async function* readRange(file: string, from: number, to: number): AsyncGenerator<Uint8Array> {
  for (let at = from; at < to; at += PIECE_BYTES) {
    const piece = await readPiece(file, at, Math.min(to, at + PIECE_BYTES))
    if (piece.length === 0) return
    yield piece
  }
}

/** Bytes [from, to) of a file, fewer when it is shorter, none when it is gone. */
async function readPiece(file: string, from: number, to: number): Promise<Uint8Array> {
  if (to <= from) return new Uint8Array(0)
  const handle = await open(file, 'r').catch(() => null)
  if (handle === null) return new Uint8Array(0)
  try {
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(to - from), 0, to - from, from)
    return buffer.subarray(0, bytesRead)
  } finally {
    await handle.close()
  }
}
