// From reports to conclusions. Whether somebody is suspect or dead is a pure reading of the reports on it, of who may
// be reached to disagree, and of the time since the doubt arose; it depends on nobody else's being suspect, so no
// order matters.

import type { NodeId } from '../kernel/ids.ts'
import { earliest, type Millis } from '../kernel/time.ts'
import { isPresent, opinionOf, type RosterEntry, ringsOf } from './roster.ts'
import { type MembershipState, move, type Turn } from './state.ts'
import { type Bench, isMajority, suspicionMs } from './suspicion.ts'
import { watchersIn } from './watchers.ts'

/** Draws the conclusion on one member. */
export function judge(turn: Turn, subject: NodeId): void {
  const { table, self, timing } = turn.state
  const entry = table.entries.get(subject)
  if (entry === undefined || entry.state === 'left' || subject === self) return
  // Nobody said anything of most members, and each statement of each comes by here.
  if (entry.state === 'alive' && !table.reports.has(subject)) return
  const { now } = turn.context
  const { bench, lapsesAt } = benchOf(turn.state, entry, now)
  if (bench.witnesses === 0) {
    table.suspicions.delete(subject)
    if (entry.state === 'suspect') move(turn, entry, 'alive', 'no watcher says otherwise')
    // The dead are believed to be back only on somebody's word: watchers that fell silent are no defence.
    if (entry.state === 'dead' && bench.defenders > 0) move(turn, entry, 'alive', 'its watchers reach it again')
    return
  }
  if (entry.state === 'dead') return
  const since = table.suspicions.get(subject)?.since ?? now
  const deadAt = isMajority(bench.witnesses, bench.reachable) ? since + suspicionMs(timing, bench) : null
  if (deadAt !== null && deadAt <= now) {
    table.suspicions.delete(subject)
    move(turn, entry, 'dead', whyOf(bench))
    return
  }
  table.suspicions.set(subject, { since, checkAt: deadAt ?? lapsesAt })
  if (entry.state === 'alive') move(turn, entry, 'suspect', whyOf(bench))
}

/** Judges everyone of whom there are reports: after somebody came or went, other watchers count. */
export function judgeAll(turn: Turn): void {
  for (const subject of [...turn.state.table.reports.keys()]) judge(turn, subject)
}

/**
 * Whether a watcher could speak up: it is this node, or present, heard lately, and not itself reported by this node.
 */
export function isReachable(state: MembershipState, watcher: NodeId, now: Millis): boolean {
  const { table, self, timing } = state
  if (watcher === self) return true
  const entry = table.entries.get(watcher)
  if (entry === undefined || !isPresent(entry)) return false
  const heardAt = table.heardAt.get(watcher)
  if (heardAt === undefined || now >= heardAt + timing.hearingMs) return false
  return opinionOf(table, self, entry)?.verdict !== 'unreachable'
}

/** The watchers' opinions, and when the next of the reachable ones falls silent for too long to count. */
export function benchOf(
  state: MembershipState,
  subject: RosterEntry,
  now: Millis,
): { readonly bench: Bench; readonly lapsesAt: Millis | null } {
  const { table, self, timing } = state
  let lapsesAt: Millis | null = null
  let [reachable, witnesses, closed, defenders] = [0, 0, 0, 0]
  for (const watcher of watchersIn(ringsOf(table), subject.node)) {
    if (!isReachable(state, watcher, now)) continue
    reachable += 1
    if (watcher !== self) lapsesAt = earliest(lapsesAt, (table.heardAt.get(watcher) ?? now) + timing.hearingMs)
    const opinion = opinionOf(table, watcher, subject)
    if (opinion?.verdict === 'reachable') defenders += 1
    if (opinion?.verdict !== 'unreachable') continue
    witnesses += 1
    if (opinion.cause === 'connection-closed') closed += 1
  }
  return { bench: { reachable, witnesses, closed, defenders }, lapsesAt }
}

const whyOf = ({ witnesses, reachable, closed }: Bench): string =>
  `${witnesses} of ${reachable} watchers cannot reach it${closed > 0 ? `, ${closed} saw its connection close` : ''}`
