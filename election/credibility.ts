// Who may move an election. Electors are trusted to keep it going, other members are not: what they say counts where a
// proof or a ticket stands behind it, and what may be honest but costs an election is heard from each of them more and
// more rarely.

import type { ChildId, NodeId } from '../overlay/kernel/ids.ts'
import type { Millis } from '../overlay/kernel/time.ts'
import type { Announcement, ElectorMessage, Heartbeat } from './messages.ts'
import { compareTerms, electorIds } from './register.ts'
import type { ElectionState } from './state.ts'

/** How often one child made this elector begin an election that may have been needless. */
export interface Disturbance {
  readonly at: Millis
  /** For so long after that it is not listened to again. */
  readonly pauseMs: Millis
}

/** The longest pause; the first is an election timeout, and each is twice as long as the one before. A guess. */
export const DISTURBANCE_PAUSE_MS_MAX = 600_000
/** Who was quiet for so long begins anew. A guess: six of the longest pauses. */
export const DISTURBANCE_FORGOTTEN_MS = 6 * DISTURBANCE_PAUSE_MS_MAX
/** Children that are remembered as disturbers; at the limit the one remembered for longest is forgotten. */
export const DISTURBERS_MAX = 64
/**
 * How far above this elector's own an epoch and a term may be. A line draws a step below EPOCH_STEP_MAX (2^20) for each
 * lost quorum, and a term is an election: thousands of the first and a million of the second are more than a federation
 * lives to see. Without a bound one message would take a domain to the end of the numbers, and no leader could follow.
 */
export const EPOCH_AHEAD_MAX = 2 ** 32
export const TERM_AHEAD_MAX = 2 ** 20

/** The state that remembers the disturbance; null where the child disturbs again too soon. */
export function disturbedBy(state: ElectionState, child: ChildId | NodeId, now: Millis): ElectionState | null {
  const { disturbances, timing } = state
  const before = disturbances.get(child)
  const isForgotten = before === undefined || now - before.at >= DISTURBANCE_FORGOTTEN_MS
  if (!isForgotten && now - before.at < before.pauseMs) return null
  const pauseMs = isForgotten ? timing.electionTimeoutMsMin : Math.min(2 * before.pauseMs, DISTURBANCE_PAUSE_MS_MAX)
  const next = new Map(disturbances)
  next.delete(child)
  next.set(child, { at: now, pauseMs })
  const [oldest] = next.keys()
  if (next.size > DISTURBERS_MAX && oldest !== undefined) next.delete(oldest)
  return { ...state, disturbances: next }
}

/** Whether numbers are further ahead than any honest line can have come. */
export const isFarAhead = (
  { epoch, term }: { readonly epoch: number; readonly term: number },
  state: ElectionState,
): boolean => epoch > state.epoch + EPOCH_AHEAD_MAX || (state.register !== null && term > state.term + TERM_AHEAD_MAX)

/** Whether a message is from somebody who may say it: what an honest node would say to this one. */
export function isCredible(state: ElectionState, message: ElectorMessage): boolean {
  if (isFarAhead(message, state)) return false
  const isElectorHere = (child: ChildId): boolean => child === state.self || electorIds(state.register).includes(child)
  switch (message.kind) {
    // Who knows of no line has no vote to be talked out of; unheard, it would found a rival line beside a living one.
    case 'election/heartbeat':
      return state.register === null || isElectorHere(message.leader) || isAnnounced(state, message)
    // A candidate that this elector has not heard of yet holds its ticket, which only electors get to see.
    case 'election/vote-request':
      return isElectorHere(message.candidate) || message.ticket === state.ticket
    // Only electors are asked.
    case 'election/pre-vote-answer':
    case 'election/vote-refused':
      return isElectorHere(message.voter)
    // An answer to anybody is harmless, and tells who was replaced while it was away; what it asks is granted to
    // electors only.
    case 'election/pre-vote':
    case 'election/vote':
    case 'election/heartbeat-answer':
    case 'election/stand-now':
      return true
  }
}

/** Whether the votes of a leader's own announcement stand behind its heartbeat. */
const isAnnounced = ({ announced }: ElectionState, heartbeat: Heartbeat): boolean =>
  announced !== null && announced.leader === heartbeat.leader && compareTerms(announced, heartbeat) === 0

/** Those who voted for both of two leaders of one term: proof that they lie, signed by themselves. */
export const votedTwice = (
  ours: readonly Announcement['votes'][number][],
  theirs: readonly Announcement['votes'][number][],
): readonly ChildId[] =>
  ours.map(({ message }) => message.voter).filter((voter) => theirs.some(({ message }) => message.voter === voter))

/** Whether somebody else was elected in the very term that this elector is in. */
export const isTwinOf = (state: ElectionState, { line, epoch, term, leader }: Announcement): boolean =>
  state.register?.line === line && state.epoch === epoch && state.term === term && leader !== state.self
