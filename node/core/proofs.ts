// The proofs of leadership on a node's disk. A placement is believed for as long as somebody can show that its signer
// led at its fence, also after everybody was restarted; so the proofs of former leaders are kept, and not only that of
// the present one.

import { PROOFS_PER_DOMAIN_MAX } from '../../election/constants.ts'
import { type Announcement, compareTerms } from '../../election/index.ts'
import type { DomainPath } from '../../overlay/kernel/ids.ts'
import type { Opened } from '../../overlay/wire/envelope.ts'
import type { CoreEffect } from './effects.ts'

export interface ProofKeeper {
  /** What the disk held, the latest first. */
  readonly loaded: readonly Opened<Announcement>[]
  /** Keeps the latest announcement of each fence; beyond PROOFS_PER_DOMAIN_MAX the one kept longest goes. */
  keep(opened: Opened<Announcement>, out: CoreEffect[]): void
}

export function createProofKeeper(onDisk: readonly Opened<Announcement>[]): ProofKeeper {
  const loaded = [...onDisk].sort(
    (a, b) => compareTerms(b.message, a.message) || b.message.sequence - a.message.sequence,
  )
  const keys = new Map<DomainPath, Set<string>>()
  const note = ({ message }: Opened<Announcement>): string => {
    const key = `leaders/${message.domain}//${message.epoch}.${message.term}`
    keys.set(message.domain, (keys.get(message.domain) ?? new Set<string>()).add(key))
    return key
  }
  for (const opened of [...loaded].reverse()) note(opened)
  return {
    loaded,
    keep: (opened, out) => {
      const key = note(opened)
      out.push({ kind: 'persist', key, value: opened.bytes, sync: false, then: [] })
      const kept = keys.get(opened.message.domain) ?? new Set()
      for (const oldest of kept) {
        if (kept.size <= PROOFS_PER_DOMAIN_MAX) return
        kept.delete(oldest)
        out.push({ kind: 'persist', key: oldest, value: null, sync: false, then: [] })
      }
    },
  }
}
