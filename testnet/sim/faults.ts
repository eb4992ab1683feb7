// What goes wrong, planned from the seed before anything runs: each fault begins at a moment, lasts a while and mends
// itself. When the plan is over everything that can be mended is.

import { electorIds, majorityOf } from '../../election/index.ts'
import { pick, type Random, randomInt, shuffled } from '../../overlay/kernel/random.ts'
import type { Millis } from '../../overlay/kernel/time.ts'
import type { Agenda } from './agenda.ts'
import type { Device } from './device.ts'
import type { SimNetwork } from './network.ts'
import { between, chance } from './streams.ts'

type Pairs = readonly (readonly [from: number, to: number])[]

export type Fault =
  /** The process ends and is started again. */
  | { readonly kind: 'kill'; readonly device: number }
  /** The device loses power, with what it runs and what was not synced. */
  | { readonly kind: 'power-cut'; readonly device: number }
  /** The device is gone for good. */
  | { readonly kind: 'loss-of-device'; readonly device: number }
  | { readonly kind: 'pause'; readonly device: number }
  | { readonly kind: 'slow-disk'; readonly device: number }
  | { readonly kind: 'partition'; readonly pairs: Pairs }
  | { readonly kind: 'one-way'; readonly pairs: Pairs }
  | { readonly kind: 'lossy'; readonly loss: number }
  | { readonly kind: 'slow-network'; readonly times: number }
  | { readonly kind: 'instance-crash'; readonly device: number }
  /** Who has just given its vote may lose power at the very moment at which forgetting it would hurt most. */
  | { readonly kind: 'ambush' }

export type FaultKind = Fault['kind']

export interface PlannedFault {
  readonly at: Millis
  readonly forMs: Millis
  readonly fault: Fault
}

/**
 * How often each kind comes, relative to the others, and how long it lasts in ms. All guesses: what keeps a federation
 * busy.
 */
const KINDS: readonly (readonly [kind: FaultKind, weight: number, msMin: number, msMax: number])[] = [
  ['kill', 5, 50, 8_000],
  ['power-cut', 4, 500, 20_000],
  ['loss-of-device', 0.4, 0, 0],
  ['pause', 3, 50, 4_000],
  ['slow-disk', 2, 500, 5_000],
  ['partition', 4, 500, 20_000],
  ['one-way', 2, 500, 15_000],
  ['lossy', 2, 500, 8_000],
  ['slow-network', 2, 500, 5_000],
  ['instance-crash', 2, 0, 0],
  ['ambush', 1, 2_000, 20_000],
]

/**
 * Between two faults, on average: some worlds are rough, some mild, or nobody would ever be steady enough to become an
 * elector.
 */
const GAP_MS = { min: 1_000, max: 8_000 }
/** Some worlds may form in peace first, others are disturbed from the start. */
const PEACE_MS_MAX = 25_000

export interface FaultSetting {
  readonly devices: readonly Device[]
  readonly untilMs: Millis
}

export function planFaults(random: Random, { devices, untilMs }: FaultSetting): readonly PlannedFault[] {
  const plan: PlannedFault[] = []
  const lost = new Set<string>()
  const gapMs = between(random, GAP_MS.min, GAP_MS.max)
  let at: Millis = between(random, 0, PEACE_MS_MAX)
  for (;;) {
    at += -Math.log(1 - random.next()) * gapMs
    if (at >= untilMs) return plan
    const [kind, , msMin, msMax] = drawKind(random)
    const fault = drawFault(random, kind, devices, lost)
    if (fault !== null) plan.push({ at, forMs: between(random, msMin, msMax), fault })
  }
}

function drawKind(random: Random): (typeof KINDS)[number] {
  const total = KINDS.reduce((sum, [, weight]) => sum + weight, 0)
  let left = random.next() * total
  for (const row of KINDS) {
    left -= row[1]
    if (left < 0) return row
  }
  return KINDS[0] as (typeof KINDS)[number]
}

function drawFault(random: Random, kind: FaultKind, devices: readonly Device[], lost: Set<string>): Fault | null {
  const device = randomInt(random, 0, devices.length)
  switch (kind) {
    case 'kill':
    case 'power-cut':
    case 'pause':
    case 'slow-disk':
    case 'instance-crash':
      return { kind, device }
    case 'loss-of-device':
      return mayLose(devices, device, lost) ? { kind, device } : null
    case 'partition':
      return devices.length < 2 ? null : { kind, pairs: drawPartition(random, devices) }
    case 'one-way':
      return devices.length < 2 ? null : { kind, pairs: drawOneWay(random, devices) }
    case 'ambush':
      return { kind }
    case 'lossy':
      return { kind, loss: between(random, 0.05, 0.5) }
    case 'slow-network':
      return { kind, times: between(random, 5, 100) }
  }
}

