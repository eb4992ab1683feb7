// The roster of one cluster as a machine: everyone says what it is, a few others watch it, and each node concludes
// from the watchers' reports who is here. DESIGN section 5; after SWIM, Lifeguard and Rapid (README.md tells what is
// taken from which).

import { unreachable } from '../kernel/assert.ts'
import type { DomainPath, NodeId } from '../kernel/ids.ts'
import type { StepContext, Transition } from '../kernel/machine.ts'
import { pick } from '../kernel/random.ts'
import { earlier, earliest, type Millis } from '../kernel/time.ts'
import type { Opened } from '../wire/envelope.ts'
import {
  GONE_KEPT_MS,
  MEMBERSHIP_TIMING,
  type MembershipPreset,
  NAME_CHARS_MAX,
  READING_SHARE,
  REFUTE_GAP_MS_MIN,
} from './constants.ts'
import { isAuthentic, onEntries, onHeard, onReportHeard, onStatementHeard } from './intake.ts'
import { judge, judgeAll } from './judge.ts'
import type { MembershipMessage, SealedStatement } from './messages.ts'
import { attend, onAck, onClosed, onProbe, onSignOfLife, probeDueAt, refreshWatches } from './probing.ts'
import {
  admitStatement,
  countRefused,
  createTable,
  forget,
  isPresent,
  presentNodes,
  type RosterView,
  ringsOf,
} from './roster.ts'
import { newsDueAt, onLeave, onSelfChanged, raise, sayOwn, sayWhatIsDue } from './self.ts'
import {
  announce,
  become,
  type MembershipEffect,
  type MembershipInput,
  type MembershipState,
  persistStatement,
  type Turn,
} from './state.ts'
import { healthAfter, signsOfDelay } from './suspicion.ts'
import { handOn, hurrySync, onDigest, sendDetails, sendHash } from './sync.ts'
import { watchersIn } from './watchers.ts'

export interface MembershipOptions {
  readonly self: NodeId
  readonly domain: DomainPath
  readonly name: string
  /** Already raised above that of the last start, and on the disk. */
  readonly incarnation: number
  readonly canLead: boolean
  readonly isRelay: boolean
  readonly preset: MembershipPreset
  /** The statements found on the disk, opened and checked again. */
  readonly known: readonly SealedStatement[]
}

/** Reports of one start are numbered from here on, so that a report after a restart is later than any before it. */
const SEQUENCES_PER_INCARNATION = 2 ** 20

export function createMembership(options: MembershipOptions): MembershipState {
  const { self, domain, name, incarnation, canLead, isRelay, preset, known } = options
  return {
    self,
    domain,
    canLead,
    isRelay,
    known,
    timing: MEMBERSHIP_TIMING[preset],
    phase: 'new',
    own: { incarnation, version: 0, state: 'alive', name: name.slice(0, NAME_CHARS_MAX), addresses: [], fitness: 0 },
    isRaising: false,
    newsGapMs: null,
    saidAt: null,
    refute: null,
    refutedAt: null,
    refuteGapMs: REFUTE_GAP_MS_MIN,
    health: { score: 0, at: 0 },
    doubtedAt: 0,
    sequence: incarnation * SEQUENCES_PER_INCARNATION,
    nonce: 0,
    syncAt: null,
    handOnAt: null,
    forgetAt: null,
    connected: new Set(),
    watches: new Map(),
    partners: [],
    table: createTable(),
    dueAt: null,
    settled: null,
  }
}

export function step(
  state: MembershipState,
  input: MembershipInput,
  context: StepContext,
): Transition<MembershipState, MembershipEffect> {
  const turn: Turn = { state, effects: [], context }
  doubtSelfFirst(turn)
  take(turn, input)
  settle(turn)
  if (turn.state === state && isOfNoMoment(state, input)) return { state, effects: turn.effects }
  const dueAt = nextDueAt(turn.state)
  if (dueAt !== turn.state.dueAt) become(turn, { dueAt })
  return { state: turn.state, effects: turn.effects }
}

/** A sign of life of somebody whom this node does not watch moves no deadline, unless there are doubts to judge. */
const isOfNoMoment = ({ watches, table }: MembershipState, input: MembershipInput): boolean =>
  input.kind === 'heard' && !watches.has(input.peer) && table.suspicions.size === 0

function take(turn: Turn, input: MembershipInput): void {
  switch (input.kind) {
    case 'start':
      onStart(turn)
      break
    case 'message':
      onMessage(turn, input.opened)
      break
    case 'connected':
      onConnected(turn, input.peer)
      break
    case 'disconnected':
      onDisconnected(turn, input.peer)
      break
    case 'heard':
      onHeard(turn, input.peer)
      break
    case 'self-changed':
      onSelfChanged(turn, input)
      break
    case 'self-health':
      onSelfHealth(turn, input.delayMs)
      break
    case 'removed':
      onRemoved(turn, input.node)
      break
    case 'readmitted':
      // What it says next counts again, in whichever life it is.
      turn.state.table.forgotten.delete(input.node)
      break
    case 'leave':
      onLeave(turn)
      break
    case 'wake':
      onWake(turn)
      break
    default:
      unreachable(input)
  }
}

