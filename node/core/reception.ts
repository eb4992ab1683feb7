// What comes in from other nodes, brought to the machine that it concerns. Everything here was signed by a member.

import type { LeaderBookView } from '../../election/index.ts'
import type { ElectionMessage } from '../../election/messages.ts'
import { type DomainPath, isWithin, type NodeId } from '../../overlay/kernel/ids.ts'
import type { StepContext } from '../../overlay/kernel/machine.ts'
import type { MembershipMessage, SealedStatement } from '../../overlay/membership/index.ts'
import type { Opened, SignerFacts } from '../../overlay/wire/envelope.ts'
import type { PlacementMessage } from '../../placement/index.ts'
import type { PlainRecord, RegistryMessage, SealedRecord } from '../../services-registry/index.ts'
import type { Asking } from './asking.ts'
import type { CoreEffect, CoreInput, CoreMessage } from './effects.ts'
import type { IntakeKeeper } from './intake.ts'
import type { IntakeMessage } from './messages.ts'
import type { Names } from './names.ts'
import type { Neighbours } from './neighbours.ts'
import type { News } from './news.ts'
import type { Placing } from './placing.ts'
import type { Policies } from './policies.ts'
import type { Records } from './records.ts'
import type { Requests } from './requests.ts'
import type { RosterKeeper } from './roster-keeper.ts'
import type { Hierarchy, HierarchyEvent } from './seats.ts'

export interface ReceptionParts {
  readonly self: SignerFacts
  readonly book: LeaderBookView
  readonly roster: RosterKeeper
  readonly hierarchy: Hierarchy
  readonly neighbours: Neighbours
  readonly records: Records
  readonly requests: Requests
  readonly placing: Placing
  readonly asking: Asking
  readonly intake: IntakeKeeper
  readonly policies: Policies
  readonly names: Names
}

export type ReceptionTurn = readonly [context: StepContext, out: CoreEffect[], news: News[]]

/** How a message came: from whom, and on which domain's topic or by hand. */
type Way = Pick<Extract<CoreInput, { readonly kind: 'message' }>, 'deliveredBy' | 'gossipedIn'>

export function receive(
  parts: ReceptionParts,
  { opened, deliveredBy, gossipedIn }: Extract<CoreInput, { readonly kind: 'message' }>,
  ...turn: ReceptionTurn
): void {
  const { message } = opened
  const folder = message.kind.slice(0, message.kind.indexOf('/'))
  // A record may be passed on long after it was signed; everything else was said a moment ago, and what is said to
  // the roster it hears itself.
  const isForRoster = folder === 'membership' && (message as MembershipMessage).domain === parts.self.domain
  if (opened.from !== parts.self.node && folder !== 'record' && !isForRoster) parts.roster.onHeard(opened.from, ...turn)
  const speaker = gossipedIn === null ? deliveredBy : null
  if (deliveredBy !== parts.self.node) parts.hierarchy.onHeard(speaker, ...turn)
  switch (folder) {
    case 'election':
      return onElection(parts, opened as Opened<ElectionMessage>, { deliveredBy, gossipedIn }, ...turn)
    case 'membership':
      return onMembership(parts, opened as Opened<MembershipMessage>, ...turn)
    case 'record':
      return onRecord(parts, opened as Opened<PlainRecord>, gossipedIn, deliveredBy, ...turn)
    case 'registry':
      return onRegistry(parts, opened as Opened<RegistryMessage>, gossipedIn, deliveredBy, ...turn)
    case 'placement':
      return onPlacement(parts, opened as Opened<PlacementMessage>, ...turn)
    case 'node':
      return onNode(parts, opened, ...turn)
    default:
      return onOwnKind(parts, opened, ...turn)
  }
}

function onPlacement(parts: ReceptionParts, opened: Opened<PlacementMessage>, ...turn: ReceptionTurn): void {
  const { message } = opened
  if (message.kind !== 'placement/moved') return parts.placing.onMessage(opened, ...turn)
  parts.asking.onAnswer(message, turn[1])
  parts.intake.onMoved(message)
}

/**
 * News of a leader that came by hand is passed on: from outside to the own cluster, and what concerns a domain that
 * other clusters belong to as well, to who is linked of those. To who was linked when gossip brought it, gossip brought
 * it; but when many start at once most links come later than that, and who is linked to nobody who heard it in time
 * would wait for the next announcement.
 */