/** One of each cluster of three and more at most: who loses most of a cluster has lost the cluster. */
function mayLose(devices: readonly Device[], index: number, lost: Set<string>): boolean {
  const domain = devices[index]?.facts.facts.domain ?? ''
  const size = devices.filter((device) => device.facts.facts.domain === domain).length
  if (size < 3 || lost.has(domain)) return false
  lost.add(domain)
  return true
}

/** A cluster on its own, a device on its own, or any two sides. */
function drawPartition(random: Random, devices: readonly Device[]): Pairs {
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
  const inside = new Set(side)
  return all.flatMap((a) => all.filter((b) => inside.has(a) !== inside.has(b)).map((b) => [a, b] as const))
}

/** A few links on which one side is not heard any more. */
function drawOneWay(random: Random, devices: readonly Device[]): Pairs {
  const count = randomInt(random, 1, devices.length + 1)
  return Array.from({ length: count }, () => {
    const [from = 0, to = 1] = shuffled(
      random,
      devices.map(({ facts }) => facts.index),
    )
    return [from, to] as const
  })
}

/** How often a voter is caught while an ambush lasts, how soon after its vote, and for how long it is off. Guesses. */
const CAUGHT = 0.5
const CAUGHT_AFTER_MS_MAX = 20
const CAUGHT_FOR_MS = { min: 50, max: 600 }

export interface Ambush {
  until: Millis
}

/** A device signed a vote. */
export function springAmbush({ agenda, random, ambush, isOver }: FaultWorld, device: Device): void {
  if (agenda.now() >= ambush.until || isOver() || !chance(random, CAUGHT)) return
  const boot = device.boot
  agenda.at(agenda.now() + between(random, 0, CAUGHT_AFTER_MS_MAX), () => {
    if (device.boot !== boot || !device.isUp) return
    device.cutPower()
    agenda.at(agenda.now() + between(random, CAUGHT_FOR_MS.min, CAUGHT_FOR_MS.max), () => device.start())
  })
}

export interface FaultWorld {
  readonly agenda: Agenda
  readonly random: Random
  readonly network: SimNetwork
  readonly devices: readonly Device[]
  readonly ambush: Ambush
  /** Whether the time for faults is over. */
  isOver(): boolean
  /** A fault begins. */
  onFault(fault: Fault): void
}

/** Makes a fault happen now, and mend itself in time. */
export function inflict(world: FaultWorld, { fault, forMs }: PlannedFault): void {
  const { agenda, network, devices } = world
  const until = agenda.now() + forMs
  if (fault.kind === 'loss-of-device' && !isDispensable(devices, fault.device)) return
  world.onFault(fault)
  switch (fault.kind) {
    case 'kill':
    case 'power-cut': {
      const device = devices[fault.device] as Device
      if (!device.isUp) return
      if (fault.kind === 'kill') device.killProcess()
      else device.cutPower()
      agenda.at(until, () => device.start())
      return
    }
    case 'loss-of-device':
      devices[fault.device]?.lose()
      return
    case 'pause':
      devices[fault.device]?.pauseUntil(until)
      return
    case 'slow-disk':
      devices[fault.device]?.disk.slowUntil(until)
      return
    case 'instance-crash': {
      const runtime = devices[fault.device]?.runtime
      const key = pick(world.random, [...(runtime?.instances.keys() ?? [])])
      if (key !== undefined) runtime?.crash(key)
      return
    }
    case 'ambush':
      world.ambush.until = until
      return
    case 'partition':
    case 'one-way':
      network.part(fault.pairs)
      agenda.at(until, () => network.join(fault.pairs))
      return
    case 'lossy':
      network.weather.loss = fault.loss
      agenda.at(until, () => calmDown(world))
      return
    case 'slow-network':
      network.weather.slowness = fault.times
      agenda.at(until, () => calmDown(world))
      return
  }
}

/**
 * Whether the others of its cluster can go on without a device: one of them knows of electors that have a majority
 * without it. A domain whose only memory is gone waits for minutes before it begins anew, which is longer than a run.
 */
function isDispensable(devices: readonly Device[], index: number): boolean {
  const lost = devices[index] as Device
  const { domain } = lost.facts.facts
  return devices.some((device) => {
    if (device === lost || device.facts.facts.domain !== domain) return false
    const register = device.core?.view.seats()[0]?.state.register ?? null
    const others = electorIds(register).filter((child) => child !== lost.node)
    return register !== null && others.length >= majorityOf(register.electors.length)
  })
}

/** The weather gets better again. */
function calmDown(world: FaultWorld): void {
  if (!world.isOver()) calm(world.network)
}

/** Ordinary weather: now and then a message is lost or comes twice. */
export function calm({ weather }: SimNetwork): void {
  weather.loss = 0.002
  weather.duplication = 0.01
  weather.slowness = 1
}

/** Ends all faults: what is off is switched on, what was parted is joined, and nothing is lost any more. */
export function mendAll({ network, devices }: FaultWorld): void {
  network.heal()
  network.weather.loss = 0
  network.weather.duplication = 0
  network.weather.slowness = 1
  for (const device of devices) device.start()
}
