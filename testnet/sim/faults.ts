// What goes wrong: each fault begins at a moment of the plan, lasts a while and mends itself. When the plan is over
// everything that can be mended is.

import { compareVersions, electorIds, majorityOf, versionOf } from '../../election/register.ts'
import { type DomainPath, ROOT } from '../../overlay/kernel/ids.ts'
import { pick, type Random, randomInt } from '../../overlay/kernel/random.ts'
import type { Millis } from '../../overlay/kernel/time.ts'
import { serviceIdOf } from '../../placement/spec.ts'
import type { Agenda } from './agenda.ts'
import type { Device } from './device.ts'
import type { SimNetwork } from './network.ts'
import { between, chance } from './streams.ts'
import { simpleSpec } from './workload.ts'

export type Pairs = readonly (readonly [from: number, to: number])[]

export type Fault =
  /** The process ends and is started again. */
  | { readonly kind: 'kill'; readonly device: number }
  /** The device loses power, with what it runs and what was not synced; the last entry may be torn. */
  | { readonly kind: 'power-cut'; readonly device: number }
  /** The device is gone for good. */
  | { readonly kind: 'loss-of-device'; readonly device: number }
  /** The device comes back as the same node with an empty disk. */
  | { readonly kind: 'wipe'; readonly device: number }
  /** The device comes back with a vote file that cannot be read. */
  | { readonly kind: 'damaged-votes'; readonly device: number }
  /** Every device of a cluster, or of all, hands over, ends and starts again, one after another. */
  | { readonly kind: 'rolling-restart'; readonly domain: DomainPath | null }
  | { readonly kind: 'pause'; readonly device: number }
  /** The wall clock jumps; the monotonic one never does. */
  | { readonly kind: 'clock-jump'; readonly device: number; readonly byMs: number }
  | { readonly kind: 'slow-disk'; readonly device: number }
  /** No write is done for a while. */
  | { readonly kind: 'hanging-disk'; readonly device: number }
  /** A write fails, so the node ends; it cannot start before its disk can write again. */
  | { readonly kind: 'failing-disk'; readonly device: number }
  /** The same for good. */
  | { readonly kind: 'dead-disk'; readonly device: number }
  | { readonly kind: 'partition'; readonly pairs: Pairs }
  | { readonly kind: 'one-way'; readonly pairs: Pairs }
  /** Some pairs do not reach each other, and everyone else does. */
  | { readonly kind: 'partial'; readonly pairs: Pairs }
  /** Two halves that only one device sees both of. */
  | { readonly kind: 'bridged'; readonly pairs: Pairs }
  /** A leader is cut off, and people on both sides cannot make up their minds how often they want a service. */
  | { readonly kind: 'hurry'; readonly service: number }
  | { readonly kind: 'lossy'; readonly loss: number }
  | { readonly kind: 'reordering'; readonly share: number }
  | { readonly kind: 'spikes'; readonly share: number }
  | { readonly kind: 'slow-network'; readonly times: number }
  | { readonly kind: 'instance-crash'; readonly device: number }
  /**
   * Leaders are killed one after another while messages take long, so that several stand at once; and who has just
   * given its vote may lose power at the very moment at which forgetting it would hurt most.
   */
  | { readonly kind: 'ambush' }

export type FaultKind = Fault['kind']

export interface PlannedFault {
  readonly at: Millis
  readonly forMs: Millis
  readonly fault: Fault
}

/** How often a voter is caught while an ambush lasts, how soon after its vote, and for how long it is off. Guesses. */
const CAUGHT = 0.5
const CAUGHT_AFTER_MS_MAX = { soon: 3, late: 20 }
const CAUGHT_FOR_MS = { min: 50, max: 600 }
/** How long a candidate is held up then: for about an election timeout. A guess. */
const CANDIDATE_HELD_MS = { min: 500, max: 3_000 }

/**
 * How much longer messages take in an ambush, and how long it is from one leader's end to the next one's. With hops of
 * 3 to 300 ms, those who see a connection close (within 40 ms of each other) do not hear in time that another stands.
 */
const CONTEST_TIMES = { min: 10, max: 60 }
const CONTEST_MS = { min: 500, max: 2_000 }

/**
 * Requests to a leader in the second after it was cut off, and fewer to others once they have a leader: of two orders
 * the earlier one then has the higher number. Guesses.
 */
const HURRIED_REQUESTS = 8
const SECOND_THOUGHTS = 3
const HURRY_MS = 120
const SECOND_THOUGHTS_MS = 3_000

/** How long a process takes that is asked to end, and then to be started again. A guess. */
const FAREWELL_MS = { min: 50, max: 1_000 }

export interface Ambush {
  until: Millis
}

export interface FaultWorld {
  readonly agenda: Agenda
  readonly random: Random
  readonly network: SimNetwork
  readonly devices: readonly Device[]
  readonly ambush: Ambush
  /** How many times slower everything is than on a local network. */
  readonly pace: number
  /** Whether the time for faults is over. */
  isOver(): boolean
  /** A fault begins. */
  onFault(fault: Fault): void
}

