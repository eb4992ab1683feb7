// What a node says of itself, and what a domain says of all its nodes together. A sensor that is missing is an absent
// field; nothing is invented. Beyond its domain a device is seen only as part of an aggregate.

import { circleAround, circleAt } from '../overlay/coordinates/distance.ts'
import { ballAround, DIMENSIONS, distanceMs, ERROR_MAX, ERROR_TRUSTED } from '../overlay/coordinates/vivaldi.ts'
import type { DomainPath, NodeId, OperatorId } from '../overlay/kernel/ids.ts'
import {
  dictionary,
  flag,
  type Infer,
  list,
  literal,
  number,
  object,
  optional,
  text,
  whole,
} from '../overlay/wire/schema.ts'
import { fenceSchema } from '../services-registry/record.ts'
import {
  AGGREGATE_CLUSTERS_MAX,
  AGGREGATE_LABELS_MAX,
  AGGREGATE_OWNERS_MAX,
  AGGREGATE_SLOTS_MAX,
  MEMORY_SHARE,
} from './constants.ts'
import { covers, larger, minus, NOTHING, plus, type Resources } from './need.ts'
import { foldOffers, othersOfferSchema } from './policy-offer.ts'
import { placeSchema } from './spec.ts'

const amount = number(0, 1e15)
export const resourcesSchema = object({
  vcpus: amount,
  memoryMb: amount,
  vgpus: amount,
  vtpus: amount,
  storageMb: amount,
  inMbit: amount,
  outMbit: amount,
})

const coordinateSchema = object({
  vector: list(number(-1e4, 1e4), DIMENSIONS),
  height: number(0, 1e4),
  error: number(0, ERROR_MAX),
})

export const nodeSummarySchema = object({
  name: text(63),
  cores: number(0, 1e5),
  /** Load average per core, from 0. */
  load: optional(amount),
  /** Share of all cores in use, 0 to 1. */
  cpuUsed: optional(number(0, 1)),
  memoryMb: object({ total: amount, free: amount }),
  diskMb: optional(object({ total: amount, free: amount })),
  network: optional(object({ inBytesPerS: amount, outBytesPerS: amount })),
  /** Mbit/s of its fastest connected network device. */
  linkMbit: optional(number(0, 1e7)),
  gpus: list(text(128), 32),
  /** Processors for tensors, by count. */
  tpus: optional(whole(0, 1_000)),
  architecture: text(32),
  os: text(64),
  runtimes: list(object({ name: text(32), version: text(128) }), 16),
  labels: dictionary(text(255), 64),
  power: optional(literal('mains', 'battery')),
  temperatureC: optional(number(-100, 300)),
  /** Where it stands, as its operator says. */
  location: optional(placeSchema),
  /** Where it is in the network, as it found out by measuring. */
  coordinate: optional(coordinateSchema),
  /** Whether it takes new work; `draining` also gives away what it has. Open when absent. */
  intake: optional(literal('open', 'cordoned', 'draining')),
  /** What its owner's policy gives to other operators, at most. */
  others: optional(othersOfferSchema),
  /** 0 normal, 1 restricted, 2 tainted (DESIGN section 9). */
  pressure: whole(0, 2),
  /** Instances that it runs, and what they and open offers were promised. */
  instances: whole(0, 100_000),
  reserved: resourcesSchema,
})
export type NodeSummary = Infer<typeof nodeSummarySchema>

