// Reads what the instances of this device use, soon after they begin and ever less often, counts the bytes of their
// tunnels, and tells the core: what it makes of that is signed with the instance's records.

import type { Duplex } from 'node:stream'
import type { InstanceKey } from '../overlay/kernel/ids.ts'
import type { Millis } from '../overlay/kernel/time.ts'
import type { InstanceStats } from '../placement/runtime.ts'
import { type Meter, meterEnd, meterReading, meterRun, USES_MAX, useOf } from '../placement/usage.ts'
import type { CoreInput } from './core/effects.ts'
import type { HostPorts } from './host.ts'

/**
 * When a run is read: after the first of these, then after twice as long each time, up to the second. So at most half
 * of a short run goes uncounted, and half a minute of a long one that ends unasked; an engine is asked seldom. What a
 * runtime knows at the end (`cpuSeconds` of `exited`) counts in full. Guesses.
 */
export const READ_AFTER_MS_MIN = 1_000
export const READ_AFTER_MS_MAX = 30_000
/** How long a stop waits for the last reading. A guess: the kernel answers in a few ms, an engine in some more. */
const STOP_WAITS_MS_MAX = 1_000

export interface MeteringOptions {
  readonly stats: (key: InstanceKey) => Promise<InstanceStats | null>
  readonly now: () => Millis
  readonly input: (input: CoreInput) => void
}

export interface Metering {
  /** What the runtimes tell the core: which runs begin and end. */
  onInput(input: CoreInput): void
  /** The same runtimes; of what is told to stop it is read first what it used until now. */
  before(runtimes: HostPorts['runtimes']): HostPorts['runtimes']
  /** A tunnel from another device to an instance of this one. */
  onTunnel(key: InstanceKey, tunnel: Duplex): void
  /** Reads all once more, and has it said: the node is about to go, and the instances stay. */
  settle(): Promise<void>
  stop(): void
}

/** What sockets count; datagrams come in frames that count the same way. */
type Counting = Duplex & { readonly bytesRead?: number; readonly bytesWritten?: number }

const bytesOf = ({ bytesRead = 0, bytesWritten = 0 }: Counting): number => bytesRead + bytesWritten

export function createMetering({ stats, now, input }: MeteringOptions): Metering {
  const meters = new Map<InstanceKey, Meter>()
  const timers = new Map<InstanceKey, NodeJS.Timeout>()
  const closed = new Map<InstanceKey, number>()
  const open = new Map<InstanceKey, Set<Counting>>()

  const carriedBytes = (key: InstanceKey): number => {
    let sum = closed.get(key) ?? 0
    for (const tunnel of open.get(key) ?? []) sum += bytesOf(tunnel)
    return sum
  }

  const read = async (key: InstanceKey, isLast = false): Promise<void> => {
    const found = await stats(key)
    const meter = meters.get(key)
    if (meter === undefined) return
    const next = meterReading(meter, found, carriedBytes(key), now())
    meters.set(key, next)
    input({ kind: 'used', key, used: useOf(next), isLast })
  }

  const follow = (key: InstanceKey, afterMs: Millis): void => {
    const timer = setTimeout(() => {
      void read(key).finally(() => {
        // It may have ended, or begun anew, meanwhile.
        if (timers.get(key) === timer) follow(key, Math.min(2 * afterMs, READ_AFTER_MS_MAX))
      })
    }, afterMs)
    timer.unref()
    timers.set(key, timer)
  }

  /** Said before the end is: its record tells it. A run that never answered took the processor all the same. */
  const end = (key: InstanceKey, cpuSeconds: number): void => {
    const before = meters.get(key)
    const meter = before !== undefined && timers.has(key) ? before : meterRun(before, now(), false)
    const last = meterEnd(meter, cpuSeconds, carriedBytes(key), now())
    meters.set(key, last)
    input({ kind: 'used', key, used: useOf(last), isLast: false })
  }

  const leave = (key: InstanceKey): void => {
    clearTimeout(timers.get(key))
    timers.delete(key)
  }

  const begin = (key: InstanceKey, isAdopted: boolean): void => {
    leave(key)
    const before = meters.get(key)
    meters.delete(key)
    meters.set(key, meterRun(before, now(), isAdopted))
    const [oldest] = meters.keys()
    if (meters.size > USES_MAX && oldest !== undefined && !timers.has(oldest)) meters.delete(oldest)
    follow(key, READ_AFTER_MS_MIN)
  }

  return {
    onInput: (next) => {
      if (next.kind !== 'runtime') return
      const { event } = next
      if (event.kind === 'running') begin(event.key, event.adopted)
      if (event.kind === 'exited' && event.cpuSeconds !== undefined) end(event.key, event.cpuSeconds)
      if (event.kind === 'exited' || event.kind === 'failed') leave(event.key)
    },
    before: (runtimes) => ({
      run: (runtime, operation) => {
        const isRead = operation.kind === 'stop' && timers.has(operation.key)
        if (!isRead) return runtimes.run(runtime, operation)
        const late = Promise.withResolvers<void>()
        const timer = setTimeout(late.resolve, STOP_WAITS_MS_MAX)
        void Promise.race([read(operation.key), late.promise]).finally(() => {
          clearTimeout(timer)
          runtimes.run(runtime, operation)
        })
      },
    }),
    onTunnel: (key, tunnel: Counting) => {
      const tunnels = open.get(key) ?? new Set()
      open.set(key, tunnels.add(tunnel))
      tunnel.once('close', () => {
        tunnels.delete(tunnel)
        if (tunnels.size === 0) open.delete(key)
        const sum = (closed.get(key) ?? 0) + bytesOf(tunnel)
        closed.delete(key)
        closed.set(key, sum)
        const [oldest] = closed.keys()
        if (closed.size > USES_MAX && oldest !== undefined) closed.delete(oldest)
      })
    },
    settle: async () => {
      await Promise.all([...timers.keys()].map((key) => read(key, true)))
    },
    stop: () => {
      for (const key of [...timers.keys()]) leave(key)
    },
  }
}