/**
 * A device signed a vote. It may lose power before anybody hears of it, and whom it voted for may stand still long
 * enough for others to stand in the same term.
 */
export function springAmbush(world: FaultWorld, device: Device, candidate: string): void {
  const { agenda, random, ambush, isOver, devices, pace } = world
  if (agenda.now() >= ambush.until || isOver() || !chance(random, CAUGHT)) return
  const { boot } = device
  const chosen = devices.find(({ node }) => node === candidate && node !== device.node)
  const afterMsMax = chance(random, 0.5) ? CAUGHT_AFTER_MS_MAX.soon : CAUGHT_AFTER_MS_MAX.late
  agenda.at(agenda.now() + between(random, 0, afterMsMax), () => {
    if (device.boot !== boot || !device.isUp) return
    device.cutPower()
    agenda.at(agenda.now() + between(random, CAUGHT_FOR_MS.min, CAUGHT_FOR_MS.max), () => device.start())
    if (!chance(random, CAUGHT)) return
    chosen?.pauseUntil(agenda.now() + between(random, CANDIDATE_HELD_MS.min, CANDIDATE_HELD_MS.max) * pace)
  })
}

/** Kills whoever leads a cluster, and does so again once there was time for another. */
function layAmbush(world: FaultWorld): void {
  const { agenda, random, network, ambush, devices, isOver, pace } = world
  if (isOver()) return
  if (agenda.now() >= ambush.until) return calm(world)
  network.weather.slowness = between(random, CONTEST_TIMES.min, CONTEST_TIMES.max) * pace
  const leaders = devices.filter((device) => device.core?.view.seats()[0]?.fence)
  const leader = pick(random, leaders)
  leader?.killProcess()
  const gapMs = between(random, CONTEST_MS.min, CONTEST_MS.max) * pace
  agenda.at(agenda.now() + gapMs / 2, () => leader?.start())
  agenda.at(agenda.now() + gapMs, () => layAmbush(world))
}

/** Makes a fault happen now, and mend itself in time. */
export function inflict(world: FaultWorld, { fault, forMs }: PlannedFault): void {
  const { agenda } = world
  const until = agenda.now() + forMs
  switch (fault.kind) {
    case 'partition':
    case 'one-way':
    case 'partial':
    case 'bridged':
      world.onFault(fault)
      world.network.part(fault.pairs)
      agenda.at(until, () => world.network.join(fault.pairs))
      return
    case 'lossy':
    case 'reordering':
    case 'spikes':
    case 'slow-network':
      world.onFault(fault)
      worsen(world, fault)
      agenda.at(until, () => calmDown(world))
      return
    case 'ambush':
      world.onFault(fault)
      world.ambush.until = until
      return layAmbush(world)
    case 'hurry':
      world.onFault(fault)
      return hurry(world, fault.service, until)
    case 'rolling-restart':
      world.onFault(fault)
      return restartInTurn(world, fault.domain, forMs)
    default:
      return strike(world, fault, until)
  }
}

type DeviceFault = Extract<Fault, { readonly device: number }>

/** What happens to one device. */
function strike(world: FaultWorld, fault: DeviceFault, until: Millis): void {
  const { agenda, devices } = world
  const device = devices[fault.device] as Device
  if (!mayStrike(devices, fault, device)) return
  world.onFault(fault)
  const startAgain = (): void => agenda.at(until, () => device.start())
  switch (fault.kind) {
    case 'kill':
      device.killProcess()
      return startAgain()
    case 'power-cut':
      device.cutPower()
      return startAgain()
    case 'wipe':
      device.wipe()
      return startAgain()
    case 'damaged-votes':
      device.damageVotes()
      return startAgain()
    case 'loss-of-device':
      return device.lose()
    case 'dead-disk':
      return device.loseDisk()
    case 'pause':
      return device.pauseUntil(until)
    case 'clock-jump':
      return device.turnClock(fault.byMs)
    case 'slow-disk':
      return device.disk.slowUntil(until)
    case 'hanging-disk':
      return device.disk.hangUntil(until)
    case 'failing-disk':
      device.disk.failUntil(until)
      return startAgain()
    case 'instance-crash': {
      const key = pick(world.random, [...device.runtime.instances.keys()])
      if (key !== undefined) device.runtime.crash(key)
    }
  }
}

/** Who is off is off; and what forgets its votes for good has to be dispensable. */
function mayStrike(devices: readonly Device[], { kind }: DeviceFault, device: Device): boolean {
  if (device.isLost) return false
  if (kind === 'kill' || kind === 'power-cut') return device.isUp
  const forgets = kind === 'loss-of-device' || kind === 'dead-disk' || kind === 'wipe' || kind === 'damaged-votes'
  return !forgets || (isDispensable(devices, device) && isNobodysOnlyFriend(devices, device))
}