export const domainAggregateSchema = object({
  nodes: whole(0, 1_000_000),
  /** Nodes that were closed to new work (cordoned or draining). */
  closed: optional(whole(0, 1_000_000)),
  /** Nodes at pressure 1 or above, and those at 2, which take no new work. */
  pressed: whole(0, 1_000_000),
  tainted: whole(0, 1_000_000),
  instances: whole(0, 10_000_000),
  total: resourcesSchema,
  reserved: resourcesSchema,
  /** The largest free amount of each resource on one device, per runtime and architecture. */
  slots: list(object({ runtime: text(32), architecture: text(32), free: resourcesSchema }), AGGREGATE_SLOTS_MAX),
  /** Labels that at least one device has, as `label=value`. */
  labels: list(text(320), AGGREGATE_LABELS_MAX),
  labelsCut: flag,
  /** The leaf clusters inside. */
  clusters: list(text<DomainPath>(256), AGGREGATE_CLUSTERS_MAX),
  clustersCut: flag,
  /** Whose devices they are; absent where there are more than it names, or somebody did not say. */
  owners: optional(list(text<OperatorId>(128), AGGREGATE_OWNERS_MAX)),
  /** What their owners' policies give to other operators, at most; absent where one did not say. */
  others: optional(othersOfferSchema),
  /** A circle around all devices that say where they stand. */
  area: optional(object({ centre: placeSchema, radiusKm: number(0, 50_000) })),
  /** The middle of all coordinates that can be believed, with the least height, and how far the farthest is from it. */
  network: optional(object({ centre: coordinateSchema, radiusMs: number(0, 1e5) })),
})
export type DomainAggregate = Infer<typeof domainAggregateSchema>

export const summarySchema = object({
  kind: literal('placement/summary'),
  domain: text<DomainPath>(256),
  child: text<NodeId>(128),
  incarnation: whole(),
  sequence: whole(),
  summary: nodeSummarySchema,
  batches: optional(flag),
})
export type SummaryMessage = Infer<typeof summarySchema>

export const aggregateSchema = object({
  kind: literal('placement/aggregate'),
  /** The domain on whose topic it is published, and its child that it speaks for. */
  domain: text<DomainPath>(256),
  child: text<DomainPath>(256),
  /** The fence of the child's leader who folded it: a newer leader's word replaces an older one's. */
  fence: fenceSchema,
  sequence: whole(),
  aggregate: domainAggregateSchema,
  batches: optional(flag),
})
export type AggregateMessage = Infer<typeof aggregateSchema>

/** What a child can take: a node exactly, a domain by its totals and its largest slots. */
export type ChildNews = (
  | {
      readonly kind: 'node'
      readonly child: NodeId
      readonly summary: NodeSummary
      /** Whose device it is, where that is known. */
      readonly operator?: OperatorId
    }
  | { readonly kind: 'domain'; readonly child: DomainPath; readonly aggregate: DomainAggregate }
) & {
  /** Whether it reads asks for several instances; one that says nothing is asked for each by itself. */
  readonly batches?: boolean
}

/** What a device may promise in all; a share of its memory stays with its system. */
export const capacityOf = (summary: NodeSummary): Resources => ({
  vcpus: summary.cores,
  memoryMb: summary.memoryMb.total * MEMORY_SHARE,
  vgpus: summary.gpus.length,
  vtpus: summary.tpus ?? 0,
  storageMb: summary.diskMb?.free ?? 0,
  inMbit: summary.linkMbit ?? UNKNOWN_MBIT,
  outMbit: summary.linkMbit ?? UNKNOWN_MBIT,
})

/** What a device whose link says nothing is taken to have: it cannot be judged, and is not refused for that. */
const UNKNOWN_MBIT = 1e9

/** A node seen as a domain of one, in the cluster `domain`. */
export function aggregateOfNode(summary: NodeSummary, domain: DomainPath, operator?: OperatorId): DomainAggregate {
  const total = capacityOf(summary)
  const { location, coordinate, others } = summary
  const isKnown = coordinate !== undefined && coordinate.error <= ERROR_TRUSTED
  const isClosed = (summary.intake ?? 'open') !== 'open'
  const free = summary.pressure >= 2 || isClosed ? NOTHING : minus(total, summary.reserved)
  return {
    nodes: 1,
    closed: isClosed ? 1 : 0,
    pressed: summary.pressure > 0 ? 1 : 0,
    tainted: summary.pressure >= 2 ? 1 : 0,
    instances: summary.instances,
    total,
    reserved: summary.reserved,
    slots: summary.runtimes.map(({ name }) => ({ runtime: name, architecture: summary.architecture, free })),
    labels: Object.entries(summary.labels).map(([label, value]) => `${label}=${value}`),
    labelsCut: false,
    clusters: [domain],
    clustersCut: false,
    ...(operator !== undefined && { owners: [operator] }),
    ...(others && { others }),
    ...(location && { area: circleAt(location) }),
    ...(isKnown && { network: { centre: coordinate, radiusMs: 0 } }),
  }
}

