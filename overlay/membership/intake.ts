// The way in for facts: statements and reports, from gossip, from another member's hands, or from this node's own
// pen. Each is checked for its author, merged, and what follows from it is drawn at once; news is handed on.

import type { NodeId } from '../kernel/ids.ts'
import type { Opened } from '../wire/envelope.ts'
import { NEWCOMER_SYNC_SHARE, NEWS_HEARD_MAX } from './constants.ts'
import { judge, judgeAll } from './judge.ts'
import type { Entries, MembershipMessage, SealedReport, SealedStatement } from './messages.ts'
import { onDoubt, renewWatch, shareReport } from './probing.ts'
import { admitReport, admitStatement, countRefused } from './roster.ts'
import { onOwnStatement, refute, sayWhatIsDue } from './self.ts'
import { announce, become, persistStatement, type Turn } from './state.ts'
import { hurrySync, spread } from './sync.ts'

/** A statement by gossip, or this node's own, freshly sealed. */
export function onStatementHeard(turn: Turn, opened: SealedStatement): void {
  const { self, domain } = turn.state
  const isNews = onStatement(turn, opened)
  onHeard(turn, opened.from)
  // Gossip has it, and who handed it over need not have been the only one.
  turn.state.table.news.delete(opened.from)
  if (opened.from !== self || !isNews) return
  turn.effects.push({ kind: 'publish', domain, topic: 'alert', message: opened.message })
  spread(turn, { members: [opened], reports: [] }, self)
  // What changed while a raised incarnation was on its way to the disk had to wait for it.
  sayWhatIsDue(turn)
}

/** A report by gossip, or this node's own, freshly sealed. */
export function onReportHeard(turn: Turn, opened: SealedReport): void {
  const { self, domain } = turn.state
  const isNews = onReport(turn, opened)
  onHeard(turn, opened.from)
  if (opened.from !== self || !isNews) return
  turn.effects.push({ kind: 'publish', domain, topic: 'alert', message: opened.message })
  shareReport(turn, opened)
  // Whom this node reports it no longer waits for: that may decide other doubts.
  judgeAll(turn)
}

export function onEntries(turn: Turn, from: NodeId, { members, reports }: Entries): void {
  const isNewReport = (one: SealedReport): boolean => isAuthentic(turn, one) && onReport(turn, one)
  const isNewMember = (one: SealedStatement): boolean => isAuthentic(turn, one) && onStatement(turn, one)
  spread(turn, { members: [], reports: reports.filter(isNewReport) }, from)
  const { table, timing, handOnAt } = turn.state
  for (const opened of members) {
    const { node } = opened.message
    const known = table.news.get(node)
    if (isNewMember(opened)) table.news.set(node, { opened, from, again: 0 })
    else if (known !== undefined && known.again + 1 < NEWS_HEARD_MAX) {
      table.news.set(node, { ...known, again: known.again + 1 })
    } else table.news.delete(node)
  }
  if (table.news.size > 0 && handOnAt === null) become(turn, { handOnAt: turn.context.now + timing.newsWaitMs })
}

/** Takes in a statement, from wherever it came; true when it was news. */
function onStatement(turn: Turn, opened: SealedStatement): boolean {
  const { self, table, connected } = turn.state
  const { node } = opened.message
  if (node === self) return onOwnStatement(turn, opened)
  const admission = admitStatement(table, opened, turn.context.now, self)
  if (admission.kind !== 'admitted') {
    if (admission.kind !== 'stale') countRefused(table, admission.kind)
    return false
  }
  const { entry, previous } = admission
  if (connected.has(node)) table.heardAt.set(node, turn.context.now)
  persistStatement(turn, node, opened.bytes)
  announce(turn, entry, previous?.state ?? null, 'said by the node itself')
  if (previous === null) hurrySync(turn, turn.state.timing.syncMs * NEWCOMER_SYNC_SHARE)
  if (previous === null || previous.incarnation !== entry.incarnation) renewWatch(turn, node)
  judge(turn, node)
  return true
}

/** Takes in a report, from wherever it came; true when it was news. */
function onReport(turn: Turn, opened: SealedReport): boolean {
  const { self, table } = turn.state
  const { subject, verdict, incarnation } = opened.message
  if (table.forgotten.has(subject) && !table.entries.has(subject)) return false
  if (!admitReport(table, opened)) return false
  if (subject !== self && verdict === 'unreachable' && opened.from !== self) onDoubt(turn, subject)
  if (subject !== self) judge(turn, subject)
  else if (verdict === 'unreachable') refute(turn, incarnation)
  return true
}

/**
 * Any sign of a member's life by any way. It spares a probe, and makes the member a watcher whose word is waited for.
 */
export function onHeard(turn: Turn, peer: NodeId): void {
  const { table, self, timing } = turn.state
  const wasHeardAt = table.heardAt.get(peer)
  if (wasHeardAt === undefined && (peer === self || !table.entries.has(peer))) return
  const { now } = turn.context
  table.heardAt.set(peer, now)
  if (wasHeardAt === undefined || now >= wasHeardAt + timing.hearingMs) judgeAll(turn)
}

/** Whether it is of this domain and was signed by one of its nodes, and a statement by whom it is about. */
export function isAuthentic(turn: Turn, { message, from, signer }: Opened<MembershipMessage>): boolean {
  const { domain } = turn.state
  if (message.domain !== domain) return false
  // Anyone may hand facts over (a node of another cluster introduces two of this one): each of them is checked by
  // itself.
  if (message.kind === 'membership/entries') return true
  if (signer.domain !== domain) return false
  if (message.kind === 'membership/member') return message.node === from
  if (message.kind === 'membership/report') return message.subject !== from
  return true
}
