// The table of one cluster's members: the latest statement of each, the latest report of each watcher on each, and
// what this node concludes from them. Statements and reports merge by version in any order; conclusions are local and
// never sent as facts.

import type { NodeId } from '../kernel/ids.ts'
import type { Millis } from '../kernel/time.ts'
import type { SignerFacts } from '../wire/envelope.ts'
import { FORGOTTEN_MAX, REPORTS_PER_SUBJECT_MAX, ROSTER_MAX, STRANGE_SUBJECTS_MAX } from './constants.ts'
import type { SealedReport, SealedStatement, WatcherReport } from './messages.ts'
import { buildRings, type Rings, updateRings, watchedIn, watchersIn } from './watchers.ts'

/** `suspect`: somebody reported it, it may still answer. `dead` and `left` are gone. */
export type MemberState = 'alive' | 'suspect' | 'dead' | 'left'

export interface RosterEntry {
  readonly node: NodeId
  readonly name: string
  readonly state: MemberState
  readonly incarnation: number
  readonly version: number
  readonly addresses: readonly string[]
  readonly fitness: number
  /** Whether it says so and its credential allows it. */
  readonly canLead: boolean
  readonly isRelay: boolean
  /** When this node saw it enter `state` in this incarnation. */
  readonly since: Millis
  readonly facts: SignerFacts
  readonly opened: SealedStatement
}

/** The roster as everyone but its owner sees it. */
export type RosterView = ReadonlyMap<NodeId, RosterEntry>

/** A doubt that is being waited out. */
export interface Suspicion {
  readonly since: Millis
  /** When to judge again, if nothing is heard before; null when only news can change it. */
  readonly checkAt: Millis | null
}

/** A statement, who brought it, and how many others brought it since. */
export interface HandedOver {
  readonly opened: SealedStatement
  readonly from: NodeId
  readonly again: number
}

/** Owned and updated in place by the machine. */
export interface RosterTable {
  readonly entries: Map<NodeId, RosterEntry>
  /** By subject, then by watcher. */
  readonly reports: Map<NodeId, Map<NodeId, SealedReport>>
  readonly suspicions: Map<NodeId, Suspicion>
  /** When each member was last heard; absent when not since its connection closed. */
  readonly heardAt: Map<NodeId, Millis>
  /** Former members and the incarnation up to which their statements are refused. */
  readonly forgotten: Map<NodeId, number>
  /** What was dropped, counted by reason. */
  readonly refused: Map<string, number>
  /** What was handed over and did not come by gossip yet, by the member that it is about. */
  readonly news: Map<NodeId, HandedOver>
  /** From whom lacking facts are being fetched, and until when they are waited for. */
  readonly fetches: Map<NodeId, Millis>
  /** Who is on the roster and not present: dead, or left. */
  readonly gone: Set<NodeId>
  /** Of those who were present when somebody asked last. */
  rings: Rings
  /** Who came or went since. */
  readonly moved: Set<NodeId>
  /** Grows whenever somebody comes, goes or is forgotten. */
  moves: number
}

export const createTable = (): RosterTable => ({
  entries: new Map(),
  reports: new Map(),
  suspicions: new Map(),
  heardAt: new Map(),
  forgotten: new Map(),
  refused: new Map(),
  news: new Map(),
  fetches: new Map(),
  gone: new Set(),
  rings: buildRings([]),
  moved: new Set(),
  moves: 0,
})

export const isPresent = (entry: RosterEntry): boolean => entry.state === 'alive' || entry.state === 'suspect'

/** The members that nobody doubts. */
export const aliveNodes = (roster: RosterView): readonly NodeId[] => nodesWhere(roster, (one) => one.state === 'alive')

/** The members that are not known to be gone: alive or suspect. */
export const presentNodes = (roster: RosterView): readonly NodeId[] => nodesWhere(roster, isPresent)

/** Who watches `subject`, in this view of the cluster. */
export const watchersOf = (roster: RosterView, subject: NodeId): readonly NodeId[] =>
  watchersIn(buildRings(presentNodes(roster)), subject)

/** Whom `self` watches, in this view of the cluster. */
export const watchedBy = (roster: RosterView, self: NodeId): readonly NodeId[] =>
  watchedIn(buildRings(presentNodes(roster)), [], self)

/** The rings of those present; brought up to date when somebody asks after a change. */
export function ringsOf(table: RosterTable): Rings {
  for (const node of table.moved) {
    const entry = table.entries.get(node)
    table.rings = updateRings(table.rings, node, entry !== undefined && isPresent(entry))
  }
  table.moved.clear()
  return table.rings
}

/** Puts an entry in the place of the one before. */
function putEntry(table: RosterTable, entry: RosterEntry): void {
  const previous = table.entries.get(entry.node)
  const isHere = isPresent(entry)
  table.entries.set(entry.node, entry)
  if (isHere) table.gone.delete(entry.node)
  else table.gone.add(entry.node)
  if (previous === undefined || isPresent(previous) !== isHere) noteMove(table, entry.node)
}

function noteMove(table: RosterTable, node: NodeId): void {
  table.moved.add(node)
  table.moves += 1
}

/**
 * The later of two statements of one node has the higher incarnation, then version; equals (a fault) go by their
 * bytes.
 */
export const compareStatements = (a: SealedStatement, b: SealedStatement): number =>
  a.message.incarnation - b.message.incarnation ||
  a.message.version - b.message.version ||
  compareBytes(a.bytes, b.bytes)

export const compareReports = (a: SealedReport, b: SealedReport): number =>
  a.message.sequence - b.message.sequence || compareBytes(a.bytes, b.bytes)

