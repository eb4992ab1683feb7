// Whom to be connected to, what to listen to, and how nodes find their cluster: whoever is connected to two of its
// members brings them together, so a joiner needs to know nobody but the device that invited it.

import type { LeaderBookView } from '../../election/index.ts'
import { chainOf, type DomainPath, isWithin, type NodeId, parentOf } from '../../overlay/kernel/ids.ts'
import type { StepContext } from '../../overlay/kernel/machine.ts'
import type { Millis } from '../../overlay/kernel/time.ts'
import { isPresent, presentNodes, type RosterView } from '../../overlay/membership/index.ts'
import type { SignerFacts } from '../../overlay/wire/envelope.ts'
import { CONTACTS_MAX, calledInSilentParts, othersOfPart, type SealedStatement } from './contacts.ts'
import type { CoreEffect, Topic, WantedNode } from './effects.ts'

/**
 * Up to so many members everybody in a cluster is connected to everybody; above, to watchers, electors and leaders. A
 * guess.
 */
export const FULL_MESH_NODES_MAX = 24
/** Statements of nodes in other clusters that are remembered; the oldest goes first. */
export const ACQUAINTANCES_MAX = 1_000
/** How long a node that traffic went to stays wanted after it was last asked for. */
export const REACHED_MS = 120_000
export const REACHED_MAX = 256

export interface NeighboursOptions {
  readonly self: SignerFacts
  readonly book: LeaderBookView
  readonly roster: () => RosterView
  /** Whom this node watches, and who watches it; the same list as long as it says the same. */
  readonly watchPartners: () => readonly NodeId[]
  /** Where members answered before, or the addresses of the invite: tried until the cluster's leader is known. */
  readonly seeds: readonly WantedNode[]
}

export interface Neighbours {
  onConnected(peer: NodeId, facts: SignerFacts, out: CoreEffect[]): void
  onDisconnected(peer: NodeId): void
  /** A member came, went, or said something else of itself. */
  onMember(node: NodeId): void
  /** Where a member of another cluster says that it is, brought by somebody. */
  onStatement(opened: SealedStatement, from: NodeId, out: CoreEffect[]): void
  /** Traffic goes to a node: it is wanted, and its cluster's leader is asked where it is when all is settled. */
  reach(peer: NodeId, domain: DomainPath, context: StepContext): void
  isConnected(peer: NodeId): boolean
  connected(): ReadonlyMap<NodeId, SignerFacts>
  statementOf(peer: NodeId): SealedStatement | null
  addressesOf(peer: NodeId): readonly string[]
  /** The peers to be connected to as things stand. */
  wanted(now: Millis, seats: readonly DomainPath[]): readonly WantedNode[]
  /** Says whom to be connected to, where that changed. */
  onSettled(now: Millis, seats: readonly { readonly domain: DomainPath }[], out: CoreEffect[]): void
}

/** What the wants depend on, in what is quickly compared: they are looked at after every input. */
interface Outlook {
  readonly partners: readonly NodeId[]
  readonly book: number
  readonly own: number
  /** A node's seats are a chain that begins in its cluster, so their number says which they are. */
  readonly seats: number
}

