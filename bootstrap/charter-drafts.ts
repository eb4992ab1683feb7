// Entries that wait for signatures. They are passed from hand to hand like the charter itself, each adding what it has;
// what was decided meanwhile in their place ends them.

import { encodeCbor } from '../overlay/wire/codec.ts'
import { type Charter, type PlacedEntry, placeEntry } from './charter.ts'
import { isSignedEnough, previousOf, type Standing } from './charter-authority.ts'
import { type CharterEntry, type Crypto, entryHash, signEntry } from './charter-entry.ts'

/** Drafts that wait at once; a guess: each operator proposes one thing, and somebody misuses it. */
export const DRAFTS_MAX = 32

/** By hash. */
export type Drafts = ReadonlyMap<string, CharterEntry>

/** A draft and who is still to sign. */
export interface DraftView {
  readonly hash: string
  readonly entry: CharterEntry
  readonly standing: Standing
}

/**
 * Puts drafts together with those that are held: the signatures of both. What nobody with a say signed, or what cannot
 * follow any more, is passed over; at the limit, those that wait for longest stay. `complete` are signed enough now.
 */
export function mergeDrafts(
  held: Drafts,
  offered: readonly CharterEntry[],
  charter: Charter,
  crypto: Crypto,
): { readonly drafts: Drafts; readonly complete: readonly CharterEntry[]; readonly isChanged: boolean } {
  const drafts = new Map<string, CharterEntry>()
  const complete: CharterEntry[] = []
  let isChanged = false
  for (const entry of [...held.values(), ...offered]) {
    const hash = entryHash(entry, crypto)
    const known = drafts.get(hash)
    const merged = known === undefined ? entry : withSignaturesOf(known, entry)
    const standing = openDraft(merged, hash, charter, crypto)
    if (standing === null || (known === undefined && drafts.size >= DRAFTS_MAX)) {
      isChanged ||= held.has(hash) && known === undefined
      continue
    }
    isChanged ||= merged.signatures.length > (held.get(hash)?.signatures.length ?? 0)
    if (isSignedEnough(standing)) {
      complete.push(merged)
      drafts.delete(hash)
    } else drafts.set(hash, merged)
  }
  return { drafts, complete, isChanged }
}

export function viewDraft(entry: CharterEntry, charter: Charter, crypto: Crypto): DraftView | null {
  const hash = entryHash(entry, crypto)
  const standing = openDraft(entry, hash, charter, crypto)
  return standing === null ? null : { hash, entry, standing }
}

/** How a draft stands; null when it is none, is in force, or nothing can come of it any more. */
function openDraft(entry: CharterEntry, hash: string, charter: Charter, crypto: Crypto): Standing | null {
  const before = charter.placed.get(previousOf(entry) ?? '')
  if (before === undefined || charter.placed.has(hash) || !isOpenPlace(before, charter)) return null
  const judged = placeEntry(before, entry, crypto)
  if (!judged.ok || judged.value.standing.signed.length === 0) return null
  return judged.value.standing
}

/** Whether nothing but revocations follows the entry on the branch that holds: these do not stand in a draft's way. */
function isOpenPlace(before: PlacedEntry, { placed, view }: Charter): boolean {
  if (view.hashes[before.entry.seq] !== before.hash) return false
  return view.hashes.slice(before.entry.seq + 1).every((hash) => placed.get(hash)?.fact.kind === 'revoke')
}

function withSignaturesOf(entry: CharterEntry, other: CharterEntry): CharterEntry {
  const held = new Set(entry.signatures.map(({ key }) => key))
  return {
    ...signEntry(entry, []),
    signatures: [...entry.signatures, ...other.signatures.filter(({ key }) => !held.has(key))],
  }
}

/** What two nodes that hold the same drafts, with the same signatures, have in common. */
export function draftsDigest(drafts: Drafts): Uint8Array {
  const held = [...drafts].map(([hash, { signatures }]) => [hash, signatures.map(({ key }) => key).sort()] as const)
  return encodeCbor(held.sort(([a], [b]) => (a < b ? -1 : 1)))
}
