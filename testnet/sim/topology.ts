// Who is in a simulated federation: the devices, their clusters and what their credentials say. Membership is given:
// charter, hello and the join are tested where they live.

import type { WantedNode } from '../../node/core/effects.ts'
import {
  chainOf,
  type DomainPath,
  type FederationId,
  type NodeId,
  nodeId,
  type OperatorId,
  ROOT,
} from '../../overlay/kernel/ids.ts'
import { pick, type Random, randomInt } from '../../overlay/kernel/random.ts'
import type { SignerFacts } from '../../overlay/wire/envelope.ts'
import type { Setting } from './setting.ts'
import { between, chance, streamOf } from './streams.ts'

export const FEDERATION = '5eed'.repeat(16) as FederationId

/** Milliseconds since 1970 at which every simulation begins; any moment would do. */
export const WALL_START = 1_790_000_000_000

/** Twice as many as a hundred sites of fifty devices, in clusters of at most ROSTER_MAX. */
export const NODES_MAX = 10_000

export interface DeviceFacts {
  readonly index: number
  readonly node: NodeId
  readonly facts: SignerFacts
  /** Whom it knows when it starts for the first time: whoever invited it. */
  readonly seeds: readonly WantedNode[]
  readonly isFounder: boolean
  /** When it is switched on first, in ms. */
  readonly startsAt: number
  readonly cores: number
  readonly memoryMb: number
  /** How wrong its wall clock is, in ms. */
  readonly wallSkewMs: number
  /** How fast its monotonic clock goes; 1 is right. */
  readonly clockRate: number
  /** Of a version that says more than the others know. */
  readonly isNewer: boolean
}

export interface Topology {
  readonly devices: readonly DeviceFacts[]
  /** All domains below the root, clusters and what lies between. */
  readonly domains: readonly DomainPath[]
}

/** Devices without a battery-backed clock are off by hours; most are off by little. A guess. */
const WALL_SKEW_MS_MAX = { usual: 2_000, rare: 3_600_000 }
const RARE = 0.1
/**
 * Crystals are off by some tens of parts in a million, cheap ones in the cold and disciplined clocks that catch up by
 * more: up to half of a hundredth here, so that two may drift apart by 1 %. A guess.
 */
const CLOCK_DRIFT_MAX = { usual: 1e-4, rare: 5e-3 }
const NEWER = 0.5
/** What the middle of a tree of three levels is called. */
const REGIONS = ['eu', 'us']
/** The founder begins at once, each of the others so long after whoever invited it. A guess. */
const JOINS_AFTER_MS = { min: 200, max: 3_000 }

export const addressesOf = (node: NodeId): readonly string[] => [`/sim/${node}`]

/** Spreads `nodes` over `clusters`, the first cluster first, and draws the rest. */
export function drawTopology(seed: number, nodes: number, clusters: number, setting: Setting): Topology {
  const random = streamOf(seed, 'topology')
  const paths = Array.from({ length: clusters }, (_, index) => pathOf(index, setting))
  const devices: DeviceFacts[] = []
  for (let index = 0; index < nodes; index++) {
    const domain = paths[index % clusters] as DomainPath
    const cluster = domain.slice(domain.lastIndexOf('/') + 1)
    const node = nodeId(`${cluster}${Math.floor(index / clusters) + 1}`)
    const drawn = { ...drawDevice(random, index, node, domain, devices), ...drawOddities(seed, node, setting) }
    const isAlone = index + clusters >= nodes && index < clusters
    devices.push(isAlone ? { ...drawn, ...roomFor(drawn) } : drawn)
  }
  const domains = [...new Set(paths.flatMap(chainOf))].filter((domain) => domain !== ROOT)
  return { devices, domains }
}

/** All that people and hurries ask for may come to the only device of a cluster (workload.ts). */
const ROOM_ALONE = { cores: 4, memoryMb: 6_000 }
const roomFor = ({ cores, memoryMb }: Pick<DeviceFacts, 'cores' | 'memoryMb'>) => ({
  cores: Math.max(cores, ROOM_ALONE.cores),
  memoryMb: Math.max(memoryMb, ROOM_ALONE.memoryMb),
})

/** Clusters of a tree of three levels take turns in the regions: `/eu/a`, `/us/b`, `/eu/c` and so on. */
function pathOf(index: number, { levels }: Setting): DomainPath {
  const cluster = lettersOf(index)
  return (levels === 2 ? `/${cluster}` : `/${REGIONS[index % 2]}/${cluster}`) as DomainPath
}

type Oddities = Pick<DeviceFacts, 'clockRate' | 'isNewer'>

function drawOddities(seed: number, node: NodeId, { clocksDrift, isMixed }: Setting): Oddities {
  const random = streamOf(seed, `oddities ${node}`)
  const driftMax = chance(random, RARE) ? CLOCK_DRIFT_MAX.rare : CLOCK_DRIFT_MAX.usual
  const drift = between(random, -driftMax, driftMax)
  return { clockRate: clocksDrift ? 1 + drift : 1, isNewer: isMixed && chance(random, NEWER) }
}

/** `a` to `z`, then `aa`, `ab` and so on. */
function lettersOf(index: number): string {
  const last = String.fromCharCode(97 + (index % 26))
  return index < 26 ? last : lettersOf(Math.floor(index / 26) - 1) + last
}

function drawDevice(
  random: Random,
  index: number,
  node: NodeId,
  domain: DomainPath,
  before: readonly DeviceFacts[],
): Omit<DeviceFacts, keyof Oddities> {
  // Invited by a device of its own cluster where there is one, else by any.
  const kin = before.filter((device) => device.facts.domain === domain)
  const inviter = pick(random, kin.length > 0 ? kin : before)
  const skewMax = random.next() < RARE ? WALL_SKEW_MS_MAX.rare : WALL_SKEW_MS_MAX.usual
  return {
    index,
    node,
    facts: {
      node,
      operator: 'operator' as OperatorId,
      domain,
      capabilities: ['work', 'lead', 'relay', 'deploy:*', 'enrol'],
      labels: {},
      expiresAt: Number.MAX_SAFE_INTEGER,
    },
    seeds: inviter === undefined ? [] : [{ peer: inviter.node, addresses: addressesOf(inviter.node) }],
    isFounder: index === 0,
    startsAt: inviter === undefined ? 0 : inviter.startsAt + between(random, JOINS_AFTER_MS.min, JOINS_AFTER_MS.max),
    cores: randomInt(random, 2, 9),
    memoryMb: randomInt(random, 2, 9) * 1_000,
    wallSkewMs: Math.round(between(random, -skewMax, skewMax)),
  }
}