/**
 * Folds what the children said into what the domain says. A slot takes the largest of each resource, perhaps from
 * different devices: it may promise too much, never too little, and the child that is asked knows better.
 */
export function foldAggregates(parts: readonly DomainAggregate[]): DomainAggregate {
  const slots = new Map<string, DomainAggregate['slots'][number]>()
  const labels = new Set<string>()
  const clusters = new Set<DomainPath>()
  for (const part of parts) {
    for (const label of part.labels) labels.add(label)
    for (const cluster of part.clusters) clusters.add(cluster)
    for (const slot of part.slots) {
      const key = `${slot.runtime} ${slot.architecture}`
      const known = slots.get(key)
      slots.set(key, known === undefined ? slot : { ...slot, free: larger(known.free, slot.free) })
    }
  }
  const count = (of: (part: DomainAggregate) => number): number => parts.reduce((sum, part) => sum + of(part), 0)
  const add = (of: (part: DomainAggregate) => Resources): Resources =>
    parts.reduce((sum, part) => plus(sum, of(part)), NOTHING)
  return {
    nodes: count((part) => part.nodes),
    closed: count((part) => part.closed ?? 0),
    pressed: count((part) => part.pressed),
    tainted: count((part) => part.tainted),
    instances: count((part) => part.instances),
    total: add((part) => part.total),
    reserved: add((part) => part.reserved),
    slots: [...slots.values()].slice(0, AGGREGATE_SLOTS_MAX),
    labels: [...labels].sort().slice(0, AGGREGATE_LABELS_MAX),
    labelsCut: labels.size > AGGREGATE_LABELS_MAX || parts.some((part) => part.labelsCut),
    clusters: [...clusters].sort().slice(0, AGGREGATE_CLUSTERS_MAX),
    clustersCut: clusters.size > AGGREGATE_CLUSTERS_MAX || parts.some((part) => part.clustersCut),
    ...ownershipOf(parts),
    ...whereaboutsOf(parts),
  }
}

/** Said only where every part said it: what is not known rules nobody out. */
function ownershipOf(parts: readonly DomainAggregate[]): Pick<DomainAggregate, 'owners' | 'others'> {
  const owners = [...new Set(parts.flatMap((part) => part.owners ?? []))].sort()
  const offers = parts.flatMap((part) => part.others ?? [])
  const isKnown = parts.length > 0 && parts.every((part) => part.owners !== undefined)
  return {
    ...(isKnown && owners.length <= AGGREGATE_OWNERS_MAX && { owners }),
    ...(offers.length > 0 && offers.length === parts.length && { others: foldOffers(offers) }),
  }
}

function whereaboutsOf(parts: readonly DomainAggregate[]): Pick<DomainAggregate, 'area' | 'network'> {
  const area = circleAround(parts.flatMap((part) => part.area ?? []))
  const network = ballAround(parts.flatMap((part) => part.network ?? []))
  return { ...(area && { area }), ...(network && { network }) }
}

/** The aggregate of a cluster from its nodes' summaries. */
export const foldAggregate = (summaries: Iterable<NodeSummary>, domain: DomainPath): DomainAggregate =>
  foldAggregates([...summaries].map((summary) => aggregateOfNode(summary, domain)))

/** What counts as news: a number that moved by more than this share of its whole (DESIGN section 7). */
export const CHANGE_SHARE = 0.05