/** Whether everyone whom it invited has met others by now. */
function isNobodysOnlyFriend(devices: readonly Device[], lost: Device): boolean {
  return devices.every((device) => {
    if (device === lost || !device.facts.seeds.some(({ peer }) => peer === lost.node)) return true
    const view = device.core?.view
    if (view === undefined) return false
    const known = [...view.roster().keys(), ...view.leaders().domains()]
    return known.some((one) => one !== device.node && one !== lost.node && one !== device.facts.facts.domain)
  })
}

/**
 * Whether the others of its cluster can go on without a device: the newest register that any of them holds names
 * electors who have a majority without it. A domain whose only memory is gone waits for minutes before it begins anew,
 * which is longer than a run.
 */
function isDispensable(devices: readonly Device[], lost: Device): boolean {
  const { domain } = lost.facts.facts
  const registers = devices
    .filter((device) => device.facts.facts.domain === domain)
    .map((device) => device.core?.view.seats()[0]?.state.register ?? null)
    .sort((a, b) => compareVersions(versionOf(b), versionOf(a)))
  const newest = registers[0] ?? null
  const others = electorIds(newest).filter((child) => child !== lost.node)
  return newest !== null && others.length >= majorityOf(newest.electors.length)
}

/** As an operator updates a site: one device after another, each as soon as the one before had time to come back. */
function restartInTurn(world: FaultWorld, domain: DomainPath | null, gapMs: Millis): void {
  const { agenda, random, devices, isOver } = world
  let at = agenda.now()
  for (const device of devices) {
    if (domain !== null && device.facts.facts.domain !== domain) continue
    const endsAt = at + between(random, FAREWELL_MS.min, FAREWELL_MS.max)
    const startsAt = endsAt + between(random, FAREWELL_MS.min, FAREWELL_MS.max)
    agenda.at(at, () => {
      if (!isOver()) device.input({ kind: 'hand-over' })
    })
    agenda.at(endsAt, () => {
      if (!isOver()) device.killProcess()
    })
    agenda.at(startsAt, () => device.start())
    at = startsAt + gapMs
  }
}

type Weather = Extract<Fault, { readonly kind: 'lossy' | 'reordering' | 'spikes' | 'slow-network' }>

/**
 * Orders that a cut-off leader gives in its last moments, many of one instance, against those of its successor: only
 * the fence tells which are later.
 */
function hurry({ agenda, random, network, devices, isOver, pace }: FaultWorld, service: number, until: Millis): void {
  const leader = pick(
    random,
    devices.filter(({ core }) => core?.view.seats().some(({ fence }) => fence !== null)),
  )
  const led = pick(random, leader?.core?.view.seats().filter(({ fence }) => fence !== null) ?? [])
  if (leader === undefined || led === undefined) return
  const pairs = devices.flatMap(({ facts: { index } }) =>
    index === leader.facts.index ? [] : [[index, leader.facts.index] as const, [leader.facts.index, index] as const],
  )
  network.part(pairs)
  agenda.at(until, () => network.join(pairs))
  const others = devices.filter((device) => device !== leader)
  // A name belongs to one domain.
  const name = `hurry${service}${led.domain === ROOT ? '' : led.domain.replaceAll('/', '-')}`
  const requestAt = (device: Device | undefined, at: Millis): void => {
    const spec = { ...simpleSpec(name), replicas: randomInt(random, 1, 4) }
    agenda.at(at, () => {
      const input = { kind: 'submit', domain: led.domain, service: serviceIdOf(spec), spec } as const
      if (!isOver()) device?.input(input)
    })
  }
  for (let turn = 0; turn < HURRIED_REQUESTS; turn++) {
    const at = agenda.now() + turn * HURRY_MS
    requestAt(leader, at)
    if (turn < SECOND_THOUGHTS) requestAt(pick(random, others), at + SECOND_THOUGHTS_MS * pace)
  }
}

function worsen({ network, pace }: FaultWorld, fault: Weather): void {
  const { weather } = network
  switch (fault.kind) {
    case 'lossy':
      weather.loss = fault.loss
      return
    case 'reordering':
      weather.reordering = fault.share
      return
    case 'spikes':
      weather.spikes = fault.share
      return
    case 'slow-network':
      weather.slowness = fault.times * pace
  }
}

/** The weather gets better again. */
function calmDown(world: FaultWorld): void {
  if (!world.isOver()) calm(world)
}

/** Ordinary weather: now and then a message is lost or comes twice. */
export function calm({ network: { weather }, pace }: Pick<FaultWorld, 'network' | 'pace'>): void {
  weather.loss = 0.002
  weather.duplication = 0.01
  weather.slowness = pace
  weather.reordering = 0
  weather.spikes = 0
}

/** Ends all faults: what is off is switched on, what was parted is joined, and nothing is lost any more. */
export function mendAll({ network, devices, pace }: FaultWorld): void {
  network.heal()
  calm({ network, pace })
  network.weather.loss = 0
  network.weather.duplication = 0
  for (const device of devices) {
    device.disk.mend()
    device.start()
  }
}
