// What each child of a domain last said it has: one row per child, the newest word kept. The table is filled here and
// nowhere else; everyone else reads it.

import type { ChildId, DomainPath } from '../overlay/kernel/ids.ts'
import { isWithin } from '../overlay/kernel/ids.ts'
import type { Millis } from '../overlay/kernel/time.ts'
import type { Opened } from '../overlay/wire/envelope.ts'
import type { LeaderBook } from '../services-registry/leaders.ts'
import { compareFences, type Fence } from '../services-registry/record.ts'
import { INVENTORY_CHILDREN_MAX } from './constants.ts'
import type { AggregateMessage, ChildNews, SummaryMessage } from './summary.ts'

export interface InventoryRow {
  readonly news: ChildNews
  readonly arrivedAt: Millis
  /** The order of a child's words: a node's incarnation as epoch, a domain's fence; then the sequence. */
  readonly fence: Fence
  readonly sequence: number
}

export type InventoryView = ReadonlyMap<ChildId, InventoryRow>

export interface Inventory {
  readonly domain: DomainPath
  readonly rows: Map<ChildId, InventoryRow>
}

export type NoteOutcome = 'noted' | 'older' | 'not-its-own' | 'unproven' | 'full'

export const createInventory = (domain: DomainPath): Inventory => ({ domain, rows: new Map() })

/** Notes a node's summary. A node speaks for itself only, and in its own cluster. */
export function noteSummary(inventory: Inventory, opened: Opened<SummaryMessage>, now: Millis): NoteOutcome {
  const { domain, child, incarnation, sequence, summary, batches = false } = opened.message
  const own = opened.from === child && opened.signer.domain === domain && domain === inventory.domain
  if (!own) return 'not-its-own'
  return note(inventory, {
    news: { kind: 'node', child, summary, operator: opened.signer.operator, batches },
    arrivedAt: now,
    fence: { epoch: incarnation, term: 0 },
    sequence,
  })
}

/** Notes what a child domain's proven leader said of it. */
export function noteAggregate(
  inventory: Inventory,
  opened: Opened<AggregateMessage>,
  leaders: LeaderBook,
  now: Millis,
): NoteOutcome {
  const { domain, child, fence, sequence, aggregate, batches = false } = opened.message
  const own = domain === inventory.domain && child !== domain && isWithin(child, domain)
  if (!own || !isWithin(opened.signer.domain, child)) return 'not-its-own'
  if (leaders.leaderAt(child, fence) !== opened.from) return 'unproven'
  return note(inventory, { news: { kind: 'domain', child, aggregate, batches }, arrivedAt: now, fence, sequence })
}

/** Forgets a child that is gone for good. */
export const forgetChild = (inventory: Inventory, child: ChildId): boolean => inventory.rows.delete(child)

function note(inventory: Inventory, row: InventoryRow): NoteOutcome {
  const { child } = row.news
  const known = inventory.rows.get(child)
  if (known === undefined && inventory.rows.size >= INVENTORY_CHILDREN_MAX) return 'full'
  const order = known === undefined ? 1 : compareFences(row.fence, known.fence) || row.sequence - known.sequence
  if (order <= 0) return 'older'
  inventory.rows.set(child, row)
  return 'noted'
}
