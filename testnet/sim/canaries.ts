// Worlds that are broken on purpose: each plants one bug outside the shipping code, where a device or its operating system would have
// it, and names the rule that has to notice. A checker that cannot see them proves nothing by its silence.

import { type Defects, NO_DEFECTS } from './world.ts'

export interface Canary {
  readonly name: string
  readonly defects: Defects
  /** The rules of which one has to break. */
  readonly rules: readonly string[]
}

export const CANARIES: readonly Canary[] = [
  {
    name: 'a disk that forgets what was voted',
    defects: { ...NO_DEFECTS, disk: { ignoresSync: false, keepsFirst: ['election/'] } },
    rules: ['one-vote', 'one-leader', 'register-kept'],
  },
  {
    name: 'a disk that calls a cached write synced, and loses it with the power',
    defects: { ...NO_DEFECTS, disk: { ignoresSync: true, keepsFirst: [] } },
    rules: ['one-vote', 'one-leader', 'register-kept', 'specs-kept', 'fences-grow', 'liveness'],
  },
  {
    name: 'a worker that wakes up with the first order it ever got',
    defects: { ...NO_DEFECTS, disk: { ignoresSync: false, keepsFirst: ['worker/', 'store/'] } },
    rules: ['fences-grow'],
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
  {
    name: 'a start under the incarnation of last time',
    defects: { ...NO_DEFECTS, boot: { reusesIncarnation: true } },
    rules: ['liveness'],
  },
]