export function createNeighbours(options: NeighboursOptions): Neighbours {
  const { self, book, roster, watchPartners, seeds } = options
  const chain = chainOf(self.domain)
  const connected = new Map<NodeId, SignerFacts>()
  const acquaintances = new Map<NodeId, SealedStatement>()
  const reached = new Map<NodeId, Millis>()
  /** How many of the connected are of each other cluster. */
  const strangers = new Map<DomainPath, number>()
  /** The electors that strangers were told of. */
  let contacts: readonly NodeId[] = []
  /** Grows with whatever is noted in this file. */
  let revision = 0
  let settled: Outlook | null = null
  /** Who was wanted then, each with its addresses. */
  let shownPeers: ReadonlyMap<NodeId, string> = new Map()
  /** Who led each domain then whose leader is wanted, as far as that was known. */
  let shownLeaders: ReadonlyMap<DomainPath, NodeId> = new Map()
  /** All members, where they are few enough to be connected to each other; null in a larger cluster. */
  let mesh: readonly NodeId[] | null = null
  /** The same, as it was shown last. */
  let shownMesh: readonly NodeId[] | null = null
  /** What leaders of other clusters are about to be asked: after it is said that they are wanted. */
  let questions: CoreEffect[] = []

  const statementOf = (peer: NodeId): SealedStatement | null =>
    roster().get(peer)?.opened ?? acquaintances.get(peer) ?? null

  const addressesOf = (peer: NodeId): readonly string[] => {
    const stated = statementOf(peer)?.message.addresses ?? []
    const led = book.addressesOf(peer)
    const seed = seeds.find((one) => one.peer === peer)
    // Most members lead nothing and are no seeds; all of them are asked for whenever one comes or goes.
    if (led.length === 0 && seed === undefined) return stated
    return [...new Set([...stated, ...led, ...(seed?.addresses ?? [])])]
  }

  /** Whether what is known of a node may be part of the wants. */
  const isClose = (node: NodeId): boolean =>
    shownPeers.has(node) || reached.has(node) || seeds.some(({ peer }) => peer === node)

  const membersKnownIn = (domain: DomainPath): readonly SealedStatement[] =>
    domain === self.domain
      ? presentNodes(roster()).flatMap((node) => roster().get(node)?.opened ?? [])
      : [...acquaintances.values()].filter((statement) => statement.message.domain === domain)

  /** Tells a node of one cluster who else of it is about. */
  const introduce = (to: NodeId, domain: DomainPath, members: readonly SealedStatement[], out: CoreEffect[]): void => {
    const others = members.filter((member) => member.from !== to)
    if (others.length === 0) return
    out.push({ kind: 'send', to, message: { kind: 'membership/entries', domain, members: others, reports: [] } })
  }

  /** Who leads the domains whose leaders this node deals with. */
  const leadersOfMine = (seats: readonly DomainPath[]): ReadonlyMap<DomainPath, NodeId> => {
    const leaders = new Map<DomainPath, NodeId>()
    for (const domain of seats.length > 1 ? book.domains() : chain) {
      const leader = book.leaderOf(domain)
      if (leader !== null && isMine(domain, self.domain, seats)) leaders.set(domain, leader.announcement.node)
    }
    return leaders
  }

  const wanted = (now: Millis, seats: readonly DomainPath[]): readonly WantedNode[] => {
    const wanted = new Set<NodeId>()
    for (const node of mesh ?? watchPartners()) wanted.add(node)
    for (const leader of leadersOfMine(seats).values()) wanted.add(leader)
    // In a cluster the electors are nodes; whoever is next to lead should be connected before it has to.
    for (const elector of book.leaderOf(self.domain)?.announcement.electors ?? []) wanted.add(elector as NodeId)
    const isLost = book.leaderOf(self.domain) === null || connected.size === 0
    // A cluster that formed out of sight of the others would never look for them: whoever was invited from outside
    // keeps in touch. Whom it invited itself may be as lost, so it looks until it has met its own host once.
    const isIsland = strangers.size === 0
    for (const { peer } of seeds) {
      const mayBeApart = isIsland || !acquaintances.has(peer)
      if (isLost || (mayBeApart && !roster().has(peer))) wanted.add(peer)
    }
    if (seats.length > 1) {
      const called = calledInSilentParts(self.domain, seats, strangers.keys(), acquaintances.values())
      for (const peer of called) wanted.add(peer)
    }
    // Without an address a dial would search for half a minute, and the answer of the leader that was asked would
    // wait for it.
    for (const [peer, until] of reached) if (until > now && addressesOf(peer).length > 0) wanted.add(peer)
    wanted.delete(self.node)
    return [...wanted].map((peer) => ({ peer, addresses: addressesOf(peer) }))
  }

  /**
   * Whether what changed in the book may change the wants. In a federation of a hundred clusters most of it is about
   * leaders that this node has nothing to do with. An address that only a former leader's announcement had may stay.
   */
  const isConcernedBy = (domain: DomainPath, seats: readonly { readonly domain: DomainPath }[]): boolean => {
    const leader = book.leaderOf(domain)?.announcement.node
    // Its electors are wanted in the cluster; elsewhere only who leads.
    if (leader === undefined || domain === self.domain) return true
    if (shownLeaders.get(domain) !== leader && isMine(domain, self.domain, pathsOf(seats))) return true
    if (reached.has(leader)) return true
    return shownPeers.has(leader) && shownPeers.get(leader) !== addressesOf(leader).join(' ')
  }

  const isAsSettled = (
    before: Outlook,
    outlook: Outlook,
    seats: readonly { readonly domain: DomainPath }[],
  ): boolean => {
    if (before.partners !== outlook.partners || before.own !== outlook.own || before.seats !== outlook.seats)
      return false
    if (before.book === outlook.book) return true
    const changed = book.changedSince(before.book)
    return changed !== null && !changed.some((domain) => isConcernedBy(domain, seats))
  }

  const showWants = (now: Millis, seats: readonly { readonly domain: DomainPath }[], out: CoreEffect[]): void => {
    const peers = wanted(now, pathsOf(seats))
    const peersNow = new Map(peers.map(({ peer, addresses }) => [peer, addresses.join(' ')]))
    if (!isSameInOrder(peersNow, shownPeers)) out.push({ kind: 'want', peers })
    shownPeers = peersNow
    shownLeaders = leadersOfMine(pathsOf(seats))
  }

  /** Whom one is connected to changes the wants only where it is nobody, or the first or last of another cluster. */
  const noteConnection = (peer: NodeId, facts: SignerFacts | null): void => {
    const [wasAlone, met] = [connected.size === 0, strangers.size]
    const known = connected.get(peer)
    if (known !== undefined) countStranger(known.domain, -1)
    const left = strangers.size
    if (facts !== null) countStranger(facts.domain, 1)
    if (facts === null) connected.delete(peer)
    else connected.set(peer, facts)
    const isAsBefore = wasAlone === (connected.size === 0) && met === left && left === strangers.size
    if (!isAsBefore) revision += 1
  }

  const countStranger = (domain: DomainPath, more: 1 | -1): void => {
    if (domain === self.domain) return
    const count = (strangers.get(domain) ?? 0) + more
    if (count > 0) strangers.set(domain, count)
    else strangers.delete(domain)
  }

  /** Who else of this cluster is worth knowing: its electors are steady, and one of them leads next. */
  const contactsNow = (): readonly NodeId[] => {
    const electors = (book.leaderOf(self.domain)?.announcement.electors ?? []) as readonly NodeId[]
    return electors.filter((node) => node !== self.node && statementOf(node) !== null).slice(0, CONTACTS_MAX)
  }

  const statementsOf = (nodes: readonly NodeId[]): readonly SealedStatement[] =>
    nodes.flatMap((node) => statementOf(node) ?? [])

  /** Tells those of other clusters of this one's new electors. */
  const tellOfContacts = (out: CoreEffect[]): void => {
    const before = contacts
    contacts = contactsNow()
    const fresh = contacts.filter((node) => !before.includes(node))
    if (fresh.length === 0) return
    for (const [peer, { domain }] of connected)
      if (domain !== self.domain) introduce(peer, self.domain, statementsOf(fresh), out)
  }

  const noteReached = (peer: NodeId, now: Millis): void => {
    revision += 1
    reached.delete(peer)
    reached.set(peer, now + REACHED_MS)
    const oldest = reached.keys().next().value
    if (reached.size > REACHED_MAX && oldest !== undefined) reached.delete(oldest)
  }

  return {
    onConnected: (peer, facts, out) => {
      noteConnection(peer, facts)
      if (facts.domain === self.domain) return
      introduce(peer, self.domain, statementsOf([self.node, ...contacts]), out)
      for (const statement of othersOfPart(self.domain, facts.domain, acquaintances.values()))
        introduce(peer, statement.message.domain, [statement], out)
      introduce(peer, facts.domain, membersKnownIn(facts.domain).slice(0, FULL_MESH_NODES_MAX), out)
    },
    onDisconnected: (peer) => noteConnection(peer, null),
    onMember: (node) => {
      // In a large cluster most have nothing to do with this node, and all of them may come at once.
      const wasMeshed = mesh !== null
      mesh = membersOfMesh(roster())
      if (wasMeshed || mesh !== null || isClose(node) || node === self.node) revision += 1
    },
    onStatement: (opened, from, out) => {
      const { node, domain, incarnation, version } = opened.message
      const isOwn = opened.from === node && opened.signer.domain === domain
      if (!isOwn || domain === self.domain) return
      const known = acquaintances.get(node)?.message
      const isNewer =
        known === undefined ||
        incarnation > known.incarnation ||
        (incarnation === known.incarnation && version > known.version)
      if (!isNewer) return
      if (isClose(node) || !strangers.has(domain)) revision += 1
      acquaintances.delete(node)
      acquaintances.set(node, opened)
      const oldest = acquaintances.keys().next().value
      if (acquaintances.size > ACQUAINTANCES_MAX && oldest !== undefined) acquaintances.delete(oldest)
      if (known?.incarnation === incarnation) return
      for (const [peer, facts] of connected)
        if (facts.domain === domain && peer !== from) introduce(peer, domain, [opened], out)
    },
    reach: (peer, domain, { now }) => {
      noteReached(peer, now)
      // Asked also where an address is known: the node may have moved since it said so.
      const guide = book.leaderOf(domain)?.announcement.node ?? null
      if (connected.has(peer) || guide === null || guide === peer || guide === self.node) return
      // Most nodes are connected to no other cluster's leader, and a question to who is not wanted finds no address.
      if (!connected.has(guide)) noteReached(guide, now)
      questions.push({ kind: 'send', to: guide, message: { kind: 'node/where', domain, node: peer } })
    },
    isConnected: (peer) => connected.has(peer),
    connected: () => connected,
    statementOf,
    addressesOf,
    wanted,
    onSettled: (now, seats, out) => {
      const [firstReached] = reached
      if (firstReached !== undefined && firstReached[1] <= now) {
        reached.delete(firstReached[0])
        revision += 1
      }
      const outlook = { partners: watchPartners(), book: book.revision(), own: revision, seats: seats.length }
      const isAsBefore = settled !== null && isAsSettled(settled, outlook, seats)
      if (settled?.book !== outlook.book || settled.own !== outlook.own) tellOfContacts(out)
      settled = outlook
      // Before what this step says, which those who have just come may hear.
      if (mesh?.join() !== shownMesh?.join()) out.unshift({ kind: 'hearers', members: mesh })
      shownMesh = mesh
      if (!isAsBefore) showWants(now, seats, out)
      out.push(...questions)
      questions = []
    },
  }
}

