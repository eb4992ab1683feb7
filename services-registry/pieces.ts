// Many records as the few messages that carry them.

import { PIECE_BYTES_MAX, PIECE_RECORDS_MAX } from './constants.ts'
import type { SealedRecord } from './record.ts'

export interface Piece {
  readonly records: readonly SealedRecord[]
  readonly bytes: number
}

/**
 * One signer per piece: a piece is opened as a whole, so a signer whom the peer does not know yet, or no longer
 * believes, costs the peer that signer's records and no others. Specs come first, because nothing else makes sense
 * without them.
 */
export function piecesOf(records: readonly SealedRecord[]): readonly Piece[] {
  const groups = new Map<string, SealedRecord[]>()
  for (const record of records) {
    const name = `${kindOrder.indexOf(record.message.kind)} ${record.from}`
    const group = groups.get(name)
    if (group === undefined) groups.set(name, [record])
    else group.push(record)
  }
  return [...groups.keys()].sort().flatMap((name) => cutIntoPieces(groups.get(name) ?? []))
}

const kindOrder: readonly SealedRecord['message']['kind'][] = [
  'record/spec',
  'record/rollout',
  'record/placement',
  'record/instance',
]

function cutIntoPieces(records: readonly SealedRecord[]): readonly Piece[] {
  const pieces: Piece[] = []
  let current: SealedRecord[] = []
  let bytes = 0
  for (const record of records) {
    const isFull = bytes + record.bytes.length > PIECE_BYTES_MAX || current.length >= PIECE_RECORDS_MAX
    if (isFull) {
      pieces.push({ records: current, bytes })
      current = []
      bytes = 0
    }
    current.push(record)
    bytes += record.bytes.length
  }
  if (current.length > 0) pieces.push({ records: current, bytes })
  return pieces
}
