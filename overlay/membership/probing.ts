// A watcher's attention to those it watches: any traffic counts as a sign of life, silence is probed, two lost probes
// or a closed connection are reported, and the next sign of life takes the report back.

import type { NodeId } from '../kernel/ids.ts'
import type { Millis } from '../kernel/time.ts'
import { PROBES_LOST_TO_REPORT, REPORT_REPEATS_MAX } from './constants.ts'
import { isReachable } from './judge.ts'
import type { Ack, SealedReport, WatcherReport } from './messages.ts'
import { isPresent, opinionOf, type RosterEntry, ringsOf } from './roster.ts'
import { become, type MembershipState, send, type Turn, type Watch } from './state.ts'
import { healthAfter, healthScore, probeDeadlineMs, smoothed } from './suspicion.ts'
import { hashText, watchedIn, watchersIn } from './watchers.ts'

/** Of `probeMs`: so much earlier is no waste, for what was heard last may be the answer to a probe at the last beat. */
const ANSWER_SHARE = 1 / 8

/** Watches whom the rings now say; who is new on the list gets an interval to connect before the first probe. */
export function refreshWatches(turn: Turn): void {
  const { table, self, watches, phase } = turn.state
  if (phase !== 'running') return
  const dead = [...table.gone].filter((node) => table.entries.get(node)?.state === 'dead')
  const rings = ringsOf(table)
  const watched = watchedIn(rings, dead, self).map((node): [NodeId, Watch] => {
    const watchers = watchersIn(rings, node)
    return [node, ranked(turn, watches.get(node) ?? freshWatch(turn), watchers.indexOf(self), watchers.length)]
  })
  become(turn, { watches: new Map(watched) })
}

/** Who takes another turn than before waits for that one, unless there is a doubt to settle. */
function ranked(turn: Turn, watch: Watch, rank: number, watchers: number): Watch {
  if (watch.rank === rank && watch.watchers === watchers) return watch
  const turnAt = turn.context.now + turn.state.timing.probeMs * (1 + rank)
  const isUrgent = watch.lostInARow > 0 || watch.isClosed || watch.isDoubted
  const nextProbeAt = isUrgent ? watch.nextProbeAt : Math.max(watch.nextProbeAt, turnAt)
  return { ...watch, rank, watchers, nextProbeAt }
}

/** Begins again with a member that is back. */
export function renewWatch(turn: Turn, node: NodeId): void {
  const before = turn.state.watches.get(node)
  if (before === undefined) return
  const { rank, watchers } = before
  setWatch(turn, node, { ...freshWatch(turn), rank, watchers })
}

/** Does what is due for everyone watched: judges overdue probes, sends the next. */
export function attend(turn: Turn): void {
  for (const node of [...turn.state.watches.keys()]) {
    const entry = turn.state.table.entries.get(node)
    if (entry === undefined || entry.state === 'left') {
      const watches = new Map(turn.state.watches)
      watches.delete(node)
      become(turn, { watches })
      continue
    }
    const { now } = turn.context
    const overdue = turn.state.watches.get(node)
    if (overdue?.probe && overdue.probe.deadline <= now) onProbeLost(turn, entry, overdue, overdue.probe)
    const watch = turn.state.watches.get(node)
    if (watch === undefined || watch.probe !== null || probeDueAt(turn.state, node, watch) > now) continue
    if (watch.isClosed) reportClosed(turn, entry, watch)
    else probe(turn, entry, watch)
  }
}

/**
 * Its watchers take turns: together they probe a member once per `probeMs`, as SWIM's members do (Das et al., DSN
 * 2002).
 */
const paceOf = ({ state }: Turn, { watchers }: Watch): Millis => state.timing.probeMs * watchers

/**
 * A quarter of a pace from a moment on at the earliest, at this node's own beat: so it wakes up once for all whom it
 * watches. The beats of a member's watchers lie as their ids have it. With half a pace a third fewer probes would be
 * said, and a silent member noticed half a second later (measured).
 */
function nextTurn(turn: Turn, subject: NodeId, watch: Watch, from: Millis): Millis {
  const paceMs = paceOf(turn, watch)
  const phaseMs = phaseOf(turn, subject, paceMs)
  return Math.ceil((from + paceMs / 4 - phaseMs) / paceMs) * paceMs + phaseMs
}

/** At a full interval (below). Of two that watch each other at the same one, the second follows an interval later. */
function phaseOf({ state }: Turn, subject: NodeId, paceMs: Millis): Millis {
  const { self, timing } = state
  const phase = (node: NodeId): Millis => fullInterval(hashText(node, 0) % paceMs, timing.probeTimeoutMs)
  return phase(self) === phase(subject) && self > subject ? phase(self) + timing.probeTimeoutMs : phase(self)
}

