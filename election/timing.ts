// How long silence has to last before it means something, from what was measured of the network. The place (the preset)
// gives the pace of the heartbeats and the shortest wait; round trips and losses stretch the wait, and nothing shrinks
// it. After Dynatune (Shiozaki and Nakamura, "Dynatune: Dynamic Tuning of Raft Election Parameters Using Network
// Measurement", IPDPSW 2025), which also tunes the heartbeat: here one of two is left out where all is well.

import { invariant } from '../overlay/kernel/assert.ts'
import type { Millis } from '../overlay/kernel/time.ts'
import { ELECTION_TIMINGS, type ElectionTiming, LEASE_SHARE, STRETCH_MAX } from './constants.ts'

/** The leader measures it by the echo of its heartbeats, and tells each follower its own. */
export interface RoundTrip {
  readonly meanMs: Millis
  readonly deviationMs: Millis
}

/** What an elector knows of the way between itself and its leader. */
export interface Pace {
  readonly roundTrip: RoundTrip | null
  /** Share of heartbeats that did not arrive, 0 to 1: of the present leader as soon as enough are counted. */
  readonly loss: number
  /** The first heartbeat of this leader that was counted, by its sequence number; null before one was. */
  readonly countedFrom: number | null
  /** The sequence numbers that arrived, newest last, as far back as the window goes. */
  readonly arrived: readonly number[]
}

/** What the answers of a child say of the way to it and back. */
export interface Answers {
  readonly roundTrip: RoundTrip | null
  /** As it was before the answers that came with the last one. */
  readonly roundTripBefore: RoundTrip | null
  /** When the last one came. */
  readonly answeredAt: Millis
}

export const UNANSWERED: Answers = {
  roundTrip: null,
  roundTripBefore: null,
  answeredAt: Number.NEGATIVE_INFINITY,
}

export const UNMEASURED: Pace = { roundTrip: null, loss: 0, countedFrom: null, arrived: [] }

/** The share of waits in which no heartbeat arrives and is answered. A guess. */
const MISSED_SHARE = 0.001
/** Deviations above the mean that a round trip is given: RFC 6298, section 2. */
const DEVIATIONS = 4
/** Weights of a new sample in the mean and in the deviation: RFC 6298, section 2. */
const MEAN_WEIGHT = 1 / 8
const DEVIATION_WEIGHT = 1 / 4
/** Heartbeats that losses are counted over: at a loss of 5 % the count is good to 3 points. A guess. */
const WINDOW_BEATS = 64
/** Answers that are not as far from each other as this share of an interval were held up together. A guess. */
const TOGETHER_SHARE = 1 / 2
/** Before so many of a new leader are due, what was measured before it counts. A guess. */
const COUNTED_MIN = 16
/** The share of an interval that a round trip takes at most where answers are spared. A guess. */
const QUICK_SHARE = 1 / 10
/** So many missing in a row are an outage and not loss; by chance that is one in 65,536 where half get lost. */
const OUTAGE_BEATS = 16

/** Mean and mean deviation with a new sample (RFC 6298, section 2). */
export function withSample(before: RoundTrip | null, sampleMs: Millis): RoundTrip {
  if (before === null) return { meanMs: sampleMs, deviationMs: sampleMs / 2 }
  const { meanMs, deviationMs } = before
  return {
    meanMs: meanMs + (sampleMs - meanMs) * MEAN_WEIGHT,
    deviationMs: deviationMs + (Math.abs(sampleMs - meanMs) - deviationMs) * DEVIATION_WEIGHT,
  }
}

/**
 * Counts an answer that came `sampleMs` after the heartbeat left. A child that stood still answers all that piled up at
 * once, and the first of these answers would pass for a way of seconds: it would promise to wait as long as that, and
 * two such among five hold up the next election. Answers that come together count as the last of them.
 */
export function withAnswer(before: Answers, sampleMs: Millis, now: Millis, heartbeatMs: Millis): Answers {
  const isTogether = now - before.answeredAt < heartbeatMs * TOGETHER_SHARE
  const roundTripBefore = isTogether ? before.roundTripBefore : before.roundTrip
  return { roundTrip: withSample(roundTripBefore, sampleMs), roundTripBefore, answeredAt: now }
}

/** Another leader counts from its own beginning; what was measured stays until it is measured anew. */
export const recounted = (pace: Pace): Pace => ({ ...pace, countedFrom: null, arrived: [] })