/**
 * Whether a summary says enough new to be published before its time: more than 5 % of something, or any change of
 * state.
 */
export function changedEnough(previous: NodeSummary, next: NodeSummary): boolean {
  if (stateOf(previous) !== stateOf(next)) return true
  const moved = (a: number | undefined, b: number | undefined, whole: number): boolean =>
    (a === undefined) !== (b === undefined) || Math.abs((a ?? 0) - (b ?? 0)) > CHANGE_SHARE * Math.max(whole, 1e-9)
  return (
    moved(previous.load, next.load, 1) ||
    moved(previous.cpuUsed, next.cpuUsed, 1) ||
    moved(previous.memoryMb.free, next.memoryMb.free, next.memoryMb.total) ||
    moved(previous.diskMb?.free, next.diskMb?.free, next.diskMb?.total ?? 0) ||
    moved(previous.temperatureC, next.temperatureC, 100) ||
    resourcesMoved(previous.reserved, next.reserved, capacityOf(next)) ||
    hasDrifted(previous.coordinate, next.coordinate)
  )
}

/** Coordinates wander a little all the time; what moved by less than this changes no decision. A guess. */
const DRIFT_MS = 2

function hasDrifted(a: NodeSummary['coordinate'], b: NodeSummary['coordinate']): boolean {
  if (a === undefined || b === undefined) return a !== b
  const isTrustedNow = a.error > ERROR_TRUSTED && b.error <= ERROR_TRUSTED
  return isTrustedNow || distanceMs(a.vector, b.vector) > DRIFT_MS
}

/** Whether an aggregate says enough new to be published before its time. */
export function aggregateChangedEnough(previous: DomainAggregate, next: DomainAggregate): boolean {
  const facts = (aggregate: DomainAggregate): string => {
    const { nodes, closed = 0, pressed, tainted, labels, clusters, area, slots, owners, others } = aggregate
    return JSON.stringify([
      nodes,
      owners ?? null,
      others ?? null,
      closed,
      pressed,
      tainted,
      labels,
      clusters,
      area ?? null,
      slots.map((slot) => [slot.runtime, slot.architecture]),
    ])
  }
  if (facts(previous) !== facts(next)) return true
  if (hasDrifted(previous.network?.centre, next.network?.centre)) return true
  return next.slots.some((slot, index) => {
    const before = previous.slots[index]
    return before === undefined || resourcesMoved(before.free, slot.free, slot.free)
  })
}

/** When a summary or aggregate is published: at once when news is due, at the latest after `msMax`. */
export function publishAt(last: number | null, news: boolean, now: number, msMin: number, msMax: number): number {
  if (last === null) return now
  return last + (news ? msMin : msMax)
}

const stateOf = (summary: NodeSummary): string =>
  JSON.stringify([
    summary.name,
    summary.cores,
    summary.memoryMb.total,
    summary.gpus,
    summary.runtimes,
    Object.entries(summary.labels).sort(),
    summary.power ?? null,
    summary.location ?? null,
    summary.pressure,
    summary.intake ?? 'open',
    summary.others ?? null,
    summary.instances,
  ])

function resourcesMoved(a: Resources, b: Resources, whole: Resources): boolean {
  const moved = (x: number, y: number, of: number): boolean => !covers(CHANGE_SHARE * of, Math.abs(x - y))
  return (
    moved(a.vcpus, b.vcpus, whole.vcpus) ||
    moved(a.memoryMb, b.memoryMb, whole.memoryMb) ||
    moved(a.vgpus, b.vgpus, whole.vgpus) ||
    moved(a.vtpus, b.vtpus, whole.vtpus) ||
    moved(a.storageMb, b.storageMb, whole.storageMb) ||
    moved(a.inMbit, b.inMbit, whole.inMbit) ||
    moved(a.outMbit, b.outMbit, whole.outMbit)
  )
}

/** How a child is called in a sentence. */
export const callName = (news: ChildNews): string => (news.kind === 'node' ? news.summary.name : news.child)