/**
 * When a watched member is to be probed next, or its closed connection reported: whoever is heard anyway is not probed,
 * unless there is a doubt to settle.
 */
export function probeDueAt(state: MembershipState, node: NodeId, watch: Watch): Millis {
  const { table, self, timing } = state
  const heardAt = table.heardAt.get(node)
  if (heardAt === undefined || watch.lostInARow > 0 || watch.isClosed || watch.isDoubted) return watch.nextProbeAt
  // All who heard it at the same moment look again one after the other.
  const quietAt = heardAt + timing.probeMs * (1 + watch.rank)
  const isDueFirst = quietAt <= watch.nextProbeAt + timing.probeMs * ANSWER_SHARE
  if (isDueFirst) return fullInterval(watch.nextProbeAt, timing.probeTimeoutMs)
  const entry = table.entries.get(node)
  const isReported = entry !== undefined && opinionOf(table, self, entry)?.verdict === 'unreachable'
  return isReported ? watch.nextProbeAt : fullInterval(quietAt, timing.probeTimeoutMs)
}

/** The next full interval of this node's clock: it wakes then for other reasons as well (overlay/io/wakes.ts). */
const fullInterval = (at: Millis, intervalMs: Millis): Millis => Math.ceil(at / intervalMs) * intervalMs

export function onProbe(turn: Turn, from: NodeId, nonce: number): void {
  send(turn, from, { kind: 'membership/ack', domain: turn.state.domain, nonce })
  onSignOfLife(turn, from, false)
  const watch = turn.state.watches.get(from)
  // What it wanted to know, this one knows now as well. A doubt wants an answer of its own.
  const isDoubtful = watch === undefined || watch.probe !== null || watch.lostInARow > 0 || watch.isDoubted
  if (!isDoubtful) setWatch(turn, from, { ...watch, nextProbeAt: nextTurn(turn, from, watch, turn.context.now) })
}

export function onAck(turn: Turn, from: NodeId, { nonce }: Ack): void {
  const watch = turn.state.watches.get(from)
  const { now } = turn.context
  const { health, timing } = turn.state
  if (watch?.probe?.nonce === nonce) {
    const roundTripMs = smoothed(watch.roundTripMs, now - watch.probe.sentAt)
    const rested = { ...watch, probe: null, missed: null, lostInARow: 0, isSlow: false, roundTripMs }
    setWatch(turn, from, { ...rested, nextProbeAt: nextTurn(turn, from, watch, now) })
    become(turn, { health: healthAfter(health, timing, now, -1) })
    onSignOfLife(turn, from, true)
    return
  }
  if (watch?.missed?.nonce === nonce) {
    const roundTripMs = smoothed(watch.roundTripMs, now - watch.missed.sentAt)
    setWatch(turn, from, { ...watch, missed: null, isSlow: true, roundTripMs })
  }
  onSignOfLife(turn, from, false)
}

/**
 * Another watcher calls somebody unreachable that this one watches too: it looks at once, and not when it is its turn.
 */
export function onDoubt(turn: Turn, subject: NodeId): void {
  const watch = turn.state.watches.get(subject)
  if (watch === undefined || watch.probe !== null || watch.isClosed) return
  setWatch(turn, subject, { ...watch, isDoubted: true, nextProbeAt: turn.context.now })
}

/** A connection to somebody watched closed: the other side's kernel speaks, sooner than any probe. Not said at once. */
export function onClosed(turn: Turn, peer: NodeId): void {
  const { table, self, watches, timing } = turn.state
  const entry = table.entries.get(peer)
  const watch = watches.get(peer)
  if (entry === undefined || watch === undefined || !isPresent(entry)) return
  const opinion = opinionOf(table, self, entry)
  const isClosed = opinion?.verdict !== 'unreachable' || opinion.cause !== 'connection-closed'
  const waitMs = isClosed ? timing.closedReportMs : timing.probeMs
  setWatch(turn, peer, { ...watch, probe: null, isClosed, nextProbeAt: turn.context.now + waitMs })
}

function reportClosed(turn: Turn, entry: RosterEntry, watch: Watch): void {
  const { timing } = turn.state
  setWatch(turn, entry.node, { ...watch, isClosed: false, nextProbeAt: turn.context.now + timing.probeMs })
  if (isPresent(entry)) authorReport(turn, entry, 'unreachable', 'connection-closed')
}

