// Holds the one charter of this node. A longer valid one replaces it, on disk first; nothing ever makes it shorter.

import { err, ok, type Result } from '../../overlay/kernel/result.ts'
import {
  appendEntry,
  type CharterEntry,
  type CharterProblem,
  type CharterView,
  compareChains,
  decodeChain,
  encodeChain,
  type RevokeBody,
  verifyChain,
} from '../charter.ts'
import { BootstrapError } from '../errors.ts'
import { nodeCrypto } from './crypto.ts'
import type { OperatorKey } from './key-file.ts'
import { CHARTER_KEY, type Store } from './store.ts'
import { createTurns } from './turns.ts'

/** A verified chain, what it says, and its encoded form. */
export interface Charter {
  readonly entries: readonly CharterEntry[]
  readonly view: CharterView
  readonly chain: Uint8Array
}

export type OfferOutcome =
  | { readonly kind: 'adopted' | 'known' | 'other-federation' }
  | { readonly kind: 'fork'; readonly seq: number }
  | { readonly kind: 'invalid'; readonly problem: CharterProblem }

export interface CharterKeeper {
  current(): Charter
  /** Takes in a chain from anywhere. Rejects only when the store fails. */
  offer(chain: Uint8Array): Promise<OfferOutcome>
  /** Signs a revocation and keeps the longer chain. Rejects with BootstrapError. */
  revoke(body: RevokeBody, operatorKey: OperatorKey): Promise<Charter>
}

/** Checks an encoded chain from its first byte to its last signature. */
export function openCharter(chain: Uint8Array): Result<Charter, CharterProblem> {
  const entries = decodeChain(chain)
  if (!entries.ok) return entries
  const view = verifyChain(entries.value, nodeCrypto)
  return view.ok ? ok(charterOf(entries.value, view.value)) : err(view.error)
}

export const charterOf = (entries: readonly CharterEntry[], view: CharterView): Charter => ({
  entries,
  view,
  chain: encodeChain(entries),
})

export function createCharterKeeper(
  initial: Charter,
  store: Store,
  onChanged: (charter: Charter) => void,
): CharterKeeper {
  const turns = createTurns()
  let current = initial

  async function keep(charter: Charter): Promise<void> {
    await store.put(CHARTER_KEY, charter.chain, { sync: true })
    current = charter
    onChanged(charter)
  }

  async function consider(chain: Uint8Array): Promise<OfferOutcome> {
    if (Buffer.from(chain).equals(current.chain)) return { kind: 'known' }
    const offered = openCharter(chain)
    if (!offered.ok) return { kind: 'invalid', problem: offered.error }
    const comparison = compareChains(current.view, offered.value.view)
    switch (comparison.kind) {
      case 'theirs-is-longer':
        await keep(offered.value)
        return { kind: 'adopted' }
      case 'same':
      case 'ours-is-longer':
        return { kind: 'known' }
      case 'fork':
        return { kind: 'fork', seq: comparison.seq }
      case 'other-federation':
        return { kind: 'other-federation' }
    }
  }

  return {
    current: () => current,
    offer: (chain) => turns.take(() => consider(chain)),
    revoke: (body, operatorKey) =>
      turns.take(async () => {
        const { entries, view } = current
        const longer = appendEntry(entries, view, { kind: 'revoke', body }, [operatorKey], nodeCrypto)
        if (!longer.ok) throw revocationFailed(longer.error)
        await keep(charterOf(longer.value.entries, longer.value.view))
        return current
      }),
  }
}

function revocationFailed(problem: CharterProblem): BootstrapError {
  const what = `the revocation was not made: ${problem.detail}`
  switch (problem.kind) {
    case 'too-large':
      return new BootstrapError(
        'charter-full',
        what,
        'The charter is full; found a new federation and join its devices to it.',
      )
    case 'too-few-signatures':
      return new BootstrapError(
        'needs-more-signatures',
        what,
        'This federation has several operators; collecting their signatures is not built yet.',
      )
    default:
      return new BootstrapError('not-an-operator', what, 'Use the key of an operator of this federation.')
  }
}
