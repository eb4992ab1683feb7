// What two charters have to tell each other: each shows a few of its hashes, the other sends what these do not cover.
// Hashes are shown at growing distances from the last (as Bitcoin's block locator does), so a few reach back to the
// first.

import type { Charter } from './charter.ts'
import { bytesOfHex, type CharterEntry, type Crypto, hexOf } from './charter-entry.ts'

/** Hashes that are shown at most: ends of branches, and places along the branch that holds. */
export const SHOWN_MAX = 128
const TIPS_SHOWN_MAX = 64
/** So many places next to the last are shown one by one; then the distance doubles. */
const DENSE_PLACES = 8

/** What a node shows of its charter. */
export function showCharter({ view }: Charter): readonly Uint8Array[] {
  const shown = new Set(view.tips.slice(0, TIPS_SHOWN_MAX))
  let distance = 0
  for (let at = view.length - 1; at > 0 && shown.size < SHOWN_MAX - 1; at -= 1 + distance) {
    shown.add(view.hashes[at] as string)
    if (view.length - at >= DENSE_PLACES) distance = 2 * distance + 1
  }
  shown.add(view.federation)
  return [...shown].map(bytesOfHex)
}

/** One hash over all that a charter and its drafts hold: who shows the same has nothing to tell the other. */
export function digestCharter({ view }: Charter, drafts: Uint8Array, crypto: Crypto): Uint8Array {
  const tips = view.tips.map(bytesOfHex)
  const all = new Uint8Array(tips.length * 32 + drafts.length)
  for (const [index, tip] of tips.entries()) all.set(tip, index * 32)
  all.set(drafts, tips.length * 32)
  return crypto.sha256(all)
}

/** What whoever showed these hashes lacks, as far as that can be told; each entry after the one before it. */
export function lackedBy(shown: readonly Uint8Array[], { placed }: Charter): readonly CharterEntry[] {
  const covered = new Set<string>()
  for (const hash of shown) {
    for (let at: string | null = hexOf(hash); at !== null && !covered.has(at); at = placed.get(at)?.prev ?? null) {
      if (placed.has(at)) covered.add(at)
      else break
    }
  }
  return [...placed.values()]
    .filter(({ hash }) => !covered.has(hash))
    .map(({ entry }) => entry)
    .sort((a, b) => a.seq - b.seq)
}
