// What each child last said it has, per domain that this node may come to lead, and what this node itself says: its
// summary in the cluster, and for each domain that it leads the aggregate one level up.

import type { Fence, LeaderBookView } from '../../election/index.ts'
import { type ChildId, chainOf, type DomainPath, type NodeId, parentOf, ROOT } from '../../overlay/kernel/ids.ts'
import type { StepContext } from '../../overlay/kernel/machine.ts'
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
  readonly incarnation: number
  readonly timing: PlacementTiming
  readonly book: LeaderBookView
  /** Whether a child of a domain is known to be gone. */
  readonly isGone: (domain: DomainPath, child: ChildId) => boolean
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
  /** Somebody needs to hear it who may not have: another leader, or a member that just came. */
  onAudience(): void
  onLead(domain: DomainPath, fence: Fence): void
  onUnlead(domain: DomainPath): void
  /** The roster has a member differently: what it said counts as long as it is not gone. */
  onMember(): void
  forget(node: NodeId): void
  summaryOf(node: NodeId): NodeSummary | null
  onWake(context: StepContext, out: CoreEffect[]): void
  wakeAt(): Millis | null
}

interface Said<T> {
  readonly at: Millis | null
  readonly value: T | null
  readonly sequence: number
}

interface Lead {
  readonly fence: Fence
  said: Said<DomainAggregate>
  /** Whether the aggregate would say enough new; null where that has to be looked at again. */
  isNews: boolean | null
}

const NOTHING_SAID = { at: null, value: null, sequence: 0 }

export function createInventories(options: InventoriesOptions): Inventories {
  const { self, incarnation, timing, book } = options
  const inventories = new Map<DomainPath, Inventory>(
    chainOf(self.domain).map((domain) => [domain, createInventory(domain)]),
  )
  const inventoryOf = (domain: DomainPath): Inventory => inventories.get(domain) ?? createInventory(domain)
  const leads = new Map<DomainPath, Lead>()
  let latest: NodeSummary | null = null
  let said: Said<NodeSummary> = NOTHING_SAID
  /** Whether the latest says enough new; null where that has to be looked at again. */
  let isLatestNews: boolean | null = null

  const summaryDue = (): Millis | null => {
    if (latest === null) return null
    isLatestNews ??= said.value === null || changedEnough(said.value, latest)
    return publishAt(said.at, isLatestNews, 0, timing.summaryMsMin, timing.summaryMsMax)
  }

  const saySummary = ({ now }: StepContext, out: CoreEffect[]): void => {
    const due = summaryDue()
    if (latest === null || due === null || (said.at !== null && due > now)) return
    said = { at: now, value: latest, sequence: said.sequence + 1 }
    isLatestNews = null
    const { node: child, domain } = self
    const { sequence } = said
    const message: SummaryMessage = { kind: 'placement/summary', domain, child, incarnation, sequence, summary: latest }
    out.push({ kind: 'author', message, topics: [{ domain, topic: 'summary' }] })
  }

  /** What the children that are here said, as one. */
  const foldedOf = (domain: DomainPath): DomainAggregate =>
    foldAggregates(
      [...inventoryOf(domain).rows.values()].flatMap(({ news }) => {
        if (options.isGone(domain, news.child)) return []
        return [news.kind === 'node' ? aggregateOfNode(news.summary, domain) : news.aggregate]
      }),
    )

  const aggregateDue = (domain: DomainPath, lead: Lead): Millis => {
    const { said: before } = lead
    lead.isNews ??= before.value === null || aggregateChangedEnough(before.value, foldedOf(domain))
    return publishAt(before.at, lead.isNews, 0, timing.aggregateMsMin, timing.aggregateMsMax)
  }

  /** A child said something else, came or went. */
  const reconsider = (): void => {
    for (const lead of leads.values()) lead.isNews = null
  }

  const sayAggregates = ({ now }: StepContext, out: CoreEffect[]): void => {
    for (const [child, lead] of leads) {
      const domain = parentOf(child)
      if (domain === null || (lead.said.at !== null && aggregateDue(child, lead) > now)) continue
      const aggregate = foldedOf(child)
      const sequence = lead.said.sequence + 1
      lead.said = { at: now, value: aggregate, sequence }
      lead.isNews = null
      const { fence } = lead
      const message: AggregateMessage = { kind: 'placement/aggregate', domain, child, fence, sequence, aggregate }
      out.push({ kind: 'author', message, topics: [{ domain, topic: 'summary' }] })
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
      isLatestNews = null
      saySummary(context, out)
    },
    onAudience: () => {
      said = { ...said, value: null }
      isLatestNews = null
    },
    onLead: (domain, fence) => {
      leads.set(domain, { fence, said: NOTHING_SAID, isNews: null })
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
      const news = inventoryOf(self.domain).rows.get(node)?.news
      return news?.kind === 'node' ? news.summary : null
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
