// Where an instance could go: the children of a domain in the order in which to ask them, and why the others are left
// out.

import type { ChildId, DomainPath, InstanceKey, NodeId, OperatorId, ServiceId } from '../overlay/kernel/ids.ts'
import { chainOf, isDomain } from '../overlay/kernel/ids.ts'
import type { Millis } from '../overlay/kernel/time.ts'
import { type Candidate, candidateOf, clusterNames } from './candidate.ts'
import { ruledOutBy } from './constraint.ts'
import type { InventoryView } from './inventory.ts'
import { type Ledger, promisedTo } from './ledger.ts'
import { isMeasured, type Measure, nearnessOf } from './nearness.ts'
import type { SchedulerPlugin } from './plugin.ts'
import { type Reason, refusal } from './refusal.ts'
import { parseSelector, type Subject } from './selector.ts'
import type { ServiceSpec } from './spec.ts'
import type { ChildNews } from './summary.ts'
import type { ChildView } from './view.ts'

export interface PlanInput {
  readonly key: InstanceKey
  readonly spec: ServiceSpec
  readonly domain: DomainPath
  readonly children: readonly ChildView[]
  readonly inventory: InventoryView
  readonly ledger: Ledger
  readonly plugin: SchedulerPlugin
  /** The child that runs it already and is asked first, if it may be. */
  readonly current: ChildId | null
  /** The child that goes on running it until another one does. */
  readonly leaving: ChildId | null
  /** A selector of the nodes and clusters that may take it; null for any. */
  readonly to: string | null
  /** Children that were asked in this round. */
  readonly tried: ReadonlySet<ChildId>
  readonly avoid: ReadonlyMap<ChildId, Avoided>
  /** Whose service it is, where that is known. */
  readonly operator?: OperatorId | null
  /** Nodes that the parent does not want. */
  readonly avoidNodes: readonly NodeId[]
  readonly now: Millis
  /** The children that run another service, where a constraint is measured to it. */
  readonly runs?: (service: ServiceId) => readonly ChildId[]
}

/** A child that failed an instance, how, and until when it is passed over. */
export interface Avoided {
  readonly until: Millis
  readonly detail: string
}

export interface RankedChild {
  readonly child: ChildId
  readonly score: number
  readonly reason: string
}

export interface Plan {
  /** Best first; ties go by id, so that every leader would choose the same. */
  readonly ranked: readonly RankedChild[]
  readonly ruledOut: readonly Reason[]
}

export function planInstance(input: PlanInput): Plan {
  const ranked: RankedChild[] = []
  const ruledOut: Reason[] = []
  const candidates: Candidate[] = []
  const labels = clusterLabels(input.spec, input.inventory)
  const { spec, domain, inventory, runs = () => [] } = input
  const measure = isMeasured(spec) ? nearnessOf(spec, { inventory, domain, runs }) : () => []
  const named = namedBy(input)
  for (const child of input.children) {
    if (input.tried.has(child.child)) continue
    const isMeant = named === null || named.has(child.child)
    const found = isMeant
      ? candidateFor(input, child, labels, measure)
      : refusal('not-meant', input.to ?? '', devicesOf(input.inventory, child.child))
    if ('code' in found) ruledOut.push(found)
    else candidates.push(found)
  }
  const judgements = input.plugin.judge(input.spec, candidates)
  for (const [index, { child }] of candidates.entries()) {
    const judgement = judgements[index]
    if (judgement?.kind === 'refused') ruledOut.push(judgement.reason)
    if (judgement?.kind !== 'scored') continue
    const { value, reason } = judgement.score
    ranked.push({ child, score: Math.min(1, Math.max(0, value)), reason })
  }
  ranked.sort((a, b) => (isBefore(a, b, input.current) ? -1 : 1))
  return { ranked, ruledOut }
}

type Ranked = Pick<RankedChild, 'child' | 'score'>

/** Whether a child is asked before another one: the one that has it, then by score, then by id. */
export function isBefore(a: Ranked, b: Ranked, current: ChildId | null): boolean {
  if ((a.child === current) !== (b.child === current)) return a.child === current
  return a.score === b.score ? a.child < b.child : a.score > b.score
}

/**
 * The children that the selector names, by themselves or their clusters; null when it names none of the domains here:
 * they may know a node of that name.
 */
function namedBy({ to, domain, children, inventory }: PlanInput): ReadonlySet<ChildId> | null {
  if (to === null) return null
  const parsed = parseSelector(to)
  const selects = parsed.ok ? parsed.value : () => false
  const named = children.filter(({ child }) => {
    const news = inventory.get(child)?.news
    return news !== undefined && selects(subjectOf(news, domain))
  })
  if (named.length === 0 && children.some(({ child }) => isDomain(child))) return null
  return new Set(named.map(({ child }) => child))
}

/** What a selector may call a child: a node by its names and its cluster's, a domain by those of its clusters. */
function subjectOf(news: ChildNews, domain: DomainPath): Subject {
  if (news.kind === 'domain') {
    const { clusters, labels } = news.aggregate
    return { names: [...clusterNames(news.child), ...clusters.flatMap(clusterNames)], labels }
  }
  const { name, labels } = news.summary
  const own = Object.entries(labels).map(([label, value]) => `${label}=${value}`)
  return { names: [name, news.child, ...chainOf(domain).flatMap(clusterNames)], labels: own }
}

/** How many devices stand behind a child, as far as is known. */
export function devicesOf(inventory: InventoryView, child: ChildId): number {
  const news = inventory.get(child)?.news
  return news?.kind === 'domain' ? news.aggregate.nodes : 1
}

/** The child as a candidate, or what rules it out under every scheduler. */
export function candidateFor(
  input: PlanInput,
  { child, alive, canWork }: ChildView,
  labels: readonly string[],
  measure: (news: ChildNews) => readonly Measure[] = () => [],
): Candidate | Reason {
  const devices = devicesOf(input.inventory, child)
  if (!alive) return refusal('silent', '', devices)
  if (!canWork) return refusal('cannot-work', '', devices)
  const row = input.inventory.get(child)
  if (row === undefined) return refusal('no-summary', '', devices)
  if (row.news.kind === 'domain' && row.news.aggregate.nodes === 0) return refusal('no-devices')
  if (child === input.leaving) return refusal('runs-there', '', devices)
  if (!isDomain(child) && input.avoidNodes.includes(child)) return refusal('avoided', '', devices)
  const avoided = input.avoid.get(child)
  if (avoided !== undefined && avoided.until > input.now) return refusal('failed-there', avoided.detail, devices)
  const promised = promisedTo(input.ledger, child, input.key)
  const cluster = { path: input.domain, labels, operator: input.operator ?? null }
  const candidate = candidateOf(row.news, promised, cluster, measure(row.news))
  return ruledOutBy(input.spec, candidate) ?? candidate
}

/** The labels of a cluster are those of its nodes; gathered only where a selector asks for them. */
export function clusterLabels(spec: ServiceSpec, inventory: InventoryView): readonly string[] {
  const asks = spec.constraints.some(({ cluster, clusters }) => cluster !== null || clusters.length > 0)
  if (!asks) return []
  const labels = new Set<string>()
  for (const { news } of inventory.values()) {
    if (news.kind !== 'node') continue
    for (const [label, value] of Object.entries(news.summary.labels)) labels.add(`${label}=${value}`)
  }
  return [...labels]
}
