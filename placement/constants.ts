// Every limit and pace of placement, with where it comes from. A preset is a place: how far apart the nodes are sets
// the pace.

import { invariant } from '../overlay/kernel/assert.ts'

/** How long a node keeps room for an offer (DESIGN section 9). */
export const RESERVATION_MS = 10_000
/**
 * Offers that a node keeps room for at once; an ask beyond is refused as `busy`. A guess: far above what a device can
 * run, and four full batches.
 */
export const RESERVATIONS_MAX = 1_024
/** Instances that one message asks for, offers, refuses or lets go: with a spec of 32 KB it stays far below 64 KiB. */
export const BATCH_MAX = 256
/**
 * Services that a leader asks for at once; those of further ones wait their turn. Bounds bursts, as each ask carries
 * 32 KB of spec at most. A guess.
 */
export const SERVICES_ASKED_MAX = 64
/**
 * Instances that a leader asks for at once; further ones wait until half of these are answered, so that they too go out
 * in batches and not one by one. Bounds memory: about 1 KB each. A guess.
 */
export const ASKS_MAX = 4_096
/** Orders of the parent that a leader works on at once; further ones are refused as `busy`: all that a parent asks. */
export const ORDERS_MAX = 4_096
invariant(ORDERS_MAX >= ASKS_MAX, 'a parent asks its only child for no more than that child takes')
invariant(RESERVATIONS_MAX >= BATCH_MAX, 'a node can keep room for one batch')
/**
 * Demands of which a leader keeps how each child was judged: 1 MB at 1,000 children and as many as are placed in turn.
 * A guess.
 */
export const RANKINGS_MAX = 16
/** Failures of one kind that a refusal can name; there are fewer kinds than this. */
export const REASONS_MAX = 32
/** Characters of a reason in a record (services-registry/record.ts allows 500). */
export const REASON_CHARS_MAX = 480

/** Share of a device's memory that may be promised; the rest is the system's and Coppice's own. A guess. */
export const MEMORY_SHARE = 0.9

/** Unplanned ends in a row before a node gives an instance up: about 13 s of delays at the default. A guess. */
export const CRASHES_MAX = 7
/**
 * Starts in a row that never got as far as running before a node gives up: another device may have what this one lacks.
 */
export const FAILED_STARTS_MAX = 2
/**
 * The least delay after a start that failed, in ms: a registry that hiccups or a port that is still taken needs a
 * moment, and the tries on this device shall not be over before it. A guess.
 */
export const FAILED_START_DELAY_MS_MIN = 500
/** An instance that ran this long is healthy again in the books (Docker's restart policy uses the same 10 s). */
export const STABLE_RUN_MS = 10_000
/**
 * How long an instance waits for its runtime to say what runs already, before its leader looks for another place: a
 * small device may take a minute or two after a boot until its engine answers. A guess.
 */
export const RUNTIME_WAIT_MS = 180_000
/** How long past its grace a stop may take before the driver is told again. A guess. */
export const STOP_REPEAT_MS = 15_000
/** How often a node that was given work without a description of it asks for one. A guess. */
export const MISSING_SPEC_REPEAT_MS = 3_000

/**
 * How long a node does not take back an instance that it ended to relieve itself; doubles with each time. Longer than
 * its leader avoids it for the same, so that two devices under pressure do not hand one instance back and forth. The
 * upper bound is also how long the count is remembered after that. Guesses.
 */
export const EVICTED_MS_MIN = 300_000
export const EVICTED_MS_MAX = 3_600_000

/**
 * How often a node asks its leader whether what ends itself (`disconnect.stop_after`) may run on: so many times in that
 * span, and within these bounds, so that the loss of two messages in a row ends nothing. Guesses.
 */
export const RUN_ON_ASKS = 4
export const RUN_ON_MS_MIN = 500
export const RUN_ON_MS_MAX = 10_000
/** The shortest span that a service may give: RUN_ON_ASKS of the fastest. */
export const STOP_AFTER_MS_MIN = 2_000
invariant(RUN_ON_ASKS * RUN_ON_MS_MIN <= STOP_AFTER_MS_MIN, 'the shortest span has room for all asks')

/**
 * How long both copies of a moved instance take calls, so that everybody has heard of the new one before the old one
 * ends. A guess, well above what gossip takes.
 */
export const SWITCH_MS = 1_000
/**
 * How long a moved instance may take to run at its new place before it stays at the old one. A guess: a large image.
 */
export const MOVE_MS_MAX = 600_000

/** Requests to move something whose answer a leader remembers, for who asks again. A guess. */
export const MOVES_ANSWERED_MAX = 256

/** How long a leader passes over a child that failed an instance; doubles with each failure in a row. Guesses. */
export const AVOID_MS_MIN = 60_000
export const AVOID_MS_MAX = 600_000
/** How long an instance must run before its earlier failures are forgotten: as long as the first avoidance. */
export const FORGIVE_MS = 60_000
invariant(EVICTED_MS_MIN > AVOID_MS_MIN, 'who evicted an instance does not take it back before its leader asks')
invariant(FORGIVE_MS >= AVOID_MS_MIN, 'a failure is not forgotten while its device is avoided')
/** Times that the child which already runs an instance is asked again before silence counts as a refusal. */
export const ASK_TRIES_CURRENT = 3
/** Times that a silent child is reminded of a placement before it counts as refused. */
export const REMINDERS_MAX = 3
/**
 * How long the leader believes its own authored record although the store does not show it. A guess, well above any
 * delay.
 */
