// The charter as people read it: what was decided, when, by whom, what waits for signatures, and what a fork left
// behind.

import type { Charter, PlacedEntry } from './charter.ts'
import type { Operator } from './charter-authority.ts'
import type { DraftView } from './charter-drafts.ts'
import { type CharterEntry, type CharterFact, hexOf, type Threshold } from './charter-entry.ts'

export interface LoggedEntry {
  readonly seq: number
  readonly hash: string
  readonly prev: string | null
  readonly kind: string
  /** One sentence without its subject. */
  readonly says: string
  /** Milliseconds since 1970, by the clock of whoever made it. */
  readonly at: number | null
  /** Names of the operators that signed. */
  readonly signedBy: readonly string[]
  /**
   * `in-force`; `kept`: a revocation on a branch that lost a fork, which counts all the same; `void`: another entry on
   * such a branch; `waiting`: for `missing` more signatures.
   */
  readonly state: 'in-force' | 'kept' | 'void' | 'waiting'
  readonly missing: number
}

export interface CharterLog {
  readonly federation: string
  readonly name: string
  readonly head: string
  readonly threshold: Threshold
  readonly operators: readonly Operator[]
  readonly entries: readonly LoggedEntry[]
  readonly forks: number
}

export function logCharter(charter: Charter, drafts: readonly DraftView[]): CharterLog {
  const { view, placed } = charter
  const names = new Map<string, string>()
  for (const { authority } of placed.values()) for (const { key, name } of authority.operators) names.set(key, name)
  const held = new Set(view.hashes)
  const entries = [...placed.values()].map((one) => loggedEntry(one, held.has(one.hash), names))
  const waiting = drafts.map((draft) => loggedDraft(draft, names))
  return {
    federation: view.federation,
    name: view.name,
    head: view.head,
    threshold: view.threshold,
    operators: view.operators,
    entries: [...entries.sort((a, b) => a.seq - b.seq), ...waiting],
    forks: view.forks.length,
  }
}

function loggedEntry({ entry, hash, prev, fact }: PlacedEntry, holds: boolean, names: Names): LoggedEntry {
  const state = holds ? 'in-force' : fact.kind === 'revoke' ? 'kept' : 'void'
  return { ...common(entry, hash, prev, names), says: sayFact(fact, names), at: fact.body.at, state, missing: 0 }
}

function loggedDraft({ entry, hash, standing }: DraftView, names: Names): LoggedEntry {
  const { fact, needed, signed } = standing
  const prev = entry.prev === null ? null : hexOf(entry.prev)
  const missing = needed - signed.length
  return {
    ...common(entry, hash, prev, names),
    says: sayFact(fact, names),
    at: fact.body.at,
    state: 'waiting',
    missing,
  }
}

type Names = ReadonlyMap<string, string>

const common = ({ seq, kind, signatures }: CharterEntry, hash: string, prev: string | null, names: Names) => ({
  seq,
  hash,
  prev,
  kind,
  signedBy: signatures.map(({ key }) => names.get(key) ?? key),
})

/** What an entry says, for people. */
function sayFact(fact: CharterFact, names: Names): string {
  const named = (key: string): string => names.get(key) ?? key
  switch (fact.kind) {
    case 'genesis':
      return `founds "${fact.body.name}" of ${fact.body.operators.map(({ name }) => `"${name}"`).join(', ')}`
    case 'admit-operator':
      return `admits "${fact.body.consent.request.name}"`
    case 'remove-operator':
      if (fact.body.isLeaving) return `says that "${named(fact.body.operator)}" leaves`
      return `has "${named(fact.body.operator)}" leave`
    case 'rotate': {
      const lost = fact.body.isDropped ? '; the old one was lost' : ''
      return `changes the key of "${fact.body.consent.request.name}"${lost}`
    }
    case 'policy':
      return `has ${THRESHOLDS[fact.body.threshold]} decide`
    case 'revoke': {
      const { nodes, credentials, operator } = fact.body
      const whose = operator === null ? '' : ` of "${named(operator)}"`
      const what = [...nodes, ...credentials.map((hash) => `credential ${hexOf(hash).slice(0, 16)}`)]
      return `puts out ${what.join(', ')}${whose}`
    }
  }
}

const THRESHOLDS: Readonly<Record<Threshold, string>> = {
  majority: 'more than half of the operators',
  'two-thirds': 'two thirds of the operators',
  all: 'all operators together',
}
