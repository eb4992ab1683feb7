// The arithmetic of doubt, after Lifeguard (Dadgar, Phillips, Currey: "Lifeguard: Local Health Awareness for More
// Accurate Failure Detection", DSN-W 2018): how long to wait for contradiction, and how far to trust one's
// own impatience.

import type { Millis } from '../kernel/time.ts'
import {
  HEALTH_SCORE_MAX,
  type MembershipTiming,
  PROBE_ROUND_TRIPS,
  PROBE_STRETCH_MAX,
  type SuspicionSpan,
} from './constants.ts'

/** How many of the watchers that could speak say what. */
export interface Bench {
  /** Watchers that could disagree: heard lately, or this node. */
  readonly reachable: number
  /** Of these, who says `unreachable` of the subject's present incarnation. */
  readonly witnesses: number
  /** Of the witnesses, who saw the connection close. */
  readonly closed: number
  /** Of the reachable, who took such a report back. */
  readonly defenders: number
}

export const isMajority = (some: number, all: number): boolean => some * 2 > all

/**
 * How long a suspicion lasts before it is a death, in ms from the first report (LHA-Suspicion):
 * `max - (max - min) * log(C + 1) / log(K + 1)`, with C witnesses besides the first and K of them possible.
 * Where nobody could confirm (K = 0) it is `max`: memberlist takes `min`, but a lone witness is the likeliest to be
 * wrong.
 */
export function suspicionMs(timing: MembershipTiming, bench: Bench): number {
  const span: SuspicionSpan = isMajority(bench.closed, bench.reachable) ? timing.closed : timing.silent
  const possible = bench.reachable - 1
  if (possible <= 0) return span.msMax
  const confirmed = Math.min(Math.max(bench.witnesses - 1, 0), possible)
  return Math.round(span.msMax - ((span.msMax - span.msMin) * Math.log(confirmed + 1)) / Math.log(possible + 1))
}

/**
 * Lifeguard's score of one's own slowness: 0 is healthy. It decays by 1 per probe interval, so that it needs no
 * timer.
 */
export interface Health {
  readonly score: number
  readonly at: Millis
}

export const healthScore = (health: Health, timing: MembershipTiming, now: Millis): number =>
  Math.max(0, health.score - Math.floor(Math.max(0, now - health.at) / timing.probeMs))

/** The health after `by` signs of slowness (LHA-Probe: a lost probe, a refutation) or, negative, of quickness. */
export function healthAfter(health: Health, timing: MembershipTiming, now: Millis, by: number): Health {
  const score = healthScore(health, timing, now) + by
  return { score: Math.min(HEALTH_SCORE_MAX, Math.max(0, score)), at: now }
}

/**
 * How many signs of slowness a delay of this node's own event loop is: one per started probe timeout, none below a
 * quarter.
 */
export const signsOfDelay = (delayMs: number, timing: MembershipTiming): number =>
  delayMs * 4 < timing.probeTimeoutMs ? 0 : Math.ceil(delayMs / timing.probeTimeoutMs)

/**
 * How long a probe may take in ms: a few round trips of that path within bounds, times 1 + the score of one's own
 * slowness (LHA-Probe). `roundTripMs` is null until one was measured.
 */
export function probeDeadlineMs(timing: MembershipTiming, roundTripMs: number | null, score: number): number {
  const stretched = (roundTripMs ?? 0) * PROBE_ROUND_TRIPS
  const base = Math.min(Math.max(stretched, timing.probeTimeoutMs), timing.probeTimeoutMs * PROBE_STRETCH_MAX)
  return Math.round(base * (1 + score))
}

/** A smoothed round-trip time, each measurement an eighth (RFC 6298). */
export const smoothed = (previousMs: number | null, measuredMs: number): number =>
  previousMs === null ? measuredMs : previousMs + (measuredMs - previousMs) / 8
