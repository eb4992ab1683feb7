// For the tests of this folder only: who leads which domain, by whose proof; and what devices say of themselves.

import { type DomainPath, type NodeId, nodeId, ROOT } from '../overlay/kernel/ids.ts'
import type { Opened } from '../overlay/wire/envelope.ts'
import type { LeaderBook } from '../services-registry/leaders.ts'
import type { Fence } from '../services-registry/record.ts'
import type { InventoryView } from './inventory.ts'
import { factsOf, openedBy } from './placement-fixtures.ts'
import { type AggregateMessage, foldAggregate, type NodeSummary, type SummaryMessage } from './summary.ts'

export interface Leader {
  readonly node: NodeId
  readonly fence: Fence
}

/** Every leader that there ever was, and those there are. */
export class LeaderTable implements LeaderBook {
  readonly #proofs = new Map<string, NodeId>()
  readonly #current = new Map<DomainPath, Leader>()

  leaderAt = (domain: DomainPath, { epoch, term }: Fence): NodeId | null =>
    this.#proofs.get(`${domain} ${epoch} ${term}`) ?? null

  current = (domain: DomainPath): Leader | null => this.#current.get(domain) ?? null

  /** Makes a node the leader, in a term of its own. */
  elect(domain: DomainPath, node: NodeId): Leader {
    const fence = { epoch: 1, term: (this.#current.get(domain)?.fence.term ?? 0) + 1 }
    this.#proofs.set(`${domain} ${fence.epoch} ${fence.term}`, node)
    this.#current.set(domain, { node, fence })
    return { node, fence }
  }

  nodeOf = (domain: DomainPath): NodeId => this.#current.get(domain)?.node ?? nodeId('')
}

export interface Speaker {
  readonly id: NodeId
  readonly domain: DomainPath
  readonly incarnation: number
  readonly sequence: number
  readonly summary: NodeSummary
}

export function summaryBy({ id, domain, incarnation, sequence, summary }: Speaker): Opened<SummaryMessage> {
  const from = { domain, child: id, incarnation, sequence }
  const message = { kind: 'placement/summary' as const, ...from, summary, batches: true }
  return openedBy(factsOf(id, domain), message)
}

/** What a cluster's leader says one level up. */
export function aggregateBy(speaker: Speaker, fence: Fence, rows: InventoryView): Opened<AggregateMessage> {
  const { id, domain: child, sequence } = speaker
  const summaries = [...rows.values()].flatMap(({ news }) => (news.kind === 'node' ? [news.summary] : []))
  const aggregate = foldAggregate(summaries, child)
  const from = { domain: ROOT, child, fence, sequence }
  const message = { kind: 'placement/aggregate' as const, ...from, aggregate, batches: true }
  return openedBy(factsOf(id, child), message)
}
