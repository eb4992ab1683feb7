// Every number of the roster, with its reason. A preset is a place: what is fast enough beside a switch is noise over
// a radio.

import { invariant } from '../kernel/assert.ts'

/**
 * How many others watch a node. 4 of Rapid's K = 10 (Suresh et al., ATC'18): clusters here are tens, not
 * thousands.
 */
export const WATCHERS_PER_NODE = 4

/**
 * The shortest and longest suspicion in ms (Lifeguard's LHA-Suspicion); the more independent witnesses, the shorter.
 */
export interface SuspicionSpan {
  readonly msMin: number
  readonly msMax: number
}

export interface MembershipTiming {
  /** Whoever was not heard for this long is probed by one of its watchers, which take turns, in ms. */
  readonly probeMs: number
  /** How long the answer to a probe may take in ms, on a healthy watcher and a quick path. */
  readonly probeTimeoutMs: number
  /**
   * How long a watcher keeps to itself that a connection closed, in ms: time for an election, which is more urgent
   * (each report costs its hearers signatures to check), and for a peer that comes back at once and need not be
   * doubted.
   */
  readonly closedReportMs: number
  /**
   * When most watchers saw the connection close: the other side's kernel said so, only reconnecting has to be
   * awaited. Counted from the first report.
   */
  readonly closed: SuspicionSpan
  /** When probes were lost: the other side may merely be slow or paused. */
  readonly silent: SuspicionSpan
  /**
   * Least time between two statements that say a new fitness only, in ms. It swings with the load of the device, and
   * what is decided by it takes minutes; each statement costs every member of the cluster a signature to check.
   */
  readonly fitnessGapMs: number
  /**
   * How long a statement that another member handed over waits before it is handed on, in ms: what gossip brings
   * meanwhile, gossip brings to the others too. Some hops of it; a guess.
   */
  readonly newsWaitMs: number
  /** Anti-entropy with a random member, and probes of the dead, in ms. */
  readonly syncMs: number
  /** Who was not heard for this long does not count as a watcher that could disagree, in ms. */
  readonly hearingMs: number
}

export type MembershipPreset = 'lan' | 'wan' | 'metered'

/** Gossip makes every node heard once per 30 s at the latest (DESIGN section 7); 2.5 such spans forgive one loss. */
const HEARING_SYNCS = 2.5

export const MEMBERSHIP_TIMING: Readonly<Record<MembershipPreset, MembershipTiming>> = {
  lan: {
    // SWIM's and memberlist's local-network values: probe each second, half a second to answer.
    probeMs: 1_000,
    probeTimeoutMs: 500,
    // A leader that was killed is replaced in about 100 ms (`npm run bench -- election --parts kill`).
    closedReportMs: 100,
    // A redial starts after 250 ms, so 300 ms with the above let an innocent reconnect speak first; 3 s without any
    // second opinion.
    closed: { msMin: 200, msMax: 2_900 },
    // Two lost probes (1 s) and 2.5 s more: a node that is paused for 3 s is back before it can be declared dead.
    silent: { msMin: 2_500, msMax: 10_000 },
    fitnessGapMs: 10_000,
    newsWaitMs: 200,
    syncMs: 30_000,
    hearingMs: HEARING_SYNCS * 30_000,
  },
  wan: {
    // Three times `lan`: round trips of up to 300 ms, and links that lose for a second at a time (a guess).
    probeMs: 3_000,
    probeTimeoutMs: 1_500,
    closedReportMs: 300,
    closed: { msMin: 700, msMax: 9_700 },
    silent: { msMin: 6_000, msMax: 30_000 },
    fitnessGapMs: 30_000,
    newsWaitMs: 600,
    syncMs: 30_000,
    hearingMs: HEARING_SYNCS * 30_000,
  },
  metered: {
    // A probe and its answer are 0.5 kB: one per 30 s is 60 kB per hour and link, of the 1 MB that DESIGN section 7
    // allows.
    probeMs: 30_000,
    probeTimeoutMs: 10_000,
    // Radio links drop and come back within seconds; a death here moves work over a link that costs money.
    closedReportMs: 1_000,
    closed: { msMin: 4_000, msMax: 59_000 },
    silent: { msMin: 30_000, msMax: 120_000 },
    fitnessGapMs: 120_000,
    newsWaitMs: 2_000,
    syncMs: 300_000,
    hearingMs: HEARING_SYNCS * 300_000,
  },
}

/** Lost probes in a row before a report: one may be a lost message, two are a lost path (a guess). */
export const PROBES_LOST_TO_REPORT = 2
/** Who slept reads for so much of a probe timeout before it judges anybody (a guess: 100 ms on `lan`). */
export const READING_SHARE = 1 / 5

