// Bugs planted on purpose, each with the rules of which one has to notice it: a checker that cannot see them proves
// nothing by its silence. Some break the world around the shipping code. The others replace one line of it as it is
// loaded (canary-worker.ts), so no test flag ships, and the bug sits where a person would make it.

import { readSaved } from './checkers/commits.ts'
import type { FaultKind } from './faults.ts'
import { type Defects, NO_DEFECTS } from './world.ts'

/** One passage of the shipping source, and what stands there instead. It has to occur exactly once. */
export interface Mutation {
  /** From the root of the repository. */
  readonly file: string
  readonly find: string
  readonly replace: string
}

export interface Canary {
  readonly name: string
  readonly defects?: Defects
  readonly mutation?: Mutation
  /** Where the bug shows only among many clusters; by default one or two. */
  readonly clusters?: number
  /** Where the bug shows only among few other faults: which there are, by default all. */
  readonly kinds?: readonly FaultKind[]
  /** A seed that catches it, for who has no time to hunt from the first on. */
  readonly caughtBy?: number
  /** The rules of which one has to break. */
  readonly rules: readonly string[]
}

/** A write of an election's memory that changes the term and the vote, and not the register. */
function isMereVote(key: string, before: Uint8Array | null, value: Uint8Array | null): boolean {
  if (!key.startsWith('election/') || before === null || value === null) return false
  const [was, is] = [registerIn(before), registerIn(value)]
  return was !== null && JSON.stringify(was) === JSON.stringify(is)
}

const registerIn = (value: Uint8Array): unknown => readSaved(value)?.register ?? null

const isLaterOrder = (key: string, before: Uint8Array | null): boolean =>
  before !== null && (key.startsWith('worker/') || key.startsWith('store/'))

