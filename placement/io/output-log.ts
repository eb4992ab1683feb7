// The output of an instance on disk: rotated while it grows, read from its end, followed as it is written.

import { constants } from 'node:fs'
import { copyFile, type FileHandle, open, rename, stat, truncate } from 'node:fs/promises'
import { createLogMarks, type LogMark, type LogMarks } from '../log-marks.ts'
import { findLineStart, type LogLimits, logFile, logFiles, type RotationStep, rotationPlan } from '../log-rotation.ts'
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

/** The logs of one driver. It alone rotates them, so whoever follows one can be told exactly when that happened. */
export interface OutputLogs {
  /** Notes how far a log has grown by now, and rotates it when it has grown too large. */
  rotate(file: string): Promise<void>
  /**
   * What is kept of a log, or its last lines; then, when asked, what is written until the signal aborts or the log is
   * removed.
   */
  read(file: string, options: LogOptions): AsyncGenerator<Uint8Array>
  /** The log is gone. */
  forget(file: string): void
}

export function createOutputLogs(limits: LogLimits, wall: () => number = Date.now): OutputLogs {
  const rotations = new Map<string, number>()
  const rotationsOf = (file: string): number => rotations.get(file) ?? 0
  const marks = new Map<string, LogMarks>()
  return {
    async rotate(file) {
      const kept = marks.get(file) ?? createLogMarks()
      marks.set(file, kept)
      kept.note({ atMs: wall(), rotations: rotationsOf(file), offset: await sizeOf(file) })
      const steps = rotationPlan(file, await sizeOf(file), limits)
      for (const step of steps) await carryOut(step)
      if (steps.length > 0) rotations.set(file, rotationsOf(file) + 1)
    },
    read: (file, options) => {
      const sinceMark = options.sinceMs === null ? null : (marks.get(file)?.before(wall() - options.sinceMs) ?? null)
      return readLog(file, limits, options, sinceMark, () => rotationsOf(file))
    },
    forget: (file) => {
      rotations.delete(file)
      marks.delete(file)
    },
  }
}

async function carryOut(step: RotationStep): Promise<void> {
  switch (step.kind) {
    case 'rename':
      return await rename(step.from, step.to).catch(() => undefined)
    case 'copy':
      // A clone costs no space on file systems that can; elsewhere this is an ordinary copy.
      return await copyFile(step.from, step.to, constants.COPYFILE_FICLONE)
    case 'empty':
      return await truncate(step.file)
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

async function* readLog(
  file: string,
  limits: LogLimits,
  options: LogOptions,
  sinceMark: LogMark | null,
  rotations: () => number,
): AsyncGenerator<Uint8Array> {
  const identity = await identityOf(file)
  const reader: Reader = { position: 0, rotations: rotations(), identity }
  const isCurrent = async (): Promise<boolean> =>
    rotations() === reader.rotations && (await identityOf(file)) === reader.identity
  const oldest = { age: limits.filesMax - 1, offset: 0 }
  const tail = options.tail === null ? oldest : await findTail(file, limits, options.tail)
  const since = sinceMark === null ? oldest : placeOf(sinceMark, rotations(), limits)
  const start = later(tail, since)
  for (let age = start.age; age >= 0; age--) {
    reader.position = age === start.age ? start.offset : 0
    for await (const piece of readOn(logFile(file, age), reader, isCurrent)) {
      if (options.signal.aborted) return
      yield piece
    }
  }
  if (!options.follow) return
  while (!options.signal.aborted) {
    const found = await identityOf(file)
    if (found === null) return
    // The instance was removed and placed here anew since the last look: its log is another one.
    if (found !== reader.identity) reader.position = 0
    reader.identity = found
    if (rotations() !== reader.rotations) {
      // The rest of what was being read stands at the same place in the copy.
      reader.rotations = rotations()
      yield* readOn(logFile(file, 1), reader, isCurrent)
      reader.position = 0
    }
    yield* readOn(file, reader, isCurrent)
    await pause(FOLLOW_INTERVAL_MS, options.signal)
  }
}

/** What tells a file from a later one of the same name; null when there is none. */
const identityOf = (file: string): Promise<string | null> =>
  stat(file).then(
    ({ ino, birthtimeMs }) => `${ino} ${birthtimeMs}`,
    () => null,
  )

interface Place {
  readonly age: number
  readonly offset: number
}

/** Where in the kept files a mark is; what is no longer kept is before all of them. */
function placeOf(mark: LogMark, rotations: number, limits: LogLimits): Place {
  const age = rotations - mark.rotations
  return age < limits.filesMax ? { age, offset: mark.offset } : { age: limits.filesMax - 1, offset: 0 }
}

const later = (a: Place, b: Place): Place => (a.age < b.age || (a.age === b.age && a.offset > b.offset) ? a : b)

/** How far somebody has read the current file, and which one that was. */
interface Reader {
  position: number
  rotations: number
  identity: string | null
}

/** In which file, and where in it, the last lines begin. */
async function findTail(file: string, limits: LogLimits, lines: number): Promise<Place> {
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

/**
 * From the reader's position to the end of a file, or until it is rotated away; the position moves by what was really
 * read.
 */
async function* readOn(file: string, reader: Reader, isCurrent: () => Promise<boolean>): AsyncGenerator<Uint8Array> {
  while (await isCurrent()) {
    const piece = await readPiece(file, reader.position, reader.position + PIECE_BYTES)
    if (piece.length === 0 || !(await isCurrent())) return
    reader.position += piece.length
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
