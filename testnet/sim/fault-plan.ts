// What will go wrong in a world, drawn from its seed before anything runs. A plan is a list, so that a failing one can
// be shortened and what remains looked at.

import { pick, type Random, randomInt, shuffled } from '../../overlay/kernel/random.ts'
import type { Millis } from '../../overlay/kernel/time.ts'
import type { Fault, FaultKind, Pairs, PlannedFault } from './faults.ts'
import { between, chance } from './streams.ts'
import type { DeviceFacts } from './topology.ts'

/**
 * How often each kind comes, relative to the others, and how long it lasts in ms. All guesses: what keeps a federation
 * busy.
 */
const KINDS: readonly (readonly [kind: FaultKind, weight: number, msMin: number, msMax: number])[] = [
  ['kill', 5, 50, 8_000],
  ['power-cut', 4, 500, 20_000],
  ['loss-of-device', 0.4, 0, 0],
  ['wipe', 0.5, 500, 15_000],
  ['damaged-votes', 0.4, 500, 15_000],
  ['rolling-restart', 0.6, 100, 3_000],
  ['pause', 3, 50, 4_000],
  ['clock-jump', 1, 0, 0],
  ['slow-disk', 2, 500, 5_000],
  ['hanging-disk', 1, 200, 8_000],
  ['failing-disk', 1, 500, 15_000],
  ['dead-disk', 0.2, 0, 0],
  ['partition', 4, 500, 20_000],
  ['one-way', 2, 500, 15_000],
  ['partial', 2, 500, 15_000],
  ['bridged', 2, 500, 15_000],
  ['hurry', 1, 6_000, 15_000],
  ['lossy', 2, 500, 8_000],
  ['reordering', 1, 500, 8_000],
  ['spikes', 1, 500, 8_000],
  ['slow-network', 2, 500, 5_000],
  ['instance-crash', 2, 0, 0],
  ['ambush', 3, 2_000, 15_000],
]

/**
 * Between two faults, on average: some worlds are rough, some mild, or nobody would ever be steady enough to become an
 * elector.
 */
const GAP_MS = { min: 1_000, max: 8_000 }
/** Some worlds may form in peace first, others are disturbed from the start. */
const PEACE_MS_MAX = 25_000
/**
 * Shorter than the wait for a lost quorum (60 s in every preset): beyond it two devices of which one is off part into
 * two lines, and each level of the tree waits for minutes more (README.md, Open).
 */
const LASTS_MS_MAX = 50_000
/** A clock is set right, or wrong by so much; far below what the hybrid clocks refuse (a day). A guess. */
const JUMP_MS_MAX = { usual: 5_000, rare: 7_200_000 }

/** As far as a plan goes, a device is what it is, not how it does. */
type Planned = { readonly facts: DeviceFacts }

export interface FaultSetting {
  readonly devices: readonly Planned[]
  readonly untilMs: Millis
  /** Everything is so many times slower (setting.ts, `paceOf`). */
  readonly pace: number
  /** What may go wrong; everything where nothing is said. */
  readonly kinds?: readonly FaultKind[] | undefined
}

export const FAULT_KINDS: readonly FaultKind[] = KINDS.map(([kind]) => kind)

export function planFaults(random: Random, { devices, untilMs, pace, kinds }: FaultSetting): readonly PlannedFault[] {
  const rows = KINDS.filter(([kind]) => kinds?.includes(kind) ?? true)
  const plan: PlannedFault[] = []
  const spared = new Set<string>()
  const gapMs = between(random, GAP_MS.min, GAP_MS.max)
  let at: Millis = between(random, 0, PEACE_MS_MAX)
  for (;;) {
    at += -Math.log(1 - random.next()) * gapMs
    if (at * pace >= untilMs) return plan
    const [kind, , msMin, msMax] = drawKind(random, rows)
    const fault = drawFault(random, kind, devices, spared)
    const forMs = Math.min(between(random, msMin, msMax) * pace, LASTS_MS_MAX)
    if (fault !== null) plan.push({ at: at * pace, forMs, fault })
  }
}

function drawKind(random: Random, rows: typeof KINDS): (typeof KINDS)[number] {
  const total = rows.reduce((sum, [, weight]) => sum + weight, 0)
  let left = random.next() * total
  for (const row of rows) {
    left -= row[1]
    if (left < 0) return row
  }
  return rows[0] as (typeof KINDS)[number]
}

