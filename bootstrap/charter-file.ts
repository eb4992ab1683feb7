// The charter as text, one entry a line, drafts included: carried by hand where no network is, printed, kept, mailed.
// And as it lies on the disk and travels in pieces: one entry behind another.

import { base64url } from 'multiformats/bases/base64'
import { err, ok, type Result } from '../overlay/kernel/result.ts'
import {
  CHARTER_BYTES_MAX,
  CHARTER_ENTRIES_MAX,
  type CharterEntry,
  decodeEntry,
  ENTRY_BYTES_MAX,
  encodeEntry,
} from './charter-entry.ts'

const FIRST_LINE = 'coppice charter 2'
/** In front of each packed entry: its length. */
const LENGTH_BYTES = 2

export const writeCharterFile = (entries: readonly CharterEntry[]): string =>
  `${[FIRST_LINE, ...entries.map((entry) => base64url.baseEncode(encodeEntry(entry)))].join('\n')}\n`

/** Reads such a file; nothing in it is believed yet. */
export function readCharterFile(content: string): Result<readonly CharterEntry[], string> {
  if (content.length > 2 * CHARTER_BYTES_MAX) return err('it is larger than charters are')
  const [first, ...lines] = content.split(/\r?\n/).filter((line) => line.trim() !== '')
  if (first?.trim() !== FIRST_LINE) return err(`its first line is not "${FIRST_LINE}"`)
  const entries: CharterEntry[] = []
  for (const [index, line] of lines.entries()) {
    const entry = readLine(line.trim())
    if (!entry.ok) return err(`line ${index + 2}: ${entry.error}`)
    entries.push(entry.value)
  }
  return ok(entries)
}

function readLine(line: string): Result<CharterEntry, string> {
  try {
    return decodeEntry(base64url.baseDecode(line))
  } catch {
    return err('not an entry')
  }
}

/** Entries, one behind another. */
export function packEntries(entries: readonly CharterEntry[]): Uint8Array {
  const encoded = entries.map(encodeEntry)
  const packed = new Uint8Array(encoded.reduce((sum, { length }) => sum + length + LENGTH_BYTES, 0))
  const view = new DataView(packed.buffer)
  let at = 0
  for (const bytes of encoded) {
    view.setUint16(at, bytes.length)
    packed.set(bytes, at + LENGTH_BYTES)
    at += bytes.length + LENGTH_BYTES
  }
  return packed
}

export function unpackEntries(packed: Uint8Array): Result<readonly CharterEntry[], string> {
  if (packed.length > CHARTER_BYTES_MAX) {
    return err(`the charter has ${packed.length} bytes, at most ${CHARTER_BYTES_MAX} are allowed`)
  }
  const view = new DataView(packed.buffer, packed.byteOffset, packed.byteLength)
  const entries: CharterEntry[] = []
  for (let at = 0; at < packed.length; ) {
    if (at + LENGTH_BYTES > packed.length) return err('it is cut off')
    const length = view.getUint16(at)
    const end = at + LENGTH_BYTES + length
    if (length > ENTRY_BYTES_MAX || end > packed.length) return err('it is cut off')
    if (entries.length >= CHARTER_ENTRIES_MAX) return err(`more than ${CHARTER_ENTRIES_MAX} entries`)
    const entry = decodeEntry(packed.subarray(at + LENGTH_BYTES, end))
    if (!entry.ok) return entry
    entries.push(entry.value)
    at = end
  }
  return ok(entries)
}

/** Packs entries into pieces of at most so many bytes, in their order. */
export function packPieces(entries: readonly CharterEntry[], bytesMax: number): readonly Uint8Array[] {
  const pieces: Uint8Array[] = []
  let batch: CharterEntry[] = []
  let size = 0
  for (const entry of entries) {
    const bytes = encodeEntry(entry).length + LENGTH_BYTES
    if (batch.length > 0 && size + bytes > bytesMax) {
      pieces.push(packEntries(batch))
      batch = []
      size = 0
    }
    batch.push(entry)
    size += bytes
  }
  return batch.length === 0 ? pieces : [...pieces, packEntries(batch)]
}