/** The peer itself was just on the line; takes back what this node said to the contrary. */
export function onSignOfLife(turn: Turn, peer: NodeId, isInTime: boolean): void {
  const { table, self, watches } = turn.state
  const entry = table.entries.get(peer)
  if (entry === undefined || peer === self) return
  table.heardAt.set(peer, turn.context.now)
  const watch = watches.get(peer)
  if (watch?.isClosed === true) setWatch(turn, peer, { ...watch, isClosed: false })
  const opinion = opinionOf(table, self, entry)
  if (opinion?.verdict === 'unreachable') {
    // That it answers late was the complaint; another late answer does not remove it.
    if (opinion.cause === 'probe-slow' && !isInTime) return
    authorReport(turn, entry, 'reachable', opinion.cause)
    return
  }
  const isBack = entry.state === 'dead' && watches.has(peer) && opinion === null
  if (isBack) authorReport(turn, entry, 'reachable', 'probe-lost')
}

/** Hands a report to the subject, which may refute it, and to the other watchers, whose word is needed besides. */
export function shareReport(turn: Turn, report: SealedReport): void {
  const { domain, table, self } = turn.state
  const { subject } = report.message
  const watchers = watchersIn(ringsOf(table), subject)
  const others = watchers.filter((node) => node !== self && isReachable(turn.state, node, turn.context.now))
  for (const to of [subject, ...others]) {
    send(turn, to, { kind: 'membership/entries', domain, members: [], reports: [report] })
  }
}

function onProbeLost(turn: Turn, entry: RosterEntry, watch: Watch, lost: NonNullable<Watch['probe']>): void {
  const { table, timing, self, health } = turn.state
  const { now } = turn.context
  const isReported = opinionOf(table, self, entry)?.verdict === 'unreachable'
  const heardAt = table.heardAt.get(entry.node)
  if (!isReported && heardAt !== undefined && heardAt >= lost.sentAt) {
    setWatch(turn, entry.node, {
      ...watch,
      probe: null,
      lostInARow: 0,
      nextProbeAt: nextTurn(turn, entry.node, watch, heardAt),
    })
    return
  }
  const lostInARow = watch.lostInARow + 1
  const isSettled = isReported || lostInARow >= PROBES_LOST_TO_REPORT
  const paceMs = isPresent(entry) ? timing.probeMs : timing.syncMs
  const missed = { nonce: lost.nonce, sentAt: lost.sentAt }
  setWatch(turn, entry.node, { ...watch, probe: null, missed, lostInARow, nextProbeAt: isSettled ? now + paceMs : now })
  if (isReported) return
  if (isPresent(entry)) become(turn, { health: healthAfter(health, timing, now, 1) })
  if (isSettled) authorReport(turn, entry, 'unreachable', watch.isSlow ? 'probe-slow' : 'probe-lost')
}

function probe(turn: Turn, entry: RosterEntry, watch: Watch): void {
  const { table, timing, self, health, nonce, domain } = turn.state
  const { now } = turn.context
  const report = table.reports.get(entry.node)?.get(self)
  const isReported = report !== undefined && opinionOf(table, self, entry)?.verdict === 'unreachable'
  const deadline = now + probeDeadlineMs(timing, watch.roundTripMs, healthScore(health, timing, now))
  const repeats = isReported ? watch.repeats + 1 : 0
  setWatch(turn, entry.node, { ...watch, probe: { nonce, sentAt: now, deadline }, repeats, isDoubted: false })
  become(turn, { nonce: nonce + 1 })
  send(turn, entry.node, { kind: 'membership/probe', domain, nonce })
  if (!isReported) return
  // Lifeguard's buddy system: the suspect is told with each probe, since only it can refute.
  if (repeats <= REPORT_REPEATS_MAX) shareReport(turn, report)
  else send(turn, entry.node, { kind: 'membership/entries', domain, members: [], reports: [report] })
}

function authorReport(
  turn: Turn,
  { node: subject, incarnation }: RosterEntry,
  verdict: WatcherReport['verdict'],
  cause: WatcherReport['cause'],
): void {
  const { domain, sequence } = turn.state
  become(turn, { sequence: sequence + 1 })
  turn.effects.push({
    kind: 'author',
    message: { kind: 'membership/report', domain, subject, incarnation, verdict, cause, sequence },
  })
}

function freshWatch(turn: Turn): Watch {
  const { now, random } = turn.context
  const nextProbeAt = now + Math.round(turn.state.timing.probeMs * (1 + random.next()))
  return {
    nextProbeAt,
    probe: null,
    missed: null,
    lostInARow: 0,
    isClosed: false,
    isDoubted: false,
    isSlow: false,
    roundTripMs: null,
    repeats: 0,
    rank: 0,
    watchers: 1,
  }
}

function setWatch(turn: Turn, node: NodeId, watch: Watch): void {
  become(turn, { watches: new Map(turn.state.watches).set(node, watch) })
}