/** Counts a heartbeat that arrived. Doubles and late ones are counted once, and where they belong. */
export function withHeartbeat(pace: Pace, sequence: number, roundTrip: RoundTrip | null): Pace {
  const told = { ...pace, roundTrip: roundTrip ?? pace.roundTrip }
  const newest = pace.arrived.at(-1)
  if (pace.arrived.includes(sequence)) return told
  const isOutage = newest === undefined || pace.countedFrom === null || sequence - newest > OUTAGE_BEATS
  if (isOutage) return { ...told, countedFrom: sequence, arrived: [sequence] }
  const last = Math.max(newest, sequence)
  const arrived = pace.arrived.filter((one) => one > last - WINDOW_BEATS)
  if (sequence > last - WINDOW_BEATS) arrived.push(sequence)
  if (sequence < newest) arrived.sort((a, b) => a - b)
  const counted = Math.min(WINDOW_BEATS, last - pace.countedFrom + 1)
  const came = arrived.filter((one) => one >= last - counted + 1).length
  return { ...told, arrived, loss: counted < COUNTED_MIN ? pace.loss : 1 - came / counted }
}

/**
 * The shortest silence after which an elector may stand, and for which it promises to help nobody else. Within it a
 * heartbeat arrives and is answered with a probability of at least 1 - MISSED_SHARE: K of them with loss^K that small
 * are due, and the last one has a round trip's time. Answers are taken to get lost as often as heartbeats.
 */
export function shortestTimeoutMs(timing: ElectionTiming, { roundTrip, loss }: Pace): Millis {
  const lossBothWays = 1 - (1 - loss) ** 2
  const neededMs = beatsFor(lossBothWays) * timing.heartbeatMs + roundTripMsMost(roundTrip)
  const { electionTimeoutMsMin } = timing
  return Math.min(Math.max(electionTimeoutMsMin, neededMs), stretchedMsMax(timing))
}

/**
 * The longest that the shortest timeout becomes. An elector must have asked around before it may take the quorum for
 * lost; on `metered`, where that is after little more than a timeout, nothing is stretched.
 */
export const stretchedMsMax = ({ electionTimeoutMsMin, quorumLossMs }: ElectionTiming): Millis =>
  Math.max(electionTimeoutMsMin, Math.min(STRETCH_MAX * electionTimeoutMsMin, quorumLossMs.cluster / 2))

/** Whether answers come so soon, and so evenly, that the next one may be waited for. */
export const isQuick = ({ heartbeatMs }: ElectionTiming, roundTrip: RoundTrip | null): boolean =>
  roundTrip !== null && roundTripMsMost(roundTrip) <= heartbeatMs * QUICK_SHARE

/** Whether all of so many heartbeats arrived that a loss of one in twenty would have shown. */
export const isWhole = ({ loss, arrived }: Pace): boolean => loss === 0 && arrived.length >= WINDOW_BEATS

/** Whether so many heartbeats in a row were answered that a loss of one in twenty would have shown. */
export const isCalm = (beatsInARow: number): boolean => beatsInARow >= WINDOW_BEATS

/** How many heartbeats are due until all of them were lost in no more than MISSED_SHARE of all cases. */
function beatsFor(loss: number): number {
  if (loss <= MISSED_SHARE) return 1
  return loss < 1 ? Math.ceil(Math.log(MISSED_SHARE) / Math.log(loss)) : Number.POSITIVE_INFINITY
}

/** A round trip as long as it is likely to get. */
export const roundTripMsMost = (roundTrip: RoundTrip | null): Millis =>
  roundTrip === null ? 0 : roundTrip.meanMs + DEVIATIONS * roundTrip.deviationMs

/** How long a leader may count on an elector, from the moment at which it sent what the elector answered. */
export const leaseOf = (promiseMs: Millis): Millis => promiseMs * LEASE_SHARE

// With nothing measured, and with little lost, the preset stands: three heartbeats are enough for one in thirty.
for (const timing of Object.values(ELECTION_TIMINGS)) {
  const calm: Pace = { ...UNMEASURED, loss: 1 / 30, roundTrip: { meanMs: timing.heartbeatMs / 2, deviationMs: 0 } }
  const drawnMsMax = (stretchedMsMax(timing) * timing.electionTimeoutMsMax) / timing.electionTimeoutMsMin
  invariant(drawnMsMax < timing.quorumLossMs.cluster, 'an elector asks around before it takes the quorum for lost')
  invariant(shortestTimeoutMs(timing, UNMEASURED) === timing.electionTimeoutMsMin, 'nothing measured, nothing changed')
  invariant(shortestTimeoutMs(timing, calm) === timing.electionTimeoutMsMin, 'a calm network keeps to the preset')
}
