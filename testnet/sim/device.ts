// One simulated device: a disk and a runtime that outlive the node's process, and that process, which is the shipping
// core on the shipping host with every port simulated.

import { isTied } from '../../election/index.ts'
import { type Core, createCore } from '../../node/core/core.ts'
import type { CoreInput, CoreMessage } from '../../node/core/effects.ts'
import { readMemory } from '../../node/core/memory.ts'
import { createHost, type Host } from '../../node/host.ts'
import type { DomainEvent } from '../../overlay/kernel/effect.ts'
import type { InstanceKey, NodeId } from '../../overlay/kernel/ids.ts'
import type { Millis } from '../../overlay/kernel/time.ts'
import type { Opened } from '../../overlay/wire/envelope.ts'
import { PRESSURE_DEFAULTS } from '../../placement/pressure.ts'
import type { Agenda } from './agenda.ts'
import type { DeviceView } from './checkers/checker.ts'
import { createAlarm, createLocalClock } from './clock.ts'
import { createDesk, type Desk, type Load } from './desk.ts'
import { createDisk, type DiskDefects, type SimDisk } from './disk.ts'
import type { Endpoint } from './links.ts'
import type { SimNetwork } from './network.ts'
import { UNKNOWN_MESSAGE } from './newer.ts'
import { createRuntime, RUNTIME, type RuntimeDefects, type SimRuntime } from './runtime.ts'
import type { Notary } from './sealing.ts'
import type { Setting } from './setting.ts'
import { between, streamOf } from './streams.ts'
import { addressesOf, type DeviceFacts, FEDERATION, WALL_START } from './topology.ts'

/** How often a device is read (node/node.ts). */
const READING_MS = 5_000
/** Where the monotonic clocks of two starts begin differs by up to this, so that nothing may compare them. */
const CLOCK_OFFSET_MS_MAX = 1_000_000_000

export interface DeviceDefects {
  readonly disk: DiskDefects
  readonly runtime: RuntimeDefects
}

/** What a device tells its world. */
export interface DeviceEvents {
  onSealed(device: Device, opened: Opened<CoreMessage>): void
  onSettled(device: Device): void
  onStarted(device: Device, key: InstanceKey): void
  onDurable(device: Device, key: string, value: Uint8Array | null): void
  onEvent(device: Device, event: DomainEvent): void
  /** Something arrives; false when it shall not. */
  onArrival(device: Device, bytes: Uint8Array, from: NodeId, topic: string | null): boolean
  onDropped(device: Device, problem: string, detail: string): void
  /** Its process ended or stands still. */
  onGone(device: Device): void
  /** What was on its disk is no longer there, or no longer readable. */
  onForgot(device: Device, what: 'everything' | 'votes'): void
}

export interface Device extends DeviceView {
  readonly endpoint: Endpoint
  readonly disk: SimDisk
  readonly runtime: SimRuntime
  readonly isUp: boolean
  readonly isPowered: boolean
  start(): void
  /** The process ends at once; the device goes on, with what it runs. */
  killProcess(): void
  cutPower(): void
  /** Gone for good. */
  lose(): void
  /** It cannot write any more, for good: the process ends and does not start again, what it runs runs on. */
  loseDisk(): void
  pauseUntil(moment: Millis): void
  /** Loses power, and comes back as the same node with an empty disk. */
  wipe(): void
  /** Loses power, and comes back with a memory of its votes that cannot be read. */
  damageVotes(): void
  /** Somebody or something sets its wall clock. */
  turnClock(byMs: number): void
  /** What share of its cores is used with so many instances running, from now on; nothing is measured before. */
  strain(cpuUsed: (running: number) => number): void
  input(input: CoreInput): void
}

export interface DeviceParts {
  readonly seed: number
  readonly agenda: Agenda
  readonly notary: Notary
  readonly network: () => SimNetwork
  readonly nodeOf: (index: number) => DeviceFacts
  readonly setting: Setting
  /** How slow its processes are; null where nothing takes any time. */
  readonly load: Load | null
  readonly defects: DeviceDefects
  readonly events: DeviceEvents
}

