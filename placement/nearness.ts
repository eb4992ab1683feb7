// How far each child is from where a service is meant to be: kilometres to a place, milliseconds to users, to nodes or
// to another service. What is known is measured or predicted from coordinates; where nothing is known nothing is
// invented, and the measure says so.

import { type Circle, circleAt, nearestKm, type Place } from '../overlay/coordinates/distance.ts'
import { MS_PER_KM, trilaterate } from '../overlay/coordinates/trilateration.ts'
import { type Ball, type Coordinate, ERROR_TRUSTED, nearestMs } from '../overlay/coordinates/vivaldi.ts'
import type { ChildId, DomainPath, ServiceId } from '../overlay/kernel/ids.ts'
import { clusterNames } from './candidate.ts'
import type { Demand } from './demand.ts'
import type { InventoryView } from './inventory.ts'
import { parseSelector } from './selector.ts'
import type { Constraint, ServiceSpec } from './spec.ts'
import type { ChildNews } from './summary.ts'

/** One measured constraint of a service, held against one child. */
export interface Measure {
  readonly kind: 'geo' | 'latency' | 'bandwidth'
  /** What it is measured to: `52.5,13.4`, `/berlin`, a service. */
  readonly to: string
  /** Null where it cannot be judged. Of a domain the best that any device of it may have. */
  readonly value: number | null
  /** In km, ms or Mbit/s. The last is a least, the others are a most. */
  readonly threshold: number
  readonly rigidness: number
  readonly convergenceMs: number
}

/** What is known of all children together. */
export interface Surroundings {
  readonly inventory: InventoryView
  /** The cluster or domain whose children they are. */
  readonly domain: DomainPath
  /** The children that run a service. */
  readonly runs: (service: ServiceId) => readonly ChildId[]
}

export const breaks = ({ kind, value, threshold }: Measure): boolean =>
  value !== null && (kind === 'bandwidth' ? value < threshold : value > threshold)

/** Whether a service has a constraint that is measured. */
export const isMeasured = ({ constraints }: Pick<Demand, 'constraints'>): boolean =>
  constraints.some(({ geo, latency, bandwidth }) => (geo ?? latency ?? bandwidth) !== undefined)

/** Looks up once where the service is meant to be; what it returns measures one child after the other. */
export function nearnessOf(spec: ServiceSpec, around: Surroundings): (news: ChildNews) => readonly Measure[] {
  const yardsticks = spec.constraints.flatMap((constraint) => yardstickOf(constraint, around) ?? [])
  return (news) => yardsticks.map((measure) => measure(news))
}

type Yardstick = (news: ChildNews) => Measure

function yardstickOf({ geo, latency, bandwidth }: Constraint, around: Surroundings): Yardstick | null {
  if (geo !== undefined) {
    const { place, radiusKm: threshold, rigidness, convergenceMs } = geo
    const common = { kind: 'geo' as const, to: callPlace(place), threshold, rigidness, convergenceMs }
    return (news) => {
      const area = areaOf(news)
      return { ...common, value: area === null ? null : nearestKm(place, area) }
    }
  }
  if (latency !== undefined) {
    const { thresholdMs: threshold, rigidness, convergenceMs, place } = latency
    const to = place === null ? (latency.service ?? latency.selector ?? '') : callPlace(place)
    const common = { kind: 'latency' as const, to, threshold, rigidness, convergenceMs }
    const targets = targetsOf(latency, around)
    return (news) => ({ ...common, value: latencyMs(news, targets, place) })
  }
  if (bandwidth === undefined) return null
  const { service, mbitPerS: threshold, rigidness, convergenceMs } = bandwidth
  const common = { kind: 'bandwidth' as const, to: service, threshold, rigidness, convergenceMs }
  const others = around.runs(service).map((child) => linkMbitOf(around.inventory.get(child)?.news))
  return (news) => {
    const rates = [linkMbitOf(news), ...others].filter((rate) => rate !== null)
    return { ...common, value: rates.length === others.length + 1 ? Math.min(...rates) : null }
  }
}

const callPlace = ({ latitude, longitude }: Place): string => `${latitude.toFixed(2)},${longitude.toFixed(2)}`

/** A point from which a round trip counts, and which child is there. */
interface Target {
  readonly child: ChildId | null
  readonly point: Coordinate | null
}

/** Of several targets the nearest is meant. */
function targetsOf(latency: NonNullable<Constraint['latency']>, around: Surroundings): readonly Target[] {
  const { inventory, runs } = around
  const known = [...inventory.values()].map(({ news }) => news)
  if (latency.place !== null) {
    const anchors = known.flatMap((news) => {
      const [area, network] = [areaOf(news), networkOf(news)]
      return area === null || network === null ? [] : [{ place: area.centre, coordinate: network.centre }]
    })
    const users = trilaterate(latency.place, anchors)
    return users === null ? [] : [{ child: null, point: users }]
  }
  const meant = latency.service === null ? selected(latency.selector ?? '', known, around) : runs(latency.service)
  return meant.map((child) => {
    const news = inventory.get(child)?.news
    return { child, point: (news === undefined ? null : networkOf(news))?.centre ?? null }
  })
}

function selected(selector: string, known: readonly ChildNews[], { domain }: Surroundings): readonly ChildId[] {
  const parsed = parseSelector(selector)
  if (!parsed.ok) return []
  return known.flatMap((news) => {
    const isNode = news.kind === 'node'
    const names = isNode
      ? [news.summary.name, news.child, ...clusterNames(domain)]
      : [news.child, ...news.aggregate.clusters].flatMap(clusterNames)
    const labels = isNode ? Object.entries(news.summary.labels).map(([k, v]) => `${k}=${v}`) : news.aggregate.labels
    return parsed.value({ names, labels }) ? [news.child] : []
  })
}

/** By coordinates, else by the way that light has to go; a node that is the target needs neither. */
function latencyMs(news: ChildNews, targets: readonly Target[], place: Place | null): number | null {
  if (news.kind === 'node' && targets.some(({ child }) => child === news.child)) return 0
  const network = networkOf(news)
  const known =
    network === null ? [] : targets.flatMap(({ point }) => (point === null ? [] : nearestMs(point, network)))
  if (known.length > 0) return Math.min(...known)
  const area = areaOf(news)
  return area === null || place === null ? null : nearestKm(place, area) * MS_PER_KM
}

export function areaOf(news: ChildNews): Circle | null {
  if (news.kind === 'domain') return news.aggregate.area ?? null
  const { location } = news.summary
  return location === undefined ? null : circleAt(location)
}

function networkOf(news: ChildNews): Ball | null {
  if (news.kind === 'domain') return news.aggregate.network ?? null
  const { coordinate } = news.summary
  return coordinate === undefined || coordinate.error > ERROR_TRUSTED ? null : { centre: coordinate, radiusMs: 0 }
}

/** A domain does not say how fast its devices are connected. */
const linkMbitOf = (news: ChildNews | undefined): number | null =>
  news?.kind === 'node' ? (news.summary.linkMbit ?? null) : null
