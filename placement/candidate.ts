// A child as a scheduler sees it when it looks for a place: what it has, what is promised already, and how it is
// called. Nodes and domains are seen alike; what a domain does not tell of its devices is left for that domain to
// decide.

import type { ChildId, DomainPath, OperatorId } from '../overlay/kernel/ids.ts'
import { isDomain } from '../overlay/kernel/ids.ts'
import type { Measure } from './nearness.ts'
import { larger, minus, plus, type Resources } from './need.ts'
import { type OthersOffer, ownersOf } from './policy-offer.ts'
import { type ChildNews, callName, capacityOf } from './summary.ts'

export interface Candidate {
  readonly child: ChildId
  readonly kind: 'node' | 'domain'
  readonly name: string
  /** Devices behind it; 1 for a node. */
  readonly devices: number
  readonly total: Resources
  /** What all of it together has left, promises under way included. */
  readonly free: Resources
  /** What its best single device has left for a runtime; null when none offers that runtime. */
  slotFor(runtime: string): Resources | null
  /** Whether its devices take no new work (all of them, for a domain). */
  readonly underPressure: boolean
  /** Whether it takes new work; a domain does while one of its devices does. */
  readonly intake: 'open' | 'cordoned' | 'draining'
  /** Whether the instance in question is placed there already. */
  readonly isPlace: boolean
  /** Its leaf clusters; null when it has more than it named. */
  readonly clusters: readonly DomainPath[] | null
  readonly clusterLabels: readonly string[] | null
  /** As `label=value`; null for a domain, whose devices are its own affair. */
  readonly labels: readonly string[] | null
  /** How far it is from where the service is meant to be, one entry for each constraint that is measured. */
  readonly measures: readonly Measure[]
  /** Instances of the same service that it has already. */
  readonly siblings: number
  /** What its owners give to such a service at most, where it is another operator's than each of theirs. */
  readonly others: OthersOffer | null
}

export interface Promised {
  /** For all other instances. */
  readonly resources: Resources
  /** For the instance in question, where it runs there already: room that it may use again. */
  readonly own: Resources
  readonly isPlace: boolean
  readonly siblings: number
}

/** What counts as taken: what the child says or what its leader placed there, whichever is more. */
export function candidateOf(
  news: ChildNews,
  promised: Promised,
  cluster: { readonly path: DomainPath; readonly labels: readonly string[]; readonly operator?: OperatorId | null },
  measures: readonly Measure[] = [],
): Candidate {
  const { siblings, isPlace } = promised
  const others = offerTo(news, cluster.operator ?? null)
  const common = { child: news.child, name: callName(news), siblings, isPlace, measures, others }
  if (news.kind === 'node') {
    const { summary } = news
    const total = capacityOf(summary)
    const free = minus(total, larger(minus(summary.reserved, promised.own), promised.resources))
    return {
      ...common,
      kind: 'node',
      devices: 1,
      total,
      free,
      slotFor: (runtime) => (summary.runtimes.some(({ name }) => name === runtime) ? free : null),
      underPressure: summary.pressure >= 2,
      intake: summary.intake ?? 'open',
      clusters: [cluster.path],
      clusterLabels: cluster.labels,
      // Only where a selector asks for it: a leader looks at a thousand candidates for each instance.
      get labels() {
        return Object.entries(summary.labels).map(([label, value]) => `${label}=${value}`)
      },
    }
  }
  const { aggregate } = news
  return {
    ...common,
    kind: 'domain',
    devices: aggregate.nodes,
    total: aggregate.total,
    free: minus(aggregate.total, larger(minus(aggregate.reserved, promised.own), promised.resources)),
    slotFor: (runtime) => {
      const slots = aggregate.slots.filter((slot) => slot.runtime === runtime).map((slot) => slot.free)
      return slots.length === 0 ? null : plus(slots.reduce(larger), promised.own)
    },
    underPressure: aggregate.nodes > 0 && aggregate.tainted === aggregate.nodes,
    intake: aggregate.nodes > 0 && aggregate.closed === aggregate.nodes ? 'cordoned' : 'open',
    clusters: aggregate.clustersCut ? null : aggregate.clusters,
    clusterLabels: aggregate.labelsCut ? null : aggregate.labels,
    labels: null,
  }
}

/** Null where a device of the operator's own may take it, or where nothing is known of whose devices they are. */
function offerTo(news: ChildNews, operator: OperatorId | null): OthersOffer | null {
  const owners = ownersOf(news)
  if (operator === null || owners.length === 0 || owners.includes(operator)) return null
  return (news.kind === 'node' ? news.summary.others : news.aggregate.others) ?? null
}

/** What a cluster is called: its path, the path without the first slash, and its last segment. */
export const clusterNames = (path: DomainPath): readonly string[] => [
  path,
  path.slice(1),
  path.slice(path.lastIndexOf('/') + 1),
]

/** What a node is called: its name and its id. */
export const nodeNames = (candidate: Candidate): readonly string[] =>
  isDomain(candidate.child) ? [] : [candidate.name, candidate.child]