function isSameInOrder(a: ReadonlyMap<NodeId, string>, b: ReadonlyMap<NodeId, string>): boolean {
  if (a.size !== b.size) return false
  const others = b.entries()
  for (const [peer, addresses] of a) {
    const other = others.next().value
    if (other === undefined || other[0] !== peer || other[1] !== addresses) return false
  }
  return true
}

const pathsOf = (seats: readonly { readonly domain: DomainPath }[]): readonly DomainPath[] =>
  seats.map(({ domain }) => domain)

/** Whether this node deals with a domain's leader: on its own chain, or a sibling of a domain that it speaks for. */
function isMine(domain: DomainPath, cluster: DomainPath, seats: readonly DomainPath[]): boolean {
  if (isWithin(cluster, domain)) return true
  const parent = parentOf(domain)
  return parent !== null && seats.includes(parent)
}

/**
 * The topics of a node: all of its cluster, who leads on the way up, and what it holds: the records there, and what the
 * children say of themselves, so that whoever leads next can place at once.
 */
export function topicsOf(cluster: DomainPath, held: readonly DomainPath[]): readonly Topic[] {
  const own: Topic[] = (['summary', 'record', 'alert', 'leader'] as const).map((topic) => ({ domain: cluster, topic }))
  const above = chainOf(cluster).slice(1)
  return [
    ...own,
    ...above.map((domain): Topic => ({ domain, topic: 'leader' })),
    ...above
      .filter((domain) => held.includes(domain))
      .flatMap((domain): Topic[] => [
        { domain, topic: 'record' },
        { domain, topic: 'summary' },
      ]),
  ]
}

function membersOfMesh(roster: RosterView): readonly NodeId[] | null {
  const members: NodeId[] = []
  for (const entry of roster.values()) {
    if (isPresent(entry)) members.push(entry.node)
    if (members.length > FULL_MESH_NODES_MAX) return null
  }
  return members
}