function drawFault(random: Random, kind: FaultKind, devices: readonly Planned[], spared: Set<string>): Fault | null {
  const device = randomInt(random, 0, devices.length)
  switch (kind) {
    case 'kill':
    case 'power-cut':
    case 'pause':
    case 'slow-disk':
    case 'hanging-disk':
    case 'failing-disk':
    case 'instance-crash':
      return { kind, device }
    case 'loss-of-device':
    case 'dead-disk':
    case 'wipe':
    case 'damaged-votes':
      return mayForget(devices, device, spared) ? { kind, device } : null
    case 'clock-jump':
      return { kind, device, byMs: drawJump(random) }
    case 'rolling-restart':
      return { kind, domain: chance(random, 0.5) ? null : (devices[device] as Planned).facts.facts.domain }
    case 'partition':
      return devices.length < 2 ? null : { kind, pairs: drawPartition(random, devices) }
    case 'one-way':
      return devices.length < 2 ? null : { kind, pairs: drawLinks(random, devices) }
    case 'partial':
      return devices.length < 3 ? null : { kind, pairs: bothWays(drawLinks(random, devices)) }
    case 'bridged':
      return devices.length < 3 ? null : { kind, pairs: drawBridge(random, devices) }
    case 'hurry':
      return devices.length < 2 ? null : { kind, service: randomInt(random, 0, 2) }
    case 'ambush':
      return { kind }
    case 'lossy':
      return { kind, loss: between(random, 0.05, 0.5) }
    case 'reordering':
      return { kind, share: between(random, 0.05, 0.5) }
    case 'spikes':
      return { kind, share: between(random, 0.01, 0.1) }
    case 'slow-network':
      return { kind, times: between(random, 5, 100) }
  }
}

/** One of each cluster of three and more at most: whom most of a cluster has forgotten has lost the cluster. */
function mayForget(devices: readonly Planned[], index: number, spared: Set<string>): boolean {
  const domain = devices[index]?.facts.facts.domain ?? ''
  const size = devices.filter((device) => device.facts.facts.domain === domain).length
  if (size < 3 || spared.has(domain)) return false
  spared.add(domain)
  return true
}

function drawJump(random: Random): number {
  const most = chance(random, 0.1) ? JUMP_MS_MAX.rare : JUMP_MS_MAX.usual
  return Math.round(between(random, -most, most))
}

/** A cluster on its own, a device on its own, or any two sides. */
function drawPartition(random: Random, devices: readonly Planned[]): Pairs {
  const all = devices.map(({ facts }) => facts.index)
  const domain = pick(random, devices)?.facts.facts.domain
  const isOneCluster = devices.every(({ facts }) => facts.facts.domain === domain)
  const shape = isOneCluster ? between(random, 0.4, 1) : random.next()
  const side =
    shape < 0.4
      ? devices.filter(({ facts }) => facts.facts.domain === domain).map(({ facts }) => facts.index)
      : shape < 0.7
        ? [randomInt(random, 0, all.length)]
        : shuffled(random, all).slice(0, randomInt(random, 1, all.length))
  return linksAcross(all, new Set(side))
}

/** Two halves that only one device sees both of. */
function drawBridge(random: Random, devices: readonly Planned[]): Pairs {
  const [, ...others] = shuffled(
    random,
    devices.map(({ facts }) => facts.index),
  )
  return linksAcross(others, new Set(others.slice(0, randomInt(random, 1, others.length))))
}

/** All links between some and the others. */
const linksAcross = (all: readonly number[], inside: ReadonlySet<number>): Pairs =>
  all.flatMap((a) => all.filter((b) => inside.has(a) !== inside.has(b)).map((b) => [a, b] as const))

/** A few links, each from one device to another. */
function drawLinks(random: Random, devices: readonly Planned[]): Pairs {
  const count = randomInt(random, 1, devices.length + 1)
  return Array.from({ length: count }, () => {
    const [from = 0, to = 1] = shuffled(
      random,
      devices.map(({ facts }) => facts.index),
    )
    return [from, to] as const
  })
}

const bothWays = (pairs: Pairs): Pairs => pairs.flatMap(([a, b]) => [[a, b] as const, [b, a] as const])