function onElection(
  { self, book, hierarchy, neighbours }: ReceptionParts,
  opened: Opened<ElectionMessage>,
  { deliveredBy, gossipedIn }: Way,
  ...[context, out, news]: ReceptionTurn
): void {
  const learned: HierarchyEvent[] = []
  hierarchy.onMessage(opened, context, out, learned)
  news.push(...learned)
  if (gossipedIn !== null || deliveredBy === self.node) return
  const isFromInside = (neighbours.connected().get(deliveredBy)?.domain ?? self.domain) === self.domain
  for (const event of learned) {
    const known = event.kind === 'leader-news' ? book.leaderOf(event.domain) : null
    if (known === null) continue
    const message = { kind: 'election/proof', announcement: known.opened } as const
    for (const [peer, { domain }] of neighbours.connected()) {
      const isInside = domain === self.domain
      const isConcerned = isInside ? !isFromInside : isWithin(domain, event.domain)
      const isTold = peer === deliveredBy || peer === known.announcement.node
      if (isConcerned && !isTold) out.push({ kind: 'send', to: peer, message })
    }
  }
}

/** Of the own cluster it is the roster's; of another one it tells where somebody is. */
function onMembership(
  { self, roster, neighbours }: ReceptionParts,
  opened: Opened<MembershipMessage>,
  ...turn: ReceptionTurn
): void {
  const { message } = opened
  if (message.domain === self.domain) return roster.onMessage(opened, ...turn)
  if (message.kind === 'membership/member') neighbours.onStatement(opened as SealedStatement, opened.from, turn[1])
  if (message.kind === 'membership/entries')
    for (const one of message.members) neighbours.onStatement(one, opened.from, turn[1])
}

/** A record of this node's own making for a store that it does not hold goes to somebody who does. */
function onRecord(
  { self, records, requests }: ReceptionParts,
  opened: SealedRecord,
  gossipedIn: DomainPath | null,
  deliveredBy: NodeId,
  ...turn: ReceptionTurn
): void {
  const into = gossipedIn ?? opened.message.domain
  if (opened.from === self.node && records.view(into) === null) return requests.submit(into, opened, turn[0], turn[1])
  records.onRecord(opened, gossipedIn, deliveredBy, ...turn)
}

function onRegistry(
  parts: ReceptionParts,
  opened: Opened<RegistryMessage>,
  gossipedIn: DomainPath | null,
  deliveredBy: NodeId,
  ...turn: ReceptionTurn
): void {
  const { self, records, requests } = parts
  const { message, from } = opened
  switch (message.kind) {
    case 'registry/gossip': {
      // What this node gathered came out of its own store.
      const heard = from === self.node ? [] : message.records
      for (const record of heard) onRecord(parts, record, gossipedIn ?? message.domain, deliveredBy, ...turn)
      return
    }
    case 'registry/lookup':
    case 'registry/answer':
    case 'registry/pushed':
      return requests.onMessage({ ...opened, message }, turn[0], turn[1])
    default:
      return records.onMessage(opened, ...turn)
  }
}

/** What belongs to no machine: the charter and an operator's policy. What this node says of it it need not hear. */
function onOwnKind({ self, policies }: ReceptionParts, opened: Opened<CoreMessage>, ...[, out]: ReceptionTurn): void {
  const { message, from } = opened
  if (message.kind === 'policy/held' || message.kind === 'policy/signed')
    return policies.onMessage({ ...opened, message }, out)
  const isCharter = message.kind === 'charter/news' || message.kind === 'charter/want'
  if (isCharter && from !== self.node) out.push({ kind: 'charter', message, from })
}

/** About devices themselves: where a member of this cluster is, and whether a device takes work. */
function onNode(parts: ReceptionParts, opened: Opened<CoreMessage>, ...turn: ReceptionTurn): void {
  const { self, neighbours, asking } = parts
  const [, out] = turn
  const { from, message } = opened
  if (message.kind === 'node/intake') return onIntake(parts, { ...opened, message }, ...turn)
  if (message.kind === 'node/intake-state') return asking.onAnswer(message, out)
  if (message.kind === 'node/names') return parts.names.onMessage({ ...opened, message }, out)
  if (message.kind !== 'node/where' || message.domain !== self.domain) return
  const statement = neighbours.statementOf(message.node)
  if (statement === null) return
  const answer = { kind: 'membership/entries', domain: self.domain, members: [statement], reports: [] } as const
  out.push({ kind: 'send', to: from, message: answer })
}

/** Everybody hears of it with the next summary; what a drained device leads goes to others, its work by their word. */
function onIntake(
  { intake, roster, placing, hierarchy }: ReceptionParts,
  opened: Opened<IntakeMessage>,
  ...[context, out, news]: ReceptionTurn
): void {
  if (!intake.onMessage(opened, out)) return
  roster.onIntake(context, out, news)
  placing.onIntake(context, out)
  if (intake.current() === 'draining') hierarchy.handOver(context, out, news)
}
