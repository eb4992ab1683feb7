// Which records are worth keeping when later ones have taken their place: who asked for a service, who decided where it
// runs, which device accepted, and when it began and ended. They are kept as they were signed, so that whoever doubts
// them can check; what only repeats or refines is left out, but for the last word on what an instance used.

import type { SealedRecord } from '../../services-registry/index.ts'
import { isInstance, isPlacement, isSpec } from '../../services-registry/index.ts'
import { recordKey } from '../../services-registry/record.ts'
import type { CoreEffect } from './effects.ts'

/** Facts whose last word is remembered; the longest unchanged is forgotten first, and may be kept twice. */
const MARKS_MAX = 20_000

export interface Audit {
  /** A record was taken in. */
  onRecord(record: SealedRecord | null, out: CoreEffect[]): void
}

export function createAudit(): Audit {
  const marks = new Map<string, string>()
  return {
    onRecord: (record, out) => {
      const mark = record === null ? null : markOf(record)
      if (record === null || mark === null) return
      const key = `${recordKey(record.message, record.from)} ${record.message.domain} ${record.signer.operator}`
      const isStep = marks.get(key) !== mark
      const saysUse = isInstance(record) && record.message.used !== undefined
      if (!isStep && !saysUse) return
      marks.delete(key)
      const [oldest] = marks.keys()
      if (marks.size >= MARKS_MAX && oldest !== undefined) marks.delete(oldest)
      marks.set(key, mark)
      out.push({ kind: 'audit', record, isStep })
    },
  }
}

/** What makes a record another step in the life of a service; null where it is none. */
function markOf(record: SealedRecord): string | null {
  if (isSpec(record)) return JSON.stringify(record.message.clock)
  if (isPlacement(record)) {
    const { child, fence, specClock, previous = null } = record.message
    return JSON.stringify([child, previous, fence, specClock])
  }
  if (!isInstance(record)) return null
  const { fence, specClock, live, state, incarnation } = record.message
  return JSON.stringify([fence, specClock, live, isRunning(state), incarnation])
}

/** Whether an instance uses what it was promised: from its first answer until it ends. */
export const isRunning = (state: string): boolean =>
  state === 'running' || state === 'unhealthy' || state === 'stopping'
