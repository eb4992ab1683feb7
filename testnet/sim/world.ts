// A whole federation in one thread: devices, a network, a clock that jumps, faults, and checkers that look at every
// step.

import type { CoreMessage } from '../../node/core/effects.ts'
import type { DomainEvent } from '../../overlay/kernel/effect.ts'
import type { DomainPath } from '../../overlay/kernel/ids.ts'
import type { Millis } from '../../overlay/kernel/time.ts'
import { isSpokenFrame } from '../../overlay/wire/frame.ts'
import { type Agenda, createAgenda } from './agenda.ts'
import { checkCapacity } from './checkers/capacity.ts'
import type { SafetyChecker } from './checkers/checker.ts'
import { checkCommits } from './checkers/commits.ts'
import { checkElectors } from './checkers/electors.ts'
import { checkEvictions, type Evictions } from './checkers/evictions.ts'
import { checkFences } from './checkers/fences.ts'
import { checkGrants } from './checkers/grants.ts'
import { checkIncarnations } from './checkers/incarnations.ts'
import { type Leaderless, watchLeaderless } from './checkers/leaderless.ts'
import { checkLeaders, type Leaders } from './checkers/leaders.ts'
import { checkMerging } from './checkers/merging.ts'
import { checkPreVotes } from './checkers/pre-votes.ts'
import { checkPunctuality } from './checkers/punctuality.ts'
import { checkRegisters } from './checkers/registers.ts'
import { checkSilence } from './checkers/silence.ts'
import { checkSpecs, type Specs } from './checkers/specs.ts'
import { checkVotes } from './checkers/votes.ts'
import type { Load } from './desk.ts'
import { createDevice, type Device, type DeviceDefects, type DeviceEvents } from './device.ts'
import { hashBytes, hashText } from './hash.ts'
import { createNetwork, type SimNetwork } from './network.ts'
import { createNotary, type Notary } from './sealing.ts'
import { watchSeats } from './seats-watch.ts'
import { PLAIN, type Setting } from './setting.ts'
import { between, streamOf } from './streams.ts'
import { type DeviceFacts, drawTopology } from './topology.ts'
import { createTrace, type Trace } from './trace.ts'

export interface NetworkDefects {
  /** Kinds of messages that never arrive. */
  readonly swallows: readonly CoreMessage['kind'][]
}

/** What is wrong with a world on purpose, so that the checkers have something to find. */
export interface Defects extends DeviceDefects {
  readonly network: NetworkDefects
}

export const NO_DEFECTS: Defects = {
  disk: { ignoresSync: false, forgets: () => false },
  runtime: { forgetsToStop: false },
  network: { swallows: [] },
}

export interface WorldOptions {
  readonly seed: number
  readonly nodes: number
  readonly clusters: number
  readonly setting?: Setting
  /** All devices are switched on within so long, in any order; by default one after whoever invited it. */
  readonly switchedOnWithinMs?: Millis
  /** How slow their processes are; by default nothing takes any time. */
  readonly load?: Load
  readonly defects: Defects
  readonly onLine: ((line: string) => void) | null
  /** A device signed a vote. */
  readonly onVote: (device: Device, candidate: string) => void
  /** Told of each frame that reaches a device. */
  readonly onFrame?: (device: Device, bytes: Uint8Array, topic: string | null) => void
  /** Told of each frame that a device threw away, and why. */
  readonly onDropped?: (device: Device, problem: string) => void
  /** Told of each event that a device tells its people. */
  readonly onEvent?: (device: Device, event: DomainEvent) => void
  /** Whether the checkers look; default true. They take everybody for honest. */
  readonly isChecked?: boolean
}

export interface World {
  readonly agenda: Agenda
  readonly network: SimNetwork
  readonly notary: Notary
  readonly devices: readonly Device[]
  /** All domains below the root. */
  readonly domains: readonly DomainPath[]
  readonly trace: Trace
  readonly leaders: Leaders
  readonly leaderless: Leaderless
  readonly specs: Specs
  readonly evictions: Evictions
  /** Carries out everything that is due until a moment. */
  run(until: Millis): void
  /** Counts from now on by kind what reaches the devices; gossip's kinds say so. The counts grow in place. */
  countArrivals(): ReadonlyMap<string, { readonly messages: number; readonly bytes: number }>
  /** Asks the checkers for their last word. */
  end(): void
}

