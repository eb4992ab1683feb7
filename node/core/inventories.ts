// What each child last said it has, per domain that this node may come to lead, and what this node itself says: its
// summary in the cluster, and for each domain that it leads the aggregate one level up.

import type { Fence, LeaderBookView } from '../../election/index.ts'
import { type ChildId, chainOf, type DomainPath, type NodeId, parentOf, ROOT } from '../../overlay/kernel/ids.ts'
import type { StepContext } from '../../overlay/kernel/machine.ts'
import type { Random } from '../../overlay/kernel/random.ts'
import { earlier, type Millis } from '../../overlay/kernel/time.ts'
import type { Opened, SignerFacts } from '../../overlay/wire/envelope.ts'
import {
  type AggregateMessage,
  aggregateChangedEnough,
  changedEnough,
  createInventory,
  type DomainAggregate,
  foldAggregates,
  forgetChild,
  type Inventory,
  type InventoryView,
  type NodeSummary,
  noteAggregate,
  noteSummary,
  type PlacementTiming,
  publishAt,
  type SummaryMessage,
} from '../../placement/index.ts'
import { aggregateOfNode } from '../../placement/summary.ts'
import type { CoreEffect } from './effects.ts'
import type { Sink } from './news.ts'

export interface InventoriesOptions {
  readonly self: SignerFacts
  /** This node's as it stands: one that lost its disk goes above what it once said as soon as it hears of it. */
  readonly incarnation: () => number
  readonly timing: PlacementTiming
  readonly book: LeaderBookView
  /** Whether a child of a domain is known to be gone. */
  readonly isGone: (domain: DomainPath, child: ChildId) => boolean
  /** How many nodes the cluster has. */
  readonly members: () => number
}

/** A child said something new. */
export interface InventoryNews {
  readonly kind: 'inventory-news'
  readonly domain: DomainPath
  readonly child: ChildId
}

export type InventoryTurn = readonly [context: StepContext, out: CoreEffect[], news: Sink<InventoryNews>]

export interface Inventories {
  view(domain: DomainPath): InventoryView
  onMessage(opened: Opened<SummaryMessage | AggregateMessage>, ...turn: InventoryTurn): void
  /** What this node would say of itself now. */
  onSummary(summary: NodeSummary, context: StepContext, out: CoreEffect[]): void
  /** A member just came that has heard nothing of this node. */
  onAudience(peer: NodeId, out: CoreEffect[]): void
  onLead(domain: DomainPath, fence: Fence): void
  onUnlead(domain: DomainPath): void
  /** The roster has a member differently: what it said counts as long as it is not gone. */
  onMember(): void
  forget(node: NodeId): void
  summaryOf(node: NodeId): NodeSummary | null
  /** Where in the network a domain is whose aggregate this node hears. */
  networkOf(domain: DomainPath): DomainAggregate['network'] | null
  onWake(context: StepContext, out: CoreEffect[]): void
  wakeAt(): Millis | null
}

/**
 * At most one summary a second is spread in a cluster, whatever its size, and one aggregate in a domain above: each
 * costs every hearer about 0.3 % of a core a second (a mesh of 100 nodes). From 31 nodes on, and from 6 domains on
 * (`lan`), each is heard less often than it would be of fewer, but by the leader.
 */
const SPREAD_INTERVAL_MS: Millis = 1_000

interface Said<T> {
  readonly at: Millis | null
  readonly value: T | null
  readonly sequence: number
}

interface Lead {
  readonly fence: Fence
  said: Said<DomainAggregate>
  /** As for summaries. */
  share: number
  /** Whom it was said to besides, where the domain has many children; the same as `said` where it has few. */
  told: { readonly leader: NodeId; readonly at: Millis; readonly value: DomainAggregate } | null
  /** Whether the aggregate would say enough new; null where that has to be looked at again. */
  isNews: boolean | null
}

/**
 * Crowds wait between half as long and half as long again, drawn each time: those who were switched on together would
 * otherwise speak together for ever.
 */
const SPREAD_JITTER = 0.5

const NOTHING_SAID = { at: null, value: null, sequence: 0 }

