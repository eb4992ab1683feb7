// Anti-entropy: two members compare one number, and only where it differs what each of them holds. A digest is cut into
// parts by the hash of the node it is about, so that each part stands for itself and its loss costs only itself.

import type { NodeId } from '../kernel/ids.ts'
import { oncePerObject } from '../kernel/memo.ts'
import { shuffled } from '../kernel/random.ts'
import {
  DIGEST_ITEMS,
  DIGEST_ITEMS_MAX,
  DIGEST_PARTS_MAX,
  ENTRIES_BYTES_MAX,
  ENTRIES_ITEMS_MAX,
  FETCHED_FREELY_MAX,
  FETCHES_AT_ONCE_MAX,
  NEWS_FANOUT,
  NEWS_MAX,
} from './constants.ts'
import type { Digest, DigestDetail, SealedReport, SealedStatement } from './messages.ts'
import { isPresent, type RosterEntry, type RosterTable } from './roster.ts'
import { refute } from './self.ts'
import { become, send, type Turn } from './state.ts'
import { hashText } from './watchers.ts'

/** Sealed facts on their way to somebody. */
export interface News {
  readonly members: readonly SealedStatement[]
  readonly reports: readonly SealedReport[]
}

/**
 * Greets a peer with the hash over all that is held; the rest follows if its own differs. `mayReturn` lets it ask in
 * its turn for the rest, where it has no time to fetch.
 */
export function sendHash(turn: Turn, to: NodeId, mayReturn = true): void {
  const { domain, table } = turn.state
  const hash = tableHash(table)
  send(turn, to, { kind: 'membership/digest', domain, hash, detail: null, wantsAnswer: mayReturn })
}

/** Sends all parts of the digest. */
export function sendDetails(turn: Turn, to: NodeId): void {
  const parts = partsOf(turn.state.table)
  for (let part = 0; part < parts; part++) sendDetail(turn, to, part, parts, true)
}

export function onDigest(turn: Turn, from: NodeId, { hash, detail, wantsAnswer }: Digest): void {
  const { table, self } = turn.state
  if (detail === null) {
    if (hash === tableHash(table)) return
    if (mayFetch(turn, from)) sendDetails(turn, from)
    else if (wantsAnswer) sendHash(turn, from, false)
    return
  }
  const onSelf = detail.members.find((member) => member.node === self)
  if (onSelf?.isDead) refute(turn, onSelf.incarnation)
  sendNews(turn, [from], lackedBy(table, detail))
  const offered = wantsAnswer ? newsIn(table, detail) : 0
  const isWelcome = offered > 0 && (offered <= FETCHED_FREELY_MAX || mayFetch(turn, from))
  if (isWelcome) sendDetail(turn, from, detail.part, detail.parts, false)
}

/** Whether to ask somebody now for what it has and this node lacks; where not, another comparison follows soon. */
function mayFetch(turn: Turn, from: NodeId): boolean {
  const { now } = turn.context
  const { table, timing } = turn.state
  for (const [node, until] of table.fetches) if (until <= now) table.fetches.delete(node)
  if (table.fetches.size >= FETCHES_AT_ONCE_MAX && !table.fetches.has(from)) {
    hurrySync(turn, 2 * timing.probeMs)
    return false
  }
  table.fetches.set(from, now + timing.probeTimeoutMs)
  return true
}

/** Compares with a random member within some time. */
export function hurrySync(turn: Turn, withinMs: number): void {
  const { syncAt } = turn.state
  const latest = turn.context.now + withinMs
  if (syncAt !== null && syncAt > latest) become(turn, { syncAt: latest })
}

/** Sends facts in pieces below the limit of a message. */
export function sendNews(turn: Turn, to: readonly NodeId[], news: News): void {
  const { domain } = turn.state
  for (const piece of inPieces(news)) {
    for (const node of to) send(turn, node, { kind: 'membership/entries', domain, ...piece })
  }
}

/** Hands news on to a few connected members: faster than the next digest, and not dependent on gossip's mesh. */
export function spread(turn: Turn, news: News, except: NodeId): void {
  if (news.members.length + news.reports.length > 0) sendNews(turn, fewConnected(turn, except), news)
}

/** Hands on what was handed over and gossip did not bring meanwhile, but not to those who know it best. */
export function handOn(turn: Turn): void {
  const { table, self, handOnAt } = turn.state
  if (handOnAt === null || handOnAt > turn.context.now) return
  become(turn, { handOnAt: null })
  const news = [...table.news.values()]
  table.news.clear()
  if (news.length === 0 || news.length > NEWS_MAX) return
  for (const to of fewConnected(turn, self)) {
    const fresh = news.filter(({ opened, from }) => from !== to && opened.from !== to)
    sendNews(turn, [to], { members: fresh.map(({ opened }) => opened), reports: [] })
  }
}

function fewConnected(turn: Turn, except: NodeId): readonly NodeId[] {
  const { connected, table } = turn.state
  const peers = [...connected].filter((node) => {
    const entry = table.entries.get(node)
    return node !== except && entry !== undefined && isPresent(entry)
  })
  return shuffled(turn.context.random, peers).slice(0, NEWS_FANOUT)
}