/** When the machine next has something to do by itself; null before `start` and after `leave`. */
export const wakeAt = (state: MembershipState): Millis | null => state.dueAt

/** Counted once in each step: it is asked for several times after every message. */
function nextDueAt(state: MembershipState): Millis | null {
  if (state.phase !== 'running') return null
  let at = earlier(earlier(state.syncAt, state.forgetAt), earlier(state.refute?.at ?? null, newsDueAt(state)))
  at = earlier(at, state.handOnAt)
  for (const [node, watch] of state.watches) at = earlier(at, watch.probe?.deadline ?? probeDueAt(state, node, watch))
  for (const suspicion of state.table.suspicions.values()) at = earlier(at, suspicion.checkAt)
  return at
}

/** The roster as everyone else may see it; the same object for the life of the machine. */
export const rosterOf = (state: MembershipState): RosterView => state.table.entries

/** The members present whom this node watches or who watch it; the same list as long as it says the same. */
export const watchPartnersOf = (state: MembershipState): readonly NodeId[] => state.partners

function partnersIn({ table, watches, self }: MembershipState): readonly NodeId[] {
  const isHere = (node: NodeId): boolean => {
    const entry = table.entries.get(node)
    return entry !== undefined && isPresent(entry)
  }
  return [...[...watches.keys()].filter(isHere), ...watchersIn(ringsOf(table), self)]
}

/** What was dropped so far, counted by reason. */
export const refusalsOf = (state: MembershipState): ReadonlyMap<string, number> => state.table.refused

function onStart(turn: Turn): void {
  if (turn.state.phase !== 'new') return
  const { self, timing, known, domain, table } = turn.state
  const { now, random } = turn.context
  let former = -1
  for (const opened of known) {
    if (opened.message.node === self) former = opened.message.incarnation
    else if (isAuthentic(turn, opened) && opened.message.domain === domain) {
      const admission = admitStatement(table, opened, now, self)
      if (admission.kind === 'admitted') announce(turn, admission.entry, null, 'known from the disk')
    }
  }
  become(turn, { phase: 'running', known: [], doubtedAt: now, syncAt: now + Math.round(timing.syncMs * random.next()) })
  // A folder put back from a copy may hold a lower incarnation beside a statement that was already made.
  if (former >= turn.state.own.incarnation) raise(turn, former)
  else sayOwn(turn)
  for (const peer of turn.state.connected) greet(turn, peer)
}

function onMessage(turn: Turn, opened: Opened<MembershipMessage>): void {
  const { message, from } = opened
  onHeard(turn, from)
  if (!isAuthentic(turn, opened)) {
    countRefused(turn.state.table, 'not-authentic')
    return
  }
  switch (message.kind) {
    case 'membership/member':
      onStatementHeard(turn, { ...opened, message })
      break
    case 'membership/report':
      onReportHeard(turn, { ...opened, message })
      break
    case 'membership/probe':
      onProbe(turn, from, message.nonce)
      break
    case 'membership/ack':
      onAck(turn, from, message)
      break
    case 'membership/digest':
      onSignOfLife(turn, from, false)
      onDigest(turn, from, message)
      break
    case 'membership/entries':
      onSignOfLife(turn, from, false)
      onEntries(turn, from, message)
      break
    default:
      unreachable(message)
  }
}

function onConnected(turn: Turn, peer: NodeId): void {
  const { connected, table, phase } = turn.state
  become(turn, { connected: new Set(connected).add(peer) })
  if (phase !== 'running') return
  onSignOfLife(turn, peer, false)
  judgeAll(turn)
  const entry = table.entries.get(peer)
  // Who is in doubt here is told so at once, in detail, and can refute.
  if (entry !== undefined && entry.state !== 'alive') sendDetails(turn, peer)
  else greet(turn, peer)
}

/** One greeting per connection is enough, and the lower id makes it: two at once would fetch everything twice. */
function greet(turn: Turn, peer: NodeId): void {
  if (turn.state.self < peer) sendHash(turn, peer)
}

function onDisconnected(turn: Turn, peer: NodeId): void {
  const connected = new Set(turn.state.connected)
  connected.delete(peer)
  become(turn, { connected })
  turn.state.table.heardAt.delete(peer)
  if (turn.state.phase !== 'running') return
  onClosed(turn, peer)
  judgeAll(turn)
  // Whoever does not watch the peer asks soon what its watchers think, should their reports not get here.
  hurrySync(turn, 2 * turn.state.timing.probeMs)
}

function onSelfHealth(turn: Turn, delayMs: number): void {
  const { health, timing } = turn.state
  const signs = signsOfDelay(delayMs, timing)
  if (signs > 0) become(turn, { health: healthAfter(health, timing, turn.context.now, signs) })
}

