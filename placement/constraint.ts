// What rules a child out, each constraint with its reason. A domain is ruled out only by what no device of it can have;
// the rest it finds out itself when it is asked.

import { isDomain } from '../overlay/kernel/ids.ts'
import { type Candidate, clusterNames, nodeNames } from './candidate.ts'
import type { Demand } from './demand.ts'
import { breaks, type Measure } from './nearness.ts'
import { covers, needOf, type Resources, smaller } from './need.ts'
import { whyNotOffered } from './policy-offer.ts'
import { type Reason, type RefusalCode, refusal } from './refusal.ts'
import { parseSelector, type Selector } from './selector.ts'

/** Returns why the candidate cannot take the service, null when it may. */
export type Constraint = (demand: Demand, candidate: Candidate) => Reason | null

/** The constraints that hold under every scheduler, the plainest first: the first that refuses is the reason given. */
export const CONSTRAINTS: readonly Constraint[] = [
  clusterSelected,
  nodeSelected,
  isNear,
  ownerAllows,
  offersRuntime,
  takesIn,
  bearsMore,
  hasRoom,
]

export function ruledOutBy(demand: Demand, candidate: Candidate): Reason | null {
  for (const constraint of CONSTRAINTS) {
    const reason = constraint(demand, candidate)
    if (reason !== null) return { ...reason, count: candidate.devices }
  }
  return null
}

function clusterSelected(demand: Demand, candidate: Candidate): Reason | null {
  const { clusters, clusterLabels } = candidate
  if (clusters === null || clusterLabels === null) return null
  for (const { kind, cluster, clusters: allowed } of demand.constraints) {
    const source = kind === 'clusters' ? allowed.join(',') : cluster
    if (source === null || source === '') continue
    const selects = selectorOf(source)
    const isIn = clusters.some((path) => selects({ names: clusterNames(path), labels: clusterLabels }))
    if (!isIn) return refusal('cluster-selector', source)
  }
  return null
}

function nodeSelected(demand: Demand, candidate: Candidate): Reason | null {
  if (isDomain(candidate.child) || demand.constraints.every(({ node }) => node === null)) return null
  const { labels } = candidate
  if (labels === null) return null
  for (const { node } of demand.constraints) {
    if (node === null) continue
    if (!selectorOf(node)({ names: nodeNames(candidate), labels })) return refusal('node-selector', node)
  }
  return null
}

const FAR: Readonly<Record<Measure['kind'], RefusalCode>> = { geo: 'far', latency: 'slow', bandwidth: 'narrow' }
const UNITS = { geo: 'km', latency: 'ms', bandwidth: 'Mbit/s' } as const

/** A device that does not say where it stands is not near; what nobody measured yet may still turn out to be. */
function isNear(_demand: Demand, candidate: Candidate): Reason | null {
  for (const measure of candidate.measures) {
    const { kind, value, threshold, to } = measure
    if (kind === 'geo' && value === null) return refusal('no-location')
    if (value === null || !breaks(measure)) continue
    const detail = `${threshold} ${UNITS[kind]}${kind === 'bandwidth' ? ' to' : ' from'} ${to}`
    // The least counts as the best of what is far.
    const most = kind === 'bandwidth' ? value : -value
    return { ...refusal(FAR[kind], detail), most, on: candidate.name }
  }
  return null
}

/** What a device tells of its owner's policy; the rest the device itself says when it is asked. */
function ownerAllows(demand: Demand, { others }: Candidate): Reason | null {
  return others === null ? null : whyNotOffered(others, demand)
}

function offersRuntime(demand: Demand, candidate: Candidate): Reason | null {
  return candidate.slotFor(demand.runtime) === null ? refusal('runtime', demand.runtime) : null
}

/** A cordoned device keeps what it has, in whatever version; a drained one shall get rid of it. */
function takesIn(_demand: Demand, { intake, isPlace }: Candidate): Reason | null {
  return intake === 'open' || (intake === 'cordoned' && isPlace) ? null : refusal(intake)
}

function bearsMore(_demand: Demand, candidate: Candidate): Reason | null {
  return candidate.underPressure ? refusal('pressure') : null
}

/** Enough on one device, and enough in all when what is promised already is taken off. */
function hasRoom(demand: Demand, candidate: Candidate): Reason | null {
  const slot = candidate.slotFor(demand.runtime)
  if (slot === null) return refusal('runtime', demand.runtime)
  return shortOf(needOf(demand), smaller(slot, candidate.free), candidate.name)
}

const SHORTAGES: readonly (readonly [keyof Resources, RefusalCode, string])[] = [
  ['memoryMb', 'memory', 'MB'],
  ['vcpus', 'cpu', 'cores'],
  ['vgpus', 'gpu', 'gpus'],
  ['vtpus', 'tpu', 'tpus'],
  ['storageMb', 'disk', 'MB'],
  ['inMbit', 'bandwidth', 'Mbit/s'],
  ['outMbit', 'bandwidth', 'Mbit/s'],
]

/** What is lacking first, with what there is; null when nothing is. */
export function shortOf(need: Resources, free: Resources, name: string): Reason | null {
  for (const [key, code, unit] of SHORTAGES) {
    if (covers(free[key], need[key])) continue
    return { code, count: 1, detail: `${need[key]} ${unit}`, most: free[key], on: name }
  }
  return null
}

/** A selector that was checked at the door; one from elsewhere that cannot be read selects nothing. */
function selectorOf(source: string): Selector {
  const parsed = parseSelector(source)
  return parsed.ok ? parsed.value : () => false
}