interface Process {
  readonly core: Core
  readonly host: Host
  /** Says something that only newer versions understand. */
  greet(peer: NodeId): void
  stopAlarm(): void
}

export function createDevice(facts: DeviceFacts, parts: DeviceParts): Device {
  const { agenda, events, seed } = parts
  const { node } = facts
  const domain = facts.facts.domain
  let process: Process | null = null
  let desk: Desk | null = null
  let boot = 0
  let hasPower = false
  let isLost = false
  let wipes = 0
  let pausedUntil: Millis = 0
  let cpuUsed: ((running: number) => number) | null = null
  let wallSkewMs = facts.wallSkewMs

  const disk = createDisk(agenda, streamOf(seed, `disk ${node}`), parts.defects.disk, {
    onDurable: (key, value) => events.onDurable(device, key, value),
    onFailed: () => device.killProcess(),
  })
  const runtime = createRuntime(
    agenda,
    streamOf(seed, `runtime ${node}`),
    parts.defects.runtime,
    (key) => events.onStarted(device, key),
    (input) => deliver(boot, () => process?.host.input(input)),
  )

  /** Brings something to the process of that start, later if it is paused. */
  const deliver = (to: number, act: () => void, isTimer = false): void => {
    if (process === null || boot !== to) return
    if (pausedUntil > agenda.now()) agenda.at(pausedUntil, () => deliver(to, act, isTimer))
    else if (desk === null) act()
    else desk.take(() => boot === to && process !== null && act(), isTimer)
  }

  const readDevice = (startedAs: number): void => {
    deliver(startedAs, () => {
      const running = [...runtime.instances.values()].filter(({ isRunning }) => isRunning).length
      const loopDelayMs = Math.max(1, desk?.delayMs() ?? 0)
      const use = cpuUsed === null ? {} : { cpuUsed: cpuUsed(running) }
      process?.host.input({ kind: 'reading', reading: { ...readingOf(facts), ...use }, loopDelayMs })
      if (facts.isNewer) for (const peer of process?.core.view.roster().keys() ?? []) process?.greet(peer)
      agenda.at(agenda.now() + READING_MS, () => readDevice(startedAs))
    })
  }

  const endpoint: Endpoint = {
    index: facts.index,
    node,
    isUp: () => process !== null && pausedUntil <= agenda.now(),
    isPowered: () => hasPower,
    boot: () => boot,
    receive: (bytes, from, topic) =>
      deliver(boot, () => {
        if (events.onArrival(device, bytes, from, topic)) process?.host.receive(bytes, from, topic)
      }),
    onConnected: (peer) => {
      const other = parts.nodeOf(peer)
      deliver(boot, () => process?.host.input({ kind: 'connected', peer: other.node, facts: other.facts }))
    },
    onDisconnected: (peer) =>
      deliver(boot, () => process?.host.input({ kind: 'disconnected', peer: parts.nodeOf(peer).node })),
  }

  const assemble = (): Process => {
    const random = streamOf(seed, `process ${node} ${boot}`)
    const offset = Math.floor(between(streamOf(seed, `clock ${node} ${boot}`), 0, CLOCK_OFFSET_MS_MAX))
    const startedAs = boot
    const { preset, electorsMax } = parts.setting
    const clock = createLocalClock(agenda, offset, facts.clockRate)
    const wall = (): number => Math.floor(WALL_START + agenda.now() + wallSkewMs)
    const alarm = createAlarm(agenda, clock, (ring) => deliver(startedAs, ring, true))
    const network = parts.network().attach(endpoint, streamOf(seed, `dials ${node} ${boot}`))
    const sealer = parts.notary.sealerOf(facts, (opened) => events.onSealed(device, opened))
    const { memory, raised } = readMemory(disk.read(), domain, sealer)
    disk.writeNow(raised.key, raised.value)
    // A founder that was ended before it had founded anything, or met anybody, begins again (node/node.ts).
    const isAlone = !isTied(memory.election) && memory.members.every(({ from }) => from === node)
    const core = createCore(
      {
        self: facts.facts,
        name: node,
        preset,
        electorsMax,
        labels: {},
        seeds: facts.seeds,
        placing: { pressure: { ...PRESSURE_DEFAULTS, readings: parts.setting.pressureReadings } },
        isFounding: facts.isFounder && wipes === 0 && (memory.incarnation === 1 || isAlone),
      },
      memory,
      { now: clock.now(), wall: wall(), random },
    )
    const host = createHost({
      self: node,
      federation: FEDERATION,
      core,
      sealer,
      ports: {
        clock: { now: clock.now, wall, alarm: alarm.set },
        random,
        disk: { write: (key, value, sync, done) => disk.port.write(key, value, sync, () => deliver(startedAs, done)) },
        network,
        runtimes: runtime.port,
        listener: {
          onEvent: (event) => events.onEvent(device, event),
          onResolved: () => undefined,
          onAnswered: () => undefined,
          onCharter: () => undefined,
          onPolicy: () => undefined,
          onAudit: () => undefined,
          onDropped: (problem, detail) => events.onDropped(device, problem, detail),
          onSettled: () => events.onSettled(device),
        },
      },
    })
    const greet = (peer: NodeId): void => network.send(peer, sealer.seal(UNKNOWN_MESSAGE).bytes)
    return { core, host, greet, stopAlarm: alarm.stop }
  }

  const endProcess = (isSilent: boolean): void => {
    if (process === null) return
    process.host.stop()
    process.stopAlarm()
    process = null
    boot += 1
    pausedUntil = 0
    disk.onProcessEnd()
    parts.network().detach(endpoint, isSilent)
    events.onGone(device)
  }

  const device: Device = {
    facts,
    node,
    endpoint,
    disk,
    runtime,
    get instances() {
      return runtime.instances
    },
    get boot() {
      return boot
    },
    get core() {
      return process?.core ?? null
    },
    get isLost() {
      return isLost
    },
    get wipes() {
      return wipes
    },
    get isAwake() {
      return process !== null && pausedUntil <= agenda.now()
    },
    get isUp() {
      return process !== null
    },
    get isPowered() {
      return hasPower
    },
    start: () => {
      if (process !== null || isLost || disk.isFailing()) return
      boot += 1
      hasPower = true
      process = assemble()
      desk = parts.load === null ? null : createDesk(agenda, streamOf(seed, `desk ${node} ${boot}`), parts.load)
      const { host } = process
      const startedAs = boot
      host.input({ kind: 'addresses', addresses: addressesOf(node), isRelay: false })
      host.input({ kind: 'start' })
      readDevice(startedAs)
      host.input({ kind: 'runtimes', runtimes: [{ name: RUNTIME, version: 'simulated' }] })
      host.input({ kind: 'found', runtime: RUNTIME, instances: runtime.found() })
    },
    killProcess: () => endProcess(false),
    cutPower: () => {
      endProcess(true)
      hasPower = false
      disk.onPowerCut()
      runtime.onPowerCut()
    },
    lose: () => {
      device.cutPower()
      isLost = true
    },
    loseDisk: () => {
      device.killProcess()
      isLost = true
    },
    pauseUntil: (moment) => {
      if (process === null) return
      pausedUntil = Math.max(pausedUntil, moment)
      events.onGone(device)
    },
    wipe: () => {
      device.cutPower()
      disk.wipe()
      wipes += 1
      events.onForgot(device, 'everything')
    },
    damageVotes: () => {
      device.cutPower()
      if (disk.damage(`election/${domain}`)) events.onForgot(device, 'votes')
    },
    turnClock: (byMs) => {
      wallSkewMs += byMs
    },
    strain: (next) => {
      cpuUsed = next
    },
    input: (input) => deliver(boot, () => process?.host.input(input)),
  }
  return device
}

const readingOf = ({ cores, memoryMb }: DeviceFacts) => ({
  cores,
  architecture: 'x64',
  os: 'simulated',
  gpus: [],
  memoryMb: { total: memoryMb, free: memoryMb },
  diskMb: { total: 100_000, free: 50_000 },
})
