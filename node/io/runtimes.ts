// The runtimes of this device: which drivers there are, which of them answer, and what they find from before a restart.

import { Duplex } from 'node:stream'
import { type InstanceKey, instanceKey, type NodeId, type ServiceId } from '../../overlay/kernel/ids.ts'
import type { RuntimeOperation } from '../../placement/index.ts'
import { serveExec } from '../../placement/io/exec-serving.ts'
import type {
  InstanceStats,
  LogOptions,
  RuntimeDriver,
  RuntimeDriverOptions,
  RuntimeEvent,
} from '../../placement/runtime.ts'
import type { CoreInput, RuntimeInfo } from '../core/effects.ts'
import { CoppiceError } from '../errors.ts'

/** How long an engine may take to say that it is there. */
const PROBE_MS_MAX = 3_000
/** How often an engine that was not there is asked again, so that a Docker started later is found. */
const PROBE_INTERVAL_MS = 30_000

export interface RuntimesOptions {
  readonly dataDir: string
  readonly self: NodeId
  /** The DNS server for instances that have a network of their own; null for the engine's. */
  readonly resolver: string | null
  /** The runtimes to offer; null takes all that answer. */
  readonly wanted: readonly string[] | null
  readonly imageOffers: NonNullable<RuntimeDriverOptions['imageOffers']>
  readonly registryLogins: NonNullable<RuntimeDriverOptions['registryLogins']>
  readonly secrets: NonNullable<RuntimeDriverOptions['secrets']>
  readonly onInput: (input: CoreInput) => void
  readonly onWarning: (text: string) => void
}

export interface Runtimes {
  /** Looks which runtimes answer and what they run already; the inputs for the core follow from it. */
  start(): Promise<void>
  run(runtime: string, operation: RuntimeOperation): void
  /** The log of an instance of this device; null when no runtime has it. */
  logs(service: ServiceId, number: number, options: LogOptions): Duplex | null
  /** A program in an instance of this device, as frames (placement/exec-frames.ts); null when no runtime has it. */
  exec(service: ServiceId, number: number): Duplex | null
  /** An image of this device, as ImageOffer has it, without what the caller has; null when no runtime has it. */
  image(reference: string, have: Uint8Array): Promise<Duplex | null>
  /** The instance of this device that has this address of its own; null for anybody else. */
  instanceAt(address: string): Promise<InstanceKey | null>
  /** What an instance of this device uses; null where no runtime runs it. */
  stats(key: InstanceKey): Promise<InstanceStats | null>
  offered(): readonly RuntimeInfo[]
  stop(): Promise<void>
}

type DriverMaker = (options: RuntimeDriverOptions) => Promise<RuntimeDriver>

/** Loaded only where they are wanted: a device without Docker does not pay for its client. */
const MAKERS: Readonly<Record<string, DriverMaker>> = {
  process: async (options) => (await import('../../placement/io/process-runtime.ts')).createProcessRuntime(options),
  docker: async (options) => (await import('../../placement/io/docker-runtime.ts')).createDockerRuntime(options),
}

export async function createRuntimes(options: RuntimesOptions): Promise<Runtimes> {
  const { wanted, onInput } = options
  const unknown = (wanted ?? []).find((name) => MAKERS[name] === undefined)
  if (unknown !== undefined) {
    const known = Object.keys(MAKERS).join(' and ')
    throw new CoppiceError('unknown-runtime', `there is no runtime called "${unknown}"`, `This version has ${known}.`)
  }
  const drivers = new Map<string, RuntimeDriver>()
  /** Which runtime an instance was started by, for its log. */
  const startedBy = new Map<string, string>()
  let offered: readonly RuntimeInfo[] = []
  let timer: NodeJS.Timeout | null = null

  const onEvent = (event: RuntimeEvent): void => onInput({ kind: 'runtime', event })
  for (const name of wanted ?? Object.keys(MAKERS)) {
    const maker = MAKERS[name] as DriverMaker
    const { self: nodeId, ...common } = options
    drivers.set(name, await maker({ ...common, nodeId, onEvent }))
  }

  const probe = async (): Promise<void> => {
    const found: RuntimeInfo[] = []
    for (const [name, driver] of drivers) {
      const { available, detail } = await driver.probe(AbortSignal.timeout(PROBE_MS_MAX))
      if (available) found.push({ name, version: detail })
      else if (wanted?.includes(name)) options.onWarning(`the runtime ${name} does not answer: ${detail}`)
    }
    const isNews = JSON.stringify(found) !== JSON.stringify(offered)
    const fresh = found.filter((info) => !offered.some((before) => before.name === info.name))
    offered = found
    if (isNews) onInput({ kind: 'runtimes', runtimes: found })
    for (const { name } of fresh) await report(name)
  }

  const report = async (name: string): Promise<void> => {
    const instances = (await drivers.get(name)?.list()) ?? []
    for (const { key } of instances) startedBy.set(key, name)
    onInput({ kind: 'found', runtime: name, instances })
  }

  const watch = (): void => {
    timer = setTimeout(() => {
      void probe()
        .catch((problem: unknown) => options.onWarning(`looking for runtimes failed: ${String(problem)}`))
        .finally(watch)
    }, PROBE_INTERVAL_MS)
    timer.unref()
  }

  return {
    start: async () => {
      await probe()
      watch()
    },
    run: (runtime, operation) => {
      const driver = drivers.get(runtime)
      if (operation.kind === 'start') {
        const { key } = operation.launch
        startedBy.set(key, runtime)
        if (driver !== undefined) return driver.start(operation.launch)
        return onEvent({ kind: 'failed', key, detail: `this device has no runtime "${runtime}"` })
      }
      if (operation.kind === 'limit') driver?.limit(operation.key, operation.limits)
      else driver?.stop(operation.key, operation.graceMs)
    },
    logs: (service, number, logOptions) => {
      const key = instanceKey(service, number)
      const driver = drivers.get(startedBy.get(key) ?? '')
      return driver === undefined ? null : readOnly(driver.logs(key, logOptions))
    },
    exec: (service, number) => {
      const key = instanceKey(service, number)
      const driver = drivers.get(startedBy.get(key) ?? '')
      return driver === undefined ? null : serveExec((request) => driver.exec(key, request))
    },
    image: async (reference, have) => {
      for (const driver of drivers.values()) {
        const image = (await driver.image?.(reference, have).catch(() => null)) ?? null
        if (image !== null) return readOnly(image)
      }
      return null
    },
    instanceAt: async (address) => {
      for (const { name } of offered) {
        const found = await drivers
          .get(name)
          ?.instanceAt?.(address)
          .catch(() => null)
        if (found) return found
      }
      return null
    },
    stats: async (key) => {
      const found = await drivers
        .get(startedBy.get(key) ?? '')
        ?.stats(key)
        .catch(() => null)
      return found ?? null
    },
    offered: () => offered,
    stop: async () => {
      if (timer !== null) clearTimeout(timer)
      await Promise.all([...drivers.values()].map((driver) => driver.close()))
    },
  }
}

/** The chunks as a stream; what the other side writes goes nowhere. */
function readOnly(chunks: AsyncIterable<Uint8Array>): Duplex {
  const iterator = chunks[Symbol.asyncIterator]()
  return new Duplex({
    read() {
      iterator.next().then(
        ({ done, value }) => this.push(done ? null : value),
        (problem: Error) => this.destroy(problem),
      )
    },
    write: (_chunk, _encoding, done) => done(),
    destroy: (problem, done) => {
      void iterator.return?.()
      done(problem)
    },
  })
}
