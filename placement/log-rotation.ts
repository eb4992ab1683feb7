// How much of an instance's output is kept: `output.log` and a few older pieces. The instance holds the file open and
// outlives the node, so the file is never moved from under it: it is copied and then emptied (what is written in
// between is lost).

export interface LogLimits {
  /** Bytes in the current file before it is rotated; it may overshoot by what is written between two looks. */
  readonly bytesMax: number
  /** Files kept, the current one included. */
  readonly filesMax: number
}

/**
 * 30 MB for each instance: what Docker's own documentation suggests for its json-file driver; a guess for small
 * disks.
 */
export const LOG_LIMITS: LogLimits = { bytesMax: 10_000_000, filesMax: 3 }

export type RotationStep =
  | { readonly kind: 'rename'; readonly from: string; readonly to: string }
  | { readonly kind: 'copy'; readonly from: string; readonly to: string }
  | { readonly kind: 'empty'; readonly file: string }

/** The name of a piece: 0 is the current file, higher is older. */
export const logFile = (base: string, age: number): string => (age === 0 ? base : `${base}.${age}`)

/** The files that may exist, oldest first. */
export const logFiles = (base: string, limits: LogLimits): readonly string[] =>
  Array.from({ length: limits.filesMax }, (_, index) => logFile(base, limits.filesMax - 1 - index))

/** What to do with the files when the current one holds so many bytes; each step may find its source missing. */
export function rotationPlan(base: string, bytes: number, limits: LogLimits): readonly RotationStep[] {
  if (bytes < limits.bytesMax) return []
  const steps: RotationStep[] = []
  for (let age = limits.filesMax - 2; age >= 1; age--) {
    steps.push({ kind: 'rename', from: logFile(base, age), to: logFile(base, age + 1) })
  }
  if (limits.filesMax > 1) steps.push({ kind: 'copy', from: base, to: logFile(base, 1) })
  return [...steps, { kind: 'empty', file: base }]
}

const NEWLINE = 10

/**
 * Looks backwards through a piece of text for so many newlines; `offset` is where the line after the last of them
 * begins, null when the piece holds fewer: then `missing` stand before it. The newline that ends the whole text is
 * not to be in the piece.
 */
export function findLineStart(
  piece: Uint8Array,
  newlines: number,
): { readonly offset: number | null; readonly missing: number } {
  let missing = newlines
  for (let at = piece.length - 1; at >= 0; at--) {
    if (piece[at] !== NEWLINE) continue
    missing -= 1
    if (missing === 0) return { offset: at + 1, missing }
  }
  return { offset: null, missing }
}