export function createWorld(options: WorldOptions): World {
  const { seed, nodes, clusters, defects, onLine, onVote, setting = PLAIN } = options
  const topology = drawTopology(seed, nodes, clusters, setting)
  const agenda = createAgenda()
  const trace = createTrace(onLine)
  const notary = createNotary(topology.devices)
  const [reader] = topology.devices
  const { open, hear } = notary.sealerOf(reader as DeviceFacts, () => undefined)
  const openOrNull = (bytes: Uint8Array) => {
    const opened = open(bytes)
    return opened.ok ? opened.value : null
  }
  const hearOrNull = (bytes: Uint8Array) => {
    const heard = hear(bytes, (reader as DeviceFacts).facts)
    return heard.ok ? heard.value.message : null
  }
  const leaders = checkLeaders()
  const specs = checkSpecs(openOrNull)
  const evictions = checkEvictions(() => agenda.now())
  const leaderless = watchLeaderless(
    () => devices,
    (a, b) => network.isConnected(a.facts.index, b.facts.index),
  )
  const watching: readonly SafetyChecker[] = [
    leaders,
    leaderless,
    specs,
    evictions,
    checkVotes(),
    checkRegisters(),
    checkFences(openOrNull),
    checkCapacity(),
    checkCommits(),
    checkElectors(),
    checkPreVotes(),
    checkPunctuality(),
    checkIncarnations(),
    checkMerging(streamOf(seed, 'merging')),
    checkGrants(),
    checkSilence(() => agenda.now()),
  ]
  const checkers = options.isChecked === false ? [] : watching
  const told = <K extends keyof SafetyChecker>(what: K) => checkers.filter((checker) => checker[what] !== undefined)
  const [onSealed, onSeats, onSettled, onDurable, onEvent] = [
    told('onSealed'),
    told('onSeats'),
    told('onSettled'),
    told('onDurable'),
    told('onEvent'),
  ]
  const seatsOf = watchSeats()
  const arrivals = new Map<string, { messages: number; bytes: number }>()
  /** The kinds of what was sealed since arrivals are counted; null before. */
  let kinds: WeakMap<Uint8Array, string> | null = null
  const countArrival = (bytes: Uint8Array, topic: string | null): void => {
    const kind = kinds?.get(bytes) ?? hearOrNull(bytes)?.kind ?? 'unknown'
    const name = topic === null ? kind : `${kind} (gossip)`
    const count = arrivals.get(name) ?? { messages: 0, bytes: 0 }
    arrivals.set(name, { messages: count.messages + 1, bytes: count.bytes + bytes.length })
  }
  const swallows = new Set<string>(defects.network.swallows)
  const now = (): Millis => agenda.now()

  const events: DeviceEvents = {
    onSealed: (device, opened) => {
      kinds?.set(opened.bytes, opened.message.kind)
      for (const checker of onSealed) checker.onSealed?.(device, opened)
      if (opened.message.kind === 'election/vote') onVote(device, opened.message.candidate)
    },
    onSettled: (device) => {
      if (seatsOf.haveChanged(device)) for (const checker of onSeats) checker.onSeats?.(device, now())
      for (const checker of onSettled) checker.onSettled?.(device, now())
    },
    onStarted: (device, key) => {
      for (const checker of checkers) checker.onStarted?.(device, key)
    },
    onDurable: (device, key, value) => {
      trace.note(now(), 'written', value?.length ?? 0, () => `${device.node} ${key}`)
      for (const checker of onDurable) checker.onDurable?.(device, key, value)
    },
    onEvent: (device, event) => {
      const text = (): string => `${device.node} ${event.name} ${event.domain ?? ''} ${JSON.stringify(event.fields)}`
      trace.note(now(), 'event', hashText(event.name), text)
      for (const checker of onEvent) checker.onEvent?.(device, event)
      options.onEvent?.(device, event)
    },
    onArrival: (device, bytes, from, topic) => {
      const text = (): string =>
        `${from} > ${device.node} ${topic === null ? '' : 'gossip '}${describe(hearOrNull(bytes))}`
      trace.note(now(), 'received', isSpokenFrame(bytes) ? hashBytes(bytes, 0).low : tailOf(bytes), text)
      options.onFrame?.(device, bytes, topic)
      if (kinds !== null) countArrival(bytes, topic)
      return swallows.size === 0 || !swallows.has(hearOrNull(bytes)?.kind ?? '')
    },
    onDropped: (device, problem, detail) => {
      trace.note(now(), 'dropped', hashText(problem), () => `${device.node} ${problem}: ${detail}`)
      options.onDropped?.(device, problem)
    },
    onGone: (device) => {
      seatsOf.forget(device)
      for (const checker of checkers) checker.onGone?.(device, now())
    },
    onForgot: (device, what) => {
      for (const checker of checkers) checker.onForgot?.(device, what)
    },
  }

  const parts = {
    seed,
    agenda,
    setting,
    load: options.load ?? null,
    notary,
    network: (): SimNetwork => network,
    nodeOf: (index: number): DeviceFacts => topology.devices[index] as DeviceFacts,
    defects,
    events,
  }
  const devices = topology.devices.map((facts) => createDevice(facts, parts))
  const endpoints = devices.map(({ endpoint }) => endpoint)
  const network: SimNetwork = createNetwork(agenda, streamOf(seed, 'network'), endpoints)
  const storm = streamOf(seed, 'storm')
  const startOf = ({ facts }: Device): Millis =>
    options.switchedOnWithinMs === undefined ? facts.startsAt : between(storm, 0, options.switchedOnWithinMs)
  for (const device of devices) agenda.at(startOf(device), () => device.start())

  return {
    agenda,
    network,
    notary,
    devices,
    domains: topology.domains,
    trace,
    leaders,
    leaderless,
    specs,
    evictions,
    run: (until) => {
      while (agenda.next(until));
      agenda.advance(until)
    },
    countArrivals: () => {
      kinds = new WeakMap()
      arrivals.clear()
      return arrivals
    },
    end: () => {
      for (const checker of checkers) checker.onEnd?.(devices)
    },
  }
}

/** The last bytes of an envelope are its signature, which depends on all the others. */
const tailOf = (bytes: Uint8Array): number =>
  bytes.length < 4 ? 0 : new DataView(bytes.buffer, bytes.byteOffset + bytes.length - 4, 4).getInt32(0)

function describe(message: CoreMessage | null): string {
  if (message === null) return 'what cannot be opened'
  const { kind, ...rest } = message
  return `${kind} ${JSON.stringify(rest, (_key, value) => (isLong(value) ? '…' : value)).slice(0, 400)}`
}

/** Bytes and envelopes inside a message: too long to be read. */
const isLong = (value: unknown): boolean =>
  value instanceof Uint8Array || (typeof value === 'object' && value !== null && 'bytes' in value && 'signer' in value)