const MUTANTS: readonly Canary[] = [
  {
    name: 'vote not persisted',
    mutation: {
      file: 'election/standing.ts',
      find: "return save(voting, out, [{ kind: 'send', to: candidate, message: vote }])",
      replace: "out.push({ kind: 'send', to: candidate, message: vote })\n  return voting",
    },
    rules: ['vote-durable', 'one-vote', 'one-leader'],
  },
  {
    name: 'vote written without the candidate',
    mutation: {
      file: 'election/saved.ts',
      find: 'encodeSaved({ epoch, term, votedFor, ',
      replace: 'encodeSaved({ epoch, term, votedFor: null, ',
    },
    rules: ['vote-durable', 'one-vote', 'one-leader'],
  },
  {
    name: 'vote sent before it is persisted',
    mutation: {
      file: 'election/standing.ts',
      find: "return save(voting, out, [{ kind: 'send', to: candidate, message: vote }])",
      replace: "out.push({ kind: 'send', to: candidate, message: vote })\n  return save(voting, out, [])",
    },
    rules: ['vote-durable', 'one-vote', 'one-leader'],
  },
  {
    name: 'lease unchecked',
    mutation: {
      file: 'election/leading.ts',
      find: 'leaseUntil: Math.max(role.leaseUntil, ',
      replace: 'leaseUntil: Math.max(now + 1_000, role.leaseUntil, ',
    },
    rules: ['leader-silent'],
  },
  {
    name: 'grant forgotten',
    mutation: {
      file: 'election/witness.ts',
      find: 'const before = grantsOf(register).find((granted) => granted.domain === request.domain) ?? null',
      replace: 'const before = null as Granted | null',
    },
    clusters: 4,
    kinds: ['partition', 'partial', 'one-way', 'bridged', 'power-cut'],
    rules: ['one-grant'],
  },
  {
    name: 'fence forgotten',
    mutation: {
      file: 'services-registry/record.ts',
      find: 'compareFences = (a: Fence, b: Fence): number => a.epoch - b.epoch || a.term - b.term',
      replace: 'compareFences = (_a: Fence, _b: Fence): number => 0',
    },
    kinds: ['hurry', 'instance-crash', 'pause'],
    rules: ['fences-grow', 'liveness'],
  },
  {
    name: 'commit without majority',
    mutation: {
      file: 'election/leading.ts',
      find: 'held[majorityOf(held.length) - 1] ?? 0',
      replace: 'held[0] ?? 0',
    },
    rules: ['commit-by-majority', 'register-kept'],
  },
  {
    name: 'two electors changed at once',
    mutation: {
      file: 'election/leading.ts',
      find: 'if (role.committedIndex < role.electorsIndex) return state\n  const change',
      replace: 'const change',
    },
    rules: ['one-change'],
  },
  {
    name: 'merge without versions',
    mutation: {
      file: 'services-registry/merge.ts',
      find: 'return compareRecords(a, b) >= 0 ? a : b',
      replace: 'return b',
    },
    rules: ['merge-order'],
  },
  {
    name: 'pre-vote skipped',
    mutation: {
      file: 'election/standing.ts',
      find: 'state.role.granted.size >= majorityOf(electorIds(state.register).length)',
      replace: 'state.role.granted.size >= 1',
    },
    rules: ['asked-first'],
  },
  {
    name: 'incarnation reused',
    mutation: {
      file: 'node/core/memory.ts',
      find: 'decodeIncarnation(last)) ?? 0) + 1',
      replace: 'decodeIncarnation(last)) ?? 1)',
    },
    rules: ['new-incarnation'],
  },
  {
    name: 'ticket kept by who forgot its votes',
    mutation: {
      file: 'election/state.ts',
      find: "known.ticket === '' ? drawName(random) : known.ticket",
      replace: "known.ticket === '' ? 'my ticket' : known.ticket",
    },
    kinds: ['damaged-votes', 'wipe', 'ambush', 'kill'],
    rules: ['one-vote'],
  },
  {
    name: 'eviction forgotten',
    mutation: {
      file: 'placement/eviction.ts',
      find: 'state.evicted.set(key, { times, until })',
      replace: 'void until',
    },
    clusters: 1,
    kinds: ['instance-crash'],
    rules: ['no-swinging'],
  },
  {
    name: 'records that come in behind the timetable’s back',
    mutation: {
      file: 'node/core/timetable.ts',
      find: "|| kind.startsWith('membership/')",
      replace: "|| kind.startsWith('membership/') || kind.startsWith('registry/')",
    },
    rules: ['on-time'],
  },
  {
    name: 'limits kept after the pressure is gone',
    mutation: {
      file: 'placement/pressure.ts',
      find: 'effects: [...putBack, persist(next, []), told]',
      replace: 'effects: [persist(next, []), told]',
    },
    clusters: 1,
    kinds: ['instance-crash'],
    rules: ['liveness'],
  },
]

const BROKEN_WORLDS: readonly Canary[] = [
  {
    name: 'a disk that forgets what was voted',
    defects: { ...NO_DEFECTS, disk: { ignoresSync: false, forgets: isMereVote } },
    rules: ['vote-durable', 'one-vote', 'one-leader', 'register-kept'],
  },
  {
    name: 'a disk that calls a cached write synced, and loses it with the power',
    defects: { ...NO_DEFECTS, disk: { ...NO_DEFECTS.disk, ignoresSync: true } },
    rules: ['vote-durable', 'commit-by-majority', 'one-vote', 'one-leader', 'register-kept', 'specs-kept', 'liveness'],
  },
  {
    name: 'a worker that wakes up with the first order it ever got',
    defects: { ...NO_DEFECTS, disk: { ignoresSync: false, forgets: isLaterOrder } },
    // What is forgotten may be a spec as well as an order, or an order for another version than the one that runs.
    rules: ['fences-grow', 'specs-kept', 'liveness'],
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

export const CANARIES: readonly Canary[] = [...MUTANTS, ...BROKEN_WORLDS]