export const AUTHORED_MS_MAX = 30_000
/** No pending instance is planned more often than this, however much news comes in: the fastest pace of summaries. */
export const RETRY_GAP_MS = 1_000

/** Versions of one service that a leader remembers: the newest, what it replaces, and two that still run somewhere. */
export const VERSIONS_MAX = 4
/** Starts of a job that may fail, on all devices together, before it has failed for good (Kubernetes' backoffLimit). */
export const JOB_ATTEMPTS_MAX = 6
/** Starts of a job that may fail on one device before another one is tried. A guess: so at least three have a go. */
export const JOB_STARTS_MAX = 2
invariant(JOB_STARTS_MAX < JOB_ATTEMPTS_MAX, 'a job that one device cannot run is tried on others')

/** Looks of a leader at a measured constraint that count: five minutes on `lan` (a look is a sweep). A guess. */
export const MEASUREMENTS_KEPT = 30

/** Children that an inventory keeps; what comes beyond is dropped and counted (a roster has at most 1,000 members). */
export const INVENTORY_CHILDREN_MAX = 1_024
/** Labels, slots and clusters that an aggregate names; beyond it says that it was cut. Keeps it below about 30 KB. */
export const AGGREGATE_LABELS_MAX = 256
export const AGGREGATE_SLOTS_MAX = 64
/** Operators that an aggregate names: those of a federation fit; a guess. */
export const AGGREGATE_OWNERS_MAX = 32
export const AGGREGATE_CLUSTERS_MAX = 64

export type PlacementPreset = 'lan' | 'wan' | 'metered'

export interface PlacementTiming {
  /** Pace of summaries and aggregates: at most one per min, at least one per max (DESIGN section 7). */
  readonly summaryMsMin: number
  readonly summaryMsMax: number
  readonly aggregateMsMin: number
  readonly aggregateMsMax: number
  /** A child domain that said nothing for this long is lost. */
  readonly silentMs: number
  /** How long a new leader listens before it acts on what it does not see. */
  readonly listenMs: number
  /** How long a node, and a domain, may take to answer an ask. */
  readonly askNodeMs: number
  readonly askDomainMs: number
  /** Back-off between attempts to place what found no place. */
  readonly retryMsMin: number
  readonly retryMsMax: number
  /** How long a node may take to report on a placement before it is reminded. */
  readonly confirmMs: number
  /** How long a domain keeps trying before it hands an instance back to its parent. */
  readonly handBackMs: number
  /** How often a leader compares everything, whether or not it heard of a change. */
  readonly sweepMs: number
}

/** All guesses, but for the relations asserted below and what DESIGN section 7 and 9 give. */
export const PLACEMENT_TIMING: Readonly<Record<PlacementPreset, PlacementTiming>> = {
  lan: {
    summaryMsMin: 1_000,
    summaryMsMax: 30_000,
    aggregateMsMin: 1_000,
    aggregateMsMax: 5_000,
    silentMs: 15_000,
    listenMs: 1_000,
    askNodeMs: 1_500,
    askDomainMs: 4_000,
    retryMsMin: 1_000,
    retryMsMax: 30_000,
    confirmMs: 4_000,
    handBackMs: 6_000,
    sweepMs: 10_000,
  },
  wan: {
    summaryMsMin: 2_000,
    summaryMsMax: 30_000,
    aggregateMsMin: 2_000,
    aggregateMsMax: 10_000,
    silentMs: 30_000,
    listenMs: 2_000,
    askNodeMs: 2_000,
    askDomainMs: 5_000,
    retryMsMin: 2_000,
    retryMsMax: 60_000,
    confirmMs: 8_000,
    handBackMs: 12_000,
    sweepMs: 20_000,
  },
  metered: {
    summaryMsMin: 10_000,
    summaryMsMax: 120_000,
    aggregateMsMin: 15_000,
    aggregateMsMax: 60_000,
    silentMs: 180_000,
    listenMs: 10_000,
    askNodeMs: 3_500,
    askDomainMs: 9_000,
    retryMsMin: 10_000,
    retryMsMax: 300_000,
    confirmMs: 30_000,
    handBackMs: 60_000,
    sweepMs: 60_000,
  },
}

for (const [name, timing] of Object.entries(PLACEMENT_TIMING)) {
  invariant(2 * timing.askNodeMs < timing.askDomainMs, `${name}: a domain asks two nodes before its parent gives up`)
  invariant(timing.askDomainMs < RESERVATION_MS, `${name}: an offer outlives the asking`)
  invariant(3 * timing.aggregateMsMax <= timing.silentMs, `${name}: three lost aggregates, not one, make a silence`)
  invariant(timing.handBackMs > timing.askDomainMs, `${name}: a domain asks all it has before it hands back`)
  invariant(timing.listenMs >= timing.summaryMsMin, `${name}: listening hears one summary of each child`)
}
