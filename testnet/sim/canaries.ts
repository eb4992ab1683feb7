// Worlds that are broken on purpose: each plants one bug outside the shipping code, where a device or its operating
// system would have it, and names the rule that has to notice. A checker that cannot see them proves nothing by its
// silence.

import { decodeBounded } from '../../overlay/wire/codec.ts'
import { type Defects, NO_DEFECTS } from './world.ts'

export interface Canary {
  readonly name: string
  readonly defects: Defects
  /** The rules of which one has to break. */
  readonly rules: readonly string[]
}

/** A write of an election's memory that changes the term and the vote, and not the register. */
function isMereVote(key: string, before: Uint8Array | null, value: Uint8Array | null): boolean {
  if (!key.startsWith('election/') || before === null || value === null) return false
  const [was, is] = [registerIn(before), registerIn(value)]
  return was !== null && JSON.stringify(was) === JSON.stringify(is)
}

function registerIn(value: Uint8Array): unknown {
  const read = decodeBounded(value)
  return read.ok ? (read.value as { readonly register: unknown }).register : null
}

const isLaterOrder = (key: string, before: Uint8Array | null): boolean =>
  before !== null && (key.startsWith('worker/') || key.startsWith('store/'))

export const CANARIES: readonly Canary[] = [
  {
    name: 'a disk that forgets what was voted',
    defects: { ...NO_DEFECTS, disk: { ignoresSync: false, forgets: isMereVote } },
    rules: ['one-vote', 'one-leader', 'register-kept'],
  },
  {
    name: 'a disk that calls a cached write synced, and loses it with the power',
    defects: { ...NO_DEFECTS, disk: { ...NO_DEFECTS.disk, ignoresSync: true } },
    rules: ['one-vote', 'one-leader', 'register-kept', 'specs-kept', 'fences-grow', 'liveness'],
  },
  {
    name: 'a worker that wakes up with the first order it ever got',
    defects: { ...NO_DEFECTS, disk: { ignoresSync: false, forgets: isLaterOrder } },
    // What is forgotten may be a spec as well as an order.
    rules: ['fences-grow', 'specs-kept'],
  },
  {
    name: 'a runtime that reports the end of what goes on running',
    defects: { ...NO_DEFECTS, runtime: { forgetsToStop: true } },
    rules: ['liveness', 'within-capacity'],
  },
  {
    name: 'a network that swallows anti-entropy',
    defects: { ...NO_DEFECTS, network: { swallows: ['registry/digest', 'registry/records'] } },
    rules: ['liveness', 'specs-kept'],
  },
]