export type Admission =
  | { readonly kind: 'admitted'; readonly entry: RosterEntry; readonly previous: RosterEntry | null }
  | { readonly kind: 'stale' | 'forgotten' | 'roster-full' }

/** Takes in a statement whose signer was checked to be its subject. `keep` is never made to go for room. */
export function admitStatement(table: RosterTable, opened: SealedStatement, now: Millis, keep: NodeId): Admission {
  const { node, incarnation } = opened.message
  const previous = table.entries.get(node) ?? null
  if (previous !== null && compareStatements(opened, previous.opened) <= 0) return { kind: 'stale' }
  if (incarnation <= (table.forgotten.get(node) ?? -1)) return { kind: 'forgotten' }
  if (previous === null && table.entries.size >= ROSTER_MAX && node !== keep && !makeRoom(table)) {
    return { kind: 'roster-full' }
  }
  const entry = entryOf(opened, previous, now)
  putEntry(table, entry)
  table.forgotten.delete(node)
  if (previous === null || previous.incarnation !== incarnation || entry.state === 'left') table.suspicions.delete(node)
  return { kind: 'admitted', entry, previous }
}

/** Takes in a report whose signer is its watcher; false when it is no news or there is no room for it. */
export function admitReport(table: RosterTable, opened: SealedReport): boolean {
  const { subject } = opened.message
  const bySubject = table.reports.get(subject)
  const known = bySubject?.get(opened.from)
  if (known !== undefined && compareReports(opened, known) <= 0) return false
  if (bySubject === undefined) {
    if (!table.entries.has(subject) && strangeSubjects(table) >= STRANGE_SUBJECTS_MAX) return false
    table.reports.set(subject, new Map([[opened.from, opened]]))
    return true
  }
  if (known === undefined && bySubject.size >= REPORTS_PER_SUBJECT_MAX) {
    const current = table.entries.get(subject)?.incarnation ?? 0
    const outdated = [...bySubject].find(([, report]) => report.message.incarnation < current)
    if (outdated === undefined) return false
    bySubject.delete(outdated[0])
  }
  bySubject.set(opened.from, opened)
  return true
}

/** What a watcher last said of the subject's present incarnation; null for nothing. */
export function opinionOf(table: RosterTable, watcher: NodeId, subject: RosterEntry): WatcherReport | null {
  const report = table.reports.get(subject.node)?.get(watcher)?.message
  return report !== undefined && report.incarnation === subject.incarnation ? report : null
}

/** Puts a member into a state of this node's own conclusion. */
export function conclude(table: RosterTable, entry: RosterEntry, state: MemberState, now: Millis): RosterEntry {
  const next = { ...entry, state, since: now }
  putEntry(table, next)
  return next
}

/** Drops a member with all it said and all that was said of it; statements up to `incarnation` stay refused. */
export function forget(table: RosterTable, node: NodeId, incarnation: number): void {
  table.entries.delete(node)
  table.gone.delete(node)
  noteMove(table, node)
  table.news.delete(node)
  table.reports.delete(node)
  for (const bySubject of table.reports.values()) bySubject.delete(node)
  table.suspicions.delete(node)
  table.heardAt.delete(node)
  table.forgotten.delete(node)
  table.forgotten.set(node, incarnation)
  if (table.forgotten.size > FORGOTTEN_MAX) {
    const oldest = table.forgotten.keys().next()
    if (!oldest.done) table.forgotten.delete(oldest.value)
  }
}

export function countRefused(table: RosterTable, reason: string): void {
  table.refused.set(reason, (table.refused.get(reason) ?? 0) + 1)
}

function entryOf(opened: SealedStatement, previous: RosterEntry | null, now: Millis): RosterEntry {
  const { message, signer } = opened
  // A start, or a doubt that had to be refuted: whoever must be steady before it gets a vote begins to be so now.
  const isUnbroken = previous !== null && previous.incarnation === message.incarnation
  // A new version of the same incarnation does not answer a suspicion of that incarnation: it may have been said
  // before it.
  const isDoubted = isUnbroken && previous.state !== 'left'
  const state: MemberState = message.state === 'left' ? 'left' : isDoubted ? previous.state : 'alive'
  return {
    node: message.node,
    name: message.name,
    state,
    incarnation: message.incarnation,
    version: message.version,
    addresses: message.addresses,
    fitness: message.fitness,
    canLead: message.canLead && signer.capabilities.includes('lead'),
    isRelay: message.isRelay && signer.capabilities.includes('relay'),
    since: isUnbroken && previous.state === state ? previous.since : now,
    facts: signer,
    opened,
  }
}

/** Forgets the member that is gone longest; false when none is gone. */
function makeRoom(table: RosterTable): boolean {
  let longest: RosterEntry | null = null
  for (const entry of table.entries.values()) {
    if (!isPresent(entry) && (longest === null || entry.since < longest.since)) longest = entry
  }
  if (longest === null) return false
  forget(table, longest.node, longest.incarnation)
  return true
}

function strangeSubjects(table: RosterTable): number {
  let count = 0
  for (const subject of table.reports.keys()) if (!table.entries.has(subject)) count += 1
  return count
}

function nodesWhere(roster: RosterView, holds: (entry: RosterEntry) => boolean): readonly NodeId[] {
  const nodes: NodeId[] = []
  for (const entry of roster.values()) if (holds(entry)) nodes.push(entry.node)
  return nodes
}

function compareBytes(a: Uint8Array, b: Uint8Array): number {
  const length = Math.min(a.length, b.length)
  for (let index = 0; index < length; index++) {
    const difference = (a[index] ?? 0) - (b[index] ?? 0)
    if (difference !== 0) return difference
  }
  return a.length - b.length
}