export function createInventories(options: InventoriesOptions): Inventories {
  const { self, incarnation, timing, book } = options
  const inventories = new Map<DomainPath, Inventory>(
    chainOf(self.domain).map((domain) => [domain, createInventory(domain)]),
  )
  const inventoryOf = (domain: DomainPath): Inventory => inventories.get(domain) ?? createInventory(domain)
  const leads = new Map<DomainPath, Lead>()
  let latest: NodeSummary | null = null
  let sequence = 0
  let spreadAt: Millis | null = null
  /** Of how long it is until the next one in a crowd: around 1. */
  let share = 1
  /** Whether the latest says enough that the leader was not told; null where that has to be looked at again. */
  let isUntold: boolean | null = null
  let told: { readonly leader: NodeId; readonly at: Millis; readonly summary: NodeSummary } | null = null
  /** What was said under a lower incarnation counts less than what others heard before this node lost its disk. */
  let saidUnder = 0

  const spreadDue = (): Millis => {
    const crowdedMs = options.members() * SPREAD_INTERVAL_MS
    return publishAt(spreadAt, false, 0, 0, crowdedMs > timing.summaryMsMax ? crowdedMs * share : timing.summaryMsMax)
  }

  const drawShare = (random: Random): number => 1 - SPREAD_JITTER + 2 * SPREAD_JITTER * random.next()

  /** The leader is who places by it, so it hears of each change, and the others in their time. */
  const tellDue = (summary: NodeSummary): Millis | null => {
    const leader = book.nodeOf(self.domain)
    if (leader === null) return null
    if (told === null || told.leader !== leader) return 0
    isUntold ??= changedEnough(told.summary, summary)
    return isUntold ? told.at + timing.summaryMsMin : null
  }

  const summaryDue = (): Millis | null => {
    if (latest === null) return null
    return incarnation() > saidUnder ? 0 : earlier(spreadDue(), tellDue(latest))
  }

  const nextSummary = (summary: NodeSummary): SummaryMessage => {
    sequence += 1
    const from = { domain: self.domain, child: self.node, incarnation: incarnation(), sequence }
    return { kind: 'placement/summary', ...from, summary, batches: true }
  }

  const saySummary = ({ now, random }: StepContext, out: CoreEffect[]): void => {
    if (latest === null) return
    if (incarnation() > saidUnder) {
      saidUnder = incarnation()
      told = null
      spreadAt = null
    }
    const leader = book.nodeOf(self.domain)
    const due = tellDue(latest)
    if (leader !== null && due !== null && due <= now) {
      told = { leader, at: now, summary: latest }
      isUntold = null
      const message = nextSummary(latest)
      out.push(leader === self.node ? { kind: 'author', message, topics: [] } : { kind: 'send', to: leader, message })
    }
    if (spreadDue() > now) return
    spreadAt = now
    share = drawShare(random)
    out.push({ kind: 'author', message: nextSummary(latest), topics: [{ domain: self.domain, topic: 'summary' }] })
  }

  /** What the children that are here said, as one. */
  const foldedOf = (domain: DomainPath): DomainAggregate =>
    foldAggregates(
      [...inventoryOf(domain).rows.values()].flatMap(({ news }) => {
        if (options.isGone(domain, news.child)) return []
        return [news.kind === 'node' ? aggregateOfNode(news.summary, domain, news.operator) : news.aggregate]
      }),
    )

  const isNewsOf = (domain: DomainPath, lead: Lead, before: DomainAggregate | null): boolean => {
    lead.isNews ??= before === null || aggregateChangedEnough(before, foldedOf(domain))
    return lead.isNews
  }

  /** When everybody who may come to lead the parent is due to hear of a domain. */
  const aggregateSpreadDue = (domain: DomainPath, lead: Lead): Millis => {
    const { at, value } = lead.said
    const crowdedMs = siblingsOf(domain) * SPREAD_INTERVAL_MS
    if (crowdedMs > timing.aggregateMsMax) return publishAt(at, false, 0, 0, crowdedMs * lead.share)
    return publishAt(at, isNewsOf(domain, lead, value), 0, timing.aggregateMsMin, timing.aggregateMsMax)
  }

  /** And when the parent's leader is, who places by it; null where it hears what everybody hears, or is not known. */
  const aggregateTellDue = (domain: DomainPath, lead: Lead): Millis | null => {
    const parent = parentOf(domain)
    const leader = parent === null ? null : book.nodeOf(parent)
    if (leader === null || siblingsOf(domain) * SPREAD_INTERVAL_MS <= timing.aggregateMsMax) return null
    if (lead.told?.leader !== leader) return 0
    const { at, value } = lead.told
    return publishAt(at, isNewsOf(domain, lead, value), 0, timing.aggregateMsMin, timing.aggregateMsMax)
  }

  /** How many domains the parent is heard to have. */
  const siblingsOf = (domain: DomainPath): number => inventoryOf(parentOf(domain) ?? ROOT).rows.size

  const aggregateDue = (domain: DomainPath, lead: Lead): Millis =>
    earlier(aggregateTellDue(domain, lead), aggregateSpreadDue(domain, lead)) ?? 0

  /** A child said something else, came or went. */
  const reconsider = (): void => {
    for (const lead of leads.values()) lead.isNews = null
  }

  const sayAggregates = ({ now, random }: StepContext, out: CoreEffect[]): void => {
    for (const [child, lead] of leads) {
      const domain = parentOf(child)
      if (domain === null || (lead.said.at !== null && aggregateDue(child, lead) > now)) continue
      const isForAll = aggregateSpreadDue(child, lead) <= now
      const leader = book.nodeOf(domain)
      const aggregate = foldedOf(child)
      const sequence = lead.said.sequence + 1
      if (isForAll) lead.share = drawShare(random)
      lead.said = isForAll ? { at: now, value: aggregate, sequence } : { ...lead.said, sequence }
      lead.told = leader === null ? null : { leader, at: now, value: aggregate }
      lead.isNews = null
      const from = { domain, child, fence: lead.fence, sequence }
      const message: AggregateMessage = { kind: 'placement/aggregate', ...from, aggregate, batches: true }
      if (isForAll) out.push({ kind: 'author', message, topics: [{ domain, topic: 'summary' }] })
      else if (leader === self.node) out.push({ kind: 'author', message, topics: [] })
      else if (leader !== null) out.push({ kind: 'send', to: leader, message })
    }
  }

  return {
    view: (domain) => inventoryOf(domain).rows,
    onMessage: (opened, ...[context, out, news]) => {
      const { message } = opened
      const inventory = inventories.get(message.domain)
      if (inventory === undefined) return
      const outcome =
        message.kind === 'placement/summary'
          ? noteSummary(inventory, { ...opened, message }, context.now)
          : noteAggregate(inventory, { ...opened, message }, book, context.now)
      if (outcome !== 'noted') return
      reconsider()
      news.push({ kind: 'inventory-news', domain: message.domain, child: message.child })
      sayAggregates(context, out)
    },
    onSummary: (summary, context, out) => {
      latest = summary
      isUntold = null
      saySummary(context, out)
    },
    onAudience: (peer, out) => {
      if (latest !== null) out.push({ kind: 'send', to: peer, message: nextSummary(latest) })
    },
    onLead: (domain, fence) => {
      leads.set(domain, { fence, said: NOTHING_SAID, share: 1, told: null, isNews: null })
    },
    onUnlead: (domain) => {
      leads.delete(domain)
    },
    onMember: reconsider,
    forget: (node) => {
      forgetChild(inventoryOf(self.domain), node)
      reconsider()
    },
    summaryOf: (node) => {
      if (node === self.node) return latest
      const news = inventoryOf(self.domain).rows.get(node)?.news
      return news?.kind === 'node' ? news.summary : null
    },
    networkOf: (domain) => {
      const above = parentOf(domain)
      const news = above === null ? undefined : inventories.get(above)?.rows.get(domain)?.news
      return news?.kind === 'domain' ? news.aggregate.network : null
    },
    onWake: (context, out) => {
      saySummary(context, out)
      sayAggregates(context, out)
    },
    wakeAt: () => {
      let at = summaryDue()
      for (const [domain, lead] of leads) if (domain !== ROOT) at = earlier(at, aggregateDue(domain, lead))
      return at
    },
  }
}
