// The pace of an election, by place, and the relations that make it safe. A preset is a place (DESIGN section 6,
// Timing).

import { invariant } from '../overlay/kernel/assert.ts'
import type { Millis } from '../overlay/kernel/time.ts'
import { MESSAGE_BYTES_MAX } from '../overlay/wire/codec.ts'

export type PresetName = 'lan' | 'wan' | 'metered'

export interface ElectionTiming {
  /** How often a leader speaks to each elector. */
  readonly heartbeatMs: Millis
  /** The shortest silence after which an elector may stand; what is measured stretches it (timing.ts). */
  readonly electionTimeoutMsMin: Millis
  /**
   * The longest; the draw between the two spreads candidates out (Raft, section 5.2) and is shorter for fitter nodes.
   */
  readonly electionTimeoutMsMax: Millis
  /**
   * How long a leader counts on a majority that answered, where nothing stretched the timeouts; it gives no order
   * afterwards.
   */
  readonly leaseMs: Millis
  /** The longest wait before standing when the connection to the leader closed: enough for one of five to be first. */
  readonly hintDelayMsMax: Millis
  /** How long a node with no register listens for a line that exists before the lowest of its kin starts one. */
  readonly formationMs: Millis
  /** How long a child has to be steady before it is promoted to elector (DESIGN section 6). */
  readonly steadyMs: Millis
  /** How often a leader repeats its announcement, for those who missed it. */
  readonly announceMs: Millis
  /** How long an elector has to be much fitter than its leader before the leader hands over to it. */
  readonly fitterMs: Millis
  /** How long an elector without a leader waits before it gives the quorum up for lost, in clusters and above. */
  readonly quorumLossMs: { readonly cluster: Millis; readonly above: Millis }
}

// heartbeatMs: DESIGN section 6. The timeouts are six to ten heartbeats: a guess between etcd's ten and Raft's "an
// order of magnitude above the broadcast time" (Raft, section 5.6). They are the least; timing.ts stretches them.
const lan: ElectionTiming = {
  heartbeatMs: 250,
  electionTimeoutMsMin: 1_500,
  electionTimeoutMsMax: 2_500,
  leaseMs: 1_200,
  hintDelayMsMax: 40,
  formationMs: 1_500,
  steadyMs: 10_000,
  announceMs: 10_000,
  // A guess: longer than a compilation or an update keeps a device busy.
  fitterMs: 600_000,
  quorumLossMs: { cluster: 60_000, above: 300_000 },
}

const wan: ElectionTiming = {
  ...lan,
  heartbeatMs: 1_000,
  electionTimeoutMsMin: 6_000,
  electionTimeoutMsMax: 10_000,
  leaseMs: 4_800,
  hintDelayMsMax: 300,
  formationMs: 5_000,
  announceMs: 30_000,
}

const metered: ElectionTiming = {
  ...lan,
  heartbeatMs: 5_000,
  electionTimeoutMsMin: 30_000,
  electionTimeoutMsMax: 50_000,
  leaseMs: 24_000,
  hintDelayMsMax: 1_000,
  formationMs: 10_000,
  announceMs: 120_000,
  // DESIGN's minute is hardly longer than one timeout here; three of them, as for the witness, and five times that
  // above.
  quorumLossMs: { cluster: 180_000, above: 900_000 },
}

export const ELECTION_TIMINGS: Readonly<Record<PresetName, ElectionTiming>> = { lan, wan, metered }

/** How many times its preset an election timeout is stretched at most: enough where half of all messages get lost. */
export const STRETCH_MAX = 4

/** The part of an elector's promise that the leader counts on. */
export const LEASE_SHARE = 0.8

/** By how much a clock may run fast or slow; quartz is a thousand times better. */
const CLOCK_DRIFT_MAX = 0.01

/** The longest promise that an elector can give. */
export const PROMISE_MS_MAX = STRETCH_MAX * metered.electionTimeoutMsMin

/**
 * By how much another elector has to be fitter before a leader hands over to it. Mains instead of a battery is enough
 * (2 of 11 parts of fitness), a longer uptime or better reachability alone is not (1 of 11 each).
 */
export const FITTER_MARGIN = 0.15

/** Electors of a domain at most (DESIGN section 6). */
export const ELECTORS_MAX_CHOICES = [3, 5, 7] as const
export type ElectorsMax = (typeof ELECTORS_MAX_CHOICES)[number]
export const ELECTORS_MAX_DEFAULT: ElectorsMax = 5

/**
 * Proofs of leadership kept per domain: older orders than that many leaders ago can no longer be checked by a
 * newcomer.
 */
export const PROOFS_PER_DOMAIN_MAX = 256

/**
 * Votes that an announcement shows at most: twice what 7 electors need, so that those of replaced electors still fit.
 */
export const VOTES_MAX = 16

/**
 * A new epoch lies above all that its line knows of by a random step below this. Two lines that begin out of each
 * other's sight then share an epoch, and so a fence, about once in a million times.
 */
export const EPOCH_STEP_MAX = 2 ** 20

/**
 * For how many of the shortest election timeouts the leader of a child domain is silent before its parent grants
 * another (DESIGN section 6: three). The survivors then lead within three of the longest.
 */
export const GRANT_SILENCE_TIMEOUTS = 3

/** Children that a domain remembers a grant for; at the limit none is granted for the first time. */
export const GRANTS_MAX = 64

/**
 * Bytes that a domain remembers across leaders: under one key, how many keys, and together, which leaves room in a
 * heartbeat.
 */
export const MEMORY_BYTES_MAX = 16_000
export const MEMORY_KEYS_MAX = 8
export const MEMORY_TOTAL_BYTES_MAX = 48_000

invariant(MEMORY_TOTAL_BYTES_MAX + 8_192 < MESSAGE_BYTES_MAX, 'a heartbeat carries the whole register')
invariant(
  LEASE_SHARE * (1 + CLOCK_DRIFT_MAX) < 1 - CLOCK_DRIFT_MAX,
  'a lease ends before the promise does, by a slow clock of the leader and a fast one of the elector',
)
for (const timing of Object.values(ELECTION_TIMINGS)) {
  invariant(timing.leaseMs === timing.electionTimeoutMsMin * LEASE_SHARE, 'a lease ends before anyone may stand')
  invariant(timing.heartbeatMs * 4 <= timing.leaseMs, 'a lease outlives three lost heartbeats')
  invariant(timing.electionTimeoutMsMin < timing.electionTimeoutMsMax, 'timeouts are drawn from a range')
  invariant(timing.quorumLossMs.cluster > 3 * timing.electionTimeoutMsMax, 'the parent is asked before patience ends')
  invariant(
    GRANT_SILENCE_TIMEOUTS * timing.electionTimeoutMsMin < 3 * timing.electionTimeoutMsMax,
    'a grant comes in time',
  )
}