/** One number for all statements and reports held, whatever the order they came in; below 2^53, not cryptographic. */
export function tableHash(table: RosterTable): number {
  let [low, high] = [0, 0]
  const add = (hash: FactHash): void => {
    low = (low + hash.low) >>> 0
    high = (high + hash.high) >>> 0
  }
  for (const entry of table.entries.values()) add(hashEntry(entry))
  for (const bySubject of table.reports.values()) {
    for (const report of bySubject.values()) add(hashReport(report))
  }
  return (high % 2 ** 20) * 2 ** 32 + low
}

interface FactHash {
  readonly low: number
  readonly high: number
}

const hashFact = (fact: string): FactHash => ({ low: hashText(fact, 101), high: hashText(fact, 102) })

// Every greeting asks for the hashes of all that is held, and little of it has changed since the one before.
const hashEntry = oncePerObject(({ node, incarnation, version }: RosterEntry) =>
  hashFact(`${node} ${incarnation} ${version}`),
)
const hashReport = oncePerObject(({ message, from }: SealedReport) =>
  hashFact(`${message.subject} ${from} ${message.sequence}`),
)

/** What this node holds of a part. */
export function describe(table: RosterTable, part: number, parts: number): DigestDetail {
  const members: { node: NodeId; incarnation: number; version: number; isDead: boolean }[] = []
  const reports: { subject: NodeId; watcher: NodeId; sequence: number }[] = []
  for (const { node, incarnation, version, state } of table.entries.values()) {
    if (isInPart(node, part, parts)) members.push({ node, incarnation, version, isDead: state === 'dead' })
  }
  for (const [subject, bySubject] of table.reports) {
    if (!isInPart(subject, part, parts)) continue
    for (const [watcher, report] of bySubject) reports.push({ subject, watcher, sequence: report.message.sequence })
  }
  // A part that is fuller than a message may be (somebody chose its keys so) is cut: the rest is sent once too often.
  return { part, parts, members: members.slice(0, DIGEST_ITEMS_MAX), reports: reports.slice(0, DIGEST_ITEMS_MAX) }
}

/** What this node holds of the part, and the other does not or only older. */
export function lackedBy(table: RosterTable, { part, parts, members, reports }: DigestDetail): News {
  const theirs = new Map(members.map((member) => [member.node, member]))
  const lackedMembers: SealedStatement[] = []
  for (const { node, incarnation, version, opened } of table.entries.values()) {
    if (!isInPart(node, part, parts)) continue
    const their = theirs.get(node)
    if (their === undefined || isLater({ incarnation, version }, their)) lackedMembers.push(opened)
  }
  const theirReports = new Map(reports.map((report) => [`${report.subject} ${report.watcher}`, report.sequence]))
  const lackedReports: SealedReport[] = []
  for (const [subject, bySubject] of table.reports) {
    if (!isInPart(subject, part, parts)) continue
    for (const [watcher, report] of bySubject) {
      const sequence = theirReports.get(`${subject} ${watcher}`)
      if (sequence === undefined || sequence < report.message.sequence) lackedReports.push(report)
    }
  }
  return { members: lackedMembers, reports: lackedReports }
}

/** How much the other holds of the part that this node would take in. */
function newsIn(table: RosterTable, { members, reports }: DigestDetail): number {
  const isWanted = (member: DigestDetail['members'][number]): boolean => {
    const mine = table.entries.get(member.node)
    if (mine !== undefined) return isLater(member, mine)
    return member.incarnation > (table.forgotten.get(member.node) ?? -1)
  }
  const newReports = reports.filter(({ subject, watcher, sequence }) => {
    if (table.forgotten.has(subject) || table.forgotten.has(watcher)) return false
    const mine = table.reports.get(subject)?.get(watcher)
    return mine === undefined || mine.message.sequence < sequence
  })
  return members.filter(isWanted).length + newReports.length
}

function sendDetail(turn: Turn, to: NodeId, part: number, parts: number, wantsAnswer: boolean): void {
  const { domain, table } = turn.state
  const detail = describe(table, part, parts)
  send(turn, to, { kind: 'membership/digest', domain, hash: tableHash(table), detail, wantsAnswer })
}

function inPieces({ members, reports }: News): readonly News[] {
  const pieces: { members: SealedStatement[]; reports: SealedReport[] }[] = []
  let room = 0
  const place = (bytes: number): (typeof pieces)[number] => {
    const last = pieces.at(-1)
    if (last !== undefined && bytes <= room && last.members.length + last.reports.length < ENTRIES_ITEMS_MAX) {
      room -= bytes
      return last
    }
    const piece = { members: [], reports: [] }
    pieces.push(piece)
    room = ENTRIES_BYTES_MAX - bytes
    return piece
  }
  // Reports first: who is already known to be gone shall not come in as alive.
  for (const report of reports) place(report.bytes.length).reports.push(report)
  for (const member of members) place(member.bytes.length).members.push(member)
  return pieces
}

function partsOf(table: RosterTable): number {
  let reports = 0
  for (const bySubject of table.reports.values()) reports += bySubject.size
  const parts = Math.ceil(Math.max(table.entries.size, reports) / DIGEST_ITEMS)
  return Math.min(DIGEST_PARTS_MAX, Math.max(1, parts))
}

const isInPart = (node: NodeId, part: number, parts: number): boolean => hashText(node, 0) % parts === part

interface Version {
  readonly incarnation: number
  readonly version: number
}

const isLater = (a: Version, b: Version): boolean =>
  a.incarnation > b.incarnation || (a.incarnation === b.incarnation && a.version > b.version)
