// Envelopes that were opened lately, by their bytes: a leader's announcement comes again and again, with the same votes
// in it, and what was checked once need not be checked anew. Whoever signed may have been revoked since, and that is
// not answered here.

import type { NodeId } from '../kernel/ids.ts'
import type { AnyMessage } from './codec.ts'
import type { Opened, SignerFacts } from './envelope.ts'

/** Under which credential an envelope was signed, and what that said of the signer. */
export interface Signed {
  readonly from: NodeId
  readonly credentialHash: Uint8Array
  readonly facts: SignerFacts
}

export interface Remembered<M extends AnyMessage> {
  readonly opened: Opened<M>
  /** The signer, and those of all envelopes inside. */
  readonly signed: readonly Signed[]
  /** How deep envelopes are nested inside; 0 for none. */
  readonly height: number
}

export interface LatelyOpened<M extends AnyMessage> {
  find(bytes: Uint8Array): Remembered<M> | null
  remember(one: Remembered<M>): void
}

/** A few announcements with the votes in them, of each domain that a node hears of. A guess. */
const REMEMBERED_MAX = 512
/** An announcement with seven votes of nodes is half as long; with REMEMBERED_MAX it bounds the memory to 2 MB. */
const REMEMBERED_BYTES_MAX = 4_096

/** The newest of each slot stays. */
export function createLatelyOpened<M extends AnyMessage>(slotCount = REMEMBERED_MAX): LatelyOpened<M> {
  const slots: (Remembered<M> | undefined)[] = new Array(slotCount).fill(undefined)
  /** An envelope ends with its signature, which is as good as random. */
  const slotOf = (bytes: Uint8Array): number =>
    (((bytes.at(-3) ?? 0) << 16) | ((bytes.at(-2) ?? 0) << 8) | (bytes.at(-1) ?? 0)) % slotCount
  return {
    find: (bytes) => {
      const found = slots[slotOf(bytes)]
      return found !== undefined && isSame(found.opened.bytes, bytes) ? found : null
    },
    remember: (one) => {
      const { bytes } = one.opened
      if (bytes.length <= REMEMBERED_BYTES_MAX) slots[slotOf(bytes)] = one
    },
  }
}

function isSame(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false
  for (let index = a.length - 1; index >= 0; index--) if (a[index] !== b[index]) return false
  return true
}