/** How far a slow path may stretch a probe's deadline, in probe timeouts (a guess). */
export const PROBE_STRETCH_MAX = 5
/**
 * A deadline of this many smoothed round trips: TCP's 1 + 4 variances (RFC 6298), with the round trip for the
 * variance.
 */
export const PROBE_ROUND_TRIPS = 4
/** How often a standing report is repeated to the other watchers, in case the first copies were lost (a guess). */
export const REPORT_REPEATS_MAX = 5

/** Lifeguard's local health multiplier saturates here (Dadgar et al., DSN-W 2018, LHA-Probe: S = 8). */
export const HEALTH_SCORE_MAX = 8

/**
 * Least time between two refutations in ms; doubles while they go on, so that one broken path costs little (a guess).
 */
export const REFUTE_GAP_MS_MIN = 200
export const REFUTE_GAP_MS_MAX = 30_000
/** After this long without one the gap is short again, in ms: twice the longest gap. */
export const REFUTE_QUIET_MS = 2 * REFUTE_GAP_MS_MAX

/** Least time between two statements of this node about itself in ms; what changes in between is said together. */
export const STATEMENT_GAP_MS = 1_000
/**
 * In large clusters a member says its fitness less often: all together say it once a second at most, as summaries are
 * said (node/core/inventories.ts). What is decided by it takes ten minutes.
 */
export const FITNESS_MS_PER_MEMBER = 1_000
/** A smaller change of fitness is not worth a statement: the 5 % rule of DESIGN section 7. */
export const FITNESS_STEP_MIN = 0.05

/**
 * How long the dead and those who left stay on the roster in ms: a day, so that a person sees in the morning what
 * fell at night.
 */
export const GONE_KEPT_MS = 86_400_000

/**
 * Members of one cluster; at the limit the one gone longest makes room, and when none is gone the newcomer is
 * refused.
 */
export const ROSTER_MAX = 1_000
/** Forgotten members whose old statements stay refused; the oldest is let go at the limit. */
export const FORGOTTEN_MAX = 1_000
/**
 * Opinions kept about one subject; at the limit an outdated one makes room, and when none is outdated the new one is
 * refused.
 */
export const REPORTS_PER_SUBJECT_MAX = 64
/** Subjects that are not on the roster (yet) and have reports kept; further ones are refused. */
export const STRANGE_SUBJECTS_MAX = 256

export const ADDRESSES_MAX = 16
export const ADDRESS_CHARS_MAX = 300
export const NAME_CHARS_MAX = 63

/**
 * Members or reports described in one piece of a digest, on average; the schema's bound leaves room for uneven
 * pieces.
 */
export const DIGEST_ITEMS = 100
export const DIGEST_ITEMS_MAX = 200
export const DIGEST_PARTS_MAX = 1_024
/** Sealed bytes in one `membership/entries`, so that the envelope around them stays below 60 kB. */
export const ENTRIES_BYTES_MAX = 55_000
/** Envelopes in one `membership/entries`: each costs its receiver a signature check (about 0.1 ms). */
export const ENTRIES_ITEMS_MAX = 256
/**
 * From so many members at once what one lacks is fetched: a newcomer that meets twenty has a whole roster from each
 * otherwise. The others are asked to describe what they have, and compared with again two probe intervals later. A
 * guess.
 */
export const FETCHES_AT_ONCE_MAX = 3
/**
 * After a newcomer was heard of, the next comparison is due within this share of `syncMs`: where many come at once,
 * not everybody hears of each. A guess.
 */
export const NEWCOMER_SYNC_SHARE = 1 / 6
/** So few facts of a part of the digest are fetched from any number of members. A guess. */
export const FETCHED_FREELY_MAX = 16
/** To how many connected members news is handed on directly, besides gossip (rumour mongering, Demers et al. 1987). */
export const NEWS_FANOUT = 3
/**
 * Who hears a statement from so many more members before it handed it on leaves it at that (the rumour that dies of
 * being known, Demers et al. 1987). A guess.
 */
export const NEWS_HEARD_MAX = 2
/**
 * More that was handed over at once is not handed on: who learned so much was away itself, and the others know it. A
 * guess.
 */
export const NEWS_MAX = 32

for (const timing of Object.values(MEMBERSHIP_TIMING)) {
  invariant(timing.probeTimeoutMs < timing.probeMs, 'a probe is answered before the next is due')
  invariant(timing.closed.msMax >= timing.closed.msMin, 'a suspicion shrinks')
  invariant(timing.closedReportMs < timing.closed.msMin, 'most of the time is left for contradiction')
  invariant(timing.silent.msMin > timing.closed.msMin, 'silence is weaker evidence than a closed connection')
  invariant(timing.silent.msMin >= 2 * timing.probeTimeoutMs, 'a suspect gets the time of two more probes')
  invariant(timing.hearingMs >= 2 * timing.syncMs, 'one lost message makes nobody unheard')
}