function onRemoved(turn: Turn, node: NodeId): void {
  const { table, self, domain } = turn.state
  const entry = table.entries.get(node)
  if (node === self) return
  forget(table, node, Number.MAX_SAFE_INTEGER)
  if (entry === undefined) return
  persistStatement(turn, node, null)
  turn.effects.push({ kind: 'roster-changed', node, from: entry.state, to: null })
  const fields = { node, name: entry.name }
  turn.effects.push({ kind: 'emit', event: { name: 'node-removed', level: 'warn', domain, fields } })
}

function onWake(turn: Turn): void {
  const { now } = turn.context
  if (turn.state.phase !== 'running') return
  attend(turn)
  for (const [subject, { checkAt }] of [...turn.state.table.suspicions]) {
    if (checkAt !== null && checkAt <= now) judge(turn, subject)
  }
  sayWhatIsDue(turn)
  handOn(turn)
  const { syncAt, forgetAt } = turn.state
  if (forgetAt !== null && forgetAt <= now) forgetTheGone(turn)
  if (syncAt === null || syncAt > now) return
  become(turn, { syncAt: now + syncPaceMs(turn.state) })
  const partner = syncPartner(turn)
  if (partner !== undefined) sendHash(turn, partner)
}

/** While somebody is in doubt the reports have to get round: a missing one is fetched within two probe intervals. */
const syncPaceMs = ({ table, timing }: MembershipState): number =>
  table.suspicions.size > 0 ? Math.min(2 * timing.probeMs, timing.syncMs) : timing.syncMs

/** A random connected member; where none is connected, any: sending to it makes the network try. */
function syncPartner(turn: Turn): NodeId | undefined {
  const { table, self, connected } = turn.state
  const others = presentNodes(table.entries).filter((node) => node !== self)
  const near = others.filter((node) => connected.has(node))
  return pick(turn.context.random, near.length > 0 ? near : others)
}

function forgetTheGone(turn: Turn): void {
  const { table, self, domain } = turn.state
  for (const entry of [...table.entries.values()]) {
    if (isPresent(entry) || entry.node === self || entry.since + GONE_KEPT_MS > turn.context.now) continue
    forget(table, entry.node, entry.incarnation)
    persistStatement(turn, entry.node, null)
    turn.effects.push({ kind: 'roster-changed', node: entry.node, from: entry.state, to: null })
    const fields = { node: entry.node, name: entry.name }
    turn.effects.push({ kind: 'emit', event: { name: 'node-forgotten', level: 'info', domain, fields } })
  }
}

/**
 * A step that comes late means that this node slept: the time it slept is nobody else's silence. Every deadline moves
 * by as much, and nobody is judged in this very step: what waits in the sockets is read first (Lifeguard's motive,
 * applied to the clock).
 */
function doubtSelfFirst(turn: Turn): void {
  const { timing, doubtedAt, watches, table, health } = turn.state
  const { now } = turn.context
  const dueAt = wakeAt(turn.state)
  if (dueAt === null) return
  const lateMs = now - Math.max(dueAt, doubtedAt)
  if (lateMs * 2 < timing.probeTimeoutMs) return
  const readAt = now + timing.probeTimeoutMs * READING_SHARE
  const shiftOf = (deadline: Millis): Millis => Math.max(lateMs, readAt - deadline)
  const moved = new Map(watches)
  for (const [node, watch] of watches) {
    const { probe, nextProbeAt } = watch
    const later = probe === null ? null : { ...probe, deadline: probe.deadline + shiftOf(probe.deadline) }
    moved.set(node, { ...watch, probe: later, nextProbeAt: nextProbeAt + lateMs })
  }
  for (const [node, { since, checkAt }] of table.suspicions) {
    const byMs = checkAt === null ? lateMs : shiftOf(checkAt)
    table.suspicions.set(node, { since: since + byMs, checkAt: checkAt === null ? null : checkAt + byMs })
  }
  const score = healthAfter(health, timing, now, signsOfDelay(lateMs, timing))
  become(turn, { watches: moved, health: score, doubtedAt: now })
}

/** Draws the consequences of a coming or going: other rings, other duties, other watchers whose word counts. */
function settle(turn: Turn): void {
  while (turn.state.settled !== turn.state.table.moves) {
    const { table, self } = turn.state
    become(turn, { settled: table.moves })
    refreshWatches(turn)
    judgeAll(turn)
    let forgetAt: Millis | null = null
    for (const node of table.gone) {
      const since = table.entries.get(node)?.since
      if (since !== undefined && node !== self) forgetAt = earliest(forgetAt, since + GONE_KEPT_MS)
    }
    become(turn, { forgetAt })
    const partners = partnersIn(turn.state)
    if (partners.join() !== turn.state.partners.join()) become(turn, { partners })
  }
  hurrySync(turn, syncPaceMs(turn.state))
}
