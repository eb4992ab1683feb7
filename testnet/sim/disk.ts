// A simulated disk: a write takes its time, in order, and a crash forgets it until it is done. A write without sync
// waits in the operating system's cache, which survives the process but not a power cut; a write with sync takes all
// earlier ones to the disk.

import type { HostPorts } from '../../node/host.ts'
import { type Random, randomInt } from '../../overlay/kernel/random.ts'
import type { Millis } from '../../overlay/kernel/time.ts'
import type { Agenda } from './agenda.ts'
import { between } from './streams.ts'

type Value = Uint8Array | null

interface Entry {
  readonly key: string
  readonly value: Value
}

/** Ways in which a disk may break its promises, for the canaries. */
export interface DiskDefects {
  /** Says that a write is on the disk when it is only in a cache. */
  readonly ignoresSync: boolean
  /** Whether a write is reported as done and not made; `before` is what the key holds. */
  readonly forgets: (key: string, before: Value, value: Value) => boolean
}

export interface SimDisk {
  readonly port: HostPorts['disk']
  /** What a process finds when it starts. */
  read(): ReadonlyMap<string, Uint8Array>
  /** Written and synced before it returns: what a start does while nothing else runs. */
  writeNow(key: string, value: Uint8Array): void
  /** The process ends: what was under way is lost. */
  onProcessEnd(): void
  /** The power goes: of what was not synced, some first part may have reached the disk. */
  onPowerCut(): void
  /** Until that moment each write takes longer. */
  slowUntil(moment: Millis): void
}

/** A write into the cache, and one to a flash disk with a flush; a slow disk takes so many times longer. Guesses. */
const WRITE_MS = { min: 0.05, max: 0.5 }
const SYNC_MS = { min: 1, max: 8 }
const SLOW_TIMES = 40

export function createDisk(
  agenda: Agenda,
  random: Random,
  defects: DiskDefects,
  onDurable: (key: string, value: Value) => void,
): SimDisk {
  const durable = new Map<string, Uint8Array>()
  let cached: Entry[] = []
  let freeAt: Millis = 0
  let slowUntil: Millis = 0
  let run = 0

  const apply = ({ key, value }: Entry): void => {
    if (defects.forgets(key, durable.get(key) ?? null, value)) return
    if (value === null) durable.delete(key)
    else durable.set(key, value)
    onDurable(key, value)
  }

  const flush = (): void => {
    const entries = cached
    cached = []
    for (const entry of entries) apply(entry)
  }

  const finish = (entry: Entry, sync: boolean): void => {
    cached.push(entry)
    if (sync && !defects.ignoresSync) flush()
  }

  return {
    port: {
      write: (key, value, sync, done) => {
        const now = agenda.now()
        const { min, max } = sync ? SYNC_MS : WRITE_MS
        const tookMs = between(random, min, max) * (now < slowUntil ? SLOW_TIMES : 1)
        freeAt = Math.max(freeAt, now) + tookMs
        const startedIn = run
        agenda.at(freeAt, () => {
          if (run !== startedIn) return
          finish({ key, value }, sync)
          done()
        })
      },
    },
    read: () => {
      const seen = new Map(durable)
      for (const { key, value } of cached) {
        if (value === null) seen.delete(key)
        else seen.set(key, value)
      }
      return seen
    },
    writeNow: (key, value) => {
      flush()
      apply({ key, value })
    },
    onProcessEnd: () => {
      run += 1
      freeAt = 0
    },
    onPowerCut: () => {
      run += 1
      freeAt = 0
      const survived = cached.slice(0, randomInt(random, 0, cached.length + 1))
      cached = defects.ignoresSync ? [] : survived
      flush()
    },
    slowUntil: (moment) => {
      slowUntil = Math.max(slowUntil, moment)
    },
  }
}
