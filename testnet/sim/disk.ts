// A simulated disk: a write takes its time, in order, and a crash forgets it until it is done. A write without sync
// waits in the operating system's cache, which survives the process but not a power cut; a write with sync takes all
// earlier ones to the disk.

import type { HostPorts } from '../../node/host.ts'
import { type Random, randomInt } from '../../overlay/kernel/random.ts'
import type { Millis } from '../../overlay/kernel/time.ts'
import type { Agenda } from './agenda.ts'
import { between, chance } from './streams.ts'

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

/** Whom a disk tells what becomes of writes. */
export interface DiskListener {
  onDurable(key: string, value: Value): void
  /** A write failed: the node that asked for it ends (node/index.ts, `failed`). */
  onFailed(): void
}

export interface SimDisk {
  readonly port: HostPorts['disk']
  /** What a process finds when it starts. */
  read(): ReadonlyMap<string, Uint8Array>
  /** Written and synced before it returns: what a start does while nothing else runs. */
  writeNow(key: string, value: Uint8Array): void
  /** The process ends: of what was under way, some first part may have reached the operating system. */
  onProcessEnd(): void
  /**
   * The power goes: of what was not synced, some first part may have reached the disk, and of the next entry a piece.
   */
  onPowerCut(): void
  /** Until that moment each write takes longer. */
  slowUntil(moment: Millis): void
  /** Until that moment no write is done. */
  hangUntil(moment: Millis): void
  /** Until that moment each write fails. */
  failUntil(moment: Millis): void
  isFailing(): boolean
  /** Slow, hanging and failing are over. */
  mend(): void
  /** Another disk is put in. */
  wipe(): void
  /** Bits of a value flip, or its end is gone; false where there is no such key. */
  damage(key: string): boolean
}

/** A write into the cache, and one to a flash disk with a flush; a slow disk takes so many times longer. Guesses. */
const WRITE_MS = { min: 0.05, max: 0.5 }
const SYNC_MS = { min: 1, max: 8 }
const SLOW_TIMES = 40
/** How often a power cut leaves a piece of the entry that was being written. A guess, for the sake of the readers. */
const TORN = 0.5

export function createDisk(agenda: Agenda, random: Random, defects: DiskDefects, listener: DiskListener): SimDisk {
  const durable = new Map<string, Uint8Array>()
  let cached: Entry[] = []
  /** Asked for and not yet done, in order. */
  let underWay: Entry[] = []
  let freeAt: Millis = 0
  let slowUntil: Millis = 0
  let hangsUntil: Millis = 0
  let failsUntil: Millis = 0
  let run = 0

  const isFailing = (): boolean => agenda.now() < failsUntil

  const apply = ({ key, value }: Entry): void => {
    if (defects.forgets(key, durable.get(key) ?? null, value)) return
    if (value === null) durable.delete(key)
    else durable.set(key, value)
    listener.onDurable(key, value)
  }

  const flush = (): void => {
    const entries = cached
    cached = []
    for (const entry of entries) apply(entry)
  }

  /**
   * A piece of an entry where nothing was before. What a key held is not overwritten: a store appends, and finds by its
   * checksums that the end of its log is no entry.
   */
  const tear = (entry: Entry | undefined): void => {
    if (entry === undefined || entry.value === null || durable.has(entry.key) || !chance(random, TORN)) return
    durable.set(entry.key, damaged(random, entry.value))
  }

  return {
    port: {
      write: (key, value, sync, done) => {
        const now = agenda.now()
        const { min, max } = sync ? SYNC_MS : WRITE_MS
        const tookMs = between(random, min, max) * (now < slowUntil ? SLOW_TIMES : 1)
        freeAt = Math.max(freeAt, now, hangsUntil) + tookMs
        const startedIn = run
        const entry: Entry = { key, value }
        underWay.push(entry)
        agenda.at(freeAt, () => {
          if (run !== startedIn) return
          if (isFailing()) return listener.onFailed()
          underWay.shift()
          cached.push(entry)
          if (sync && !defects.ignoresSync) flush()
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
      if (!isFailing()) cached.push(...underWay.slice(0, randomInt(random, 0, underWay.length + 1)))
      underWay = []
    },
    onPowerCut: () => {
      run += 1
      freeAt = 0
      const unsynced = [...cached, ...underWay]
      const survived = randomInt(random, 0, unsynced.length + 1)
      underWay = []
      cached = defects.ignoresSync ? [] : unsynced.slice(0, survived)
      flush()
      tear(unsynced[survived])
    },
    slowUntil: (moment) => {
      slowUntil = Math.max(slowUntil, moment)
    },
    hangUntil: (moment) => {
      hangsUntil = Math.max(hangsUntil, moment)
    },
    failUntil: (moment) => {
      failsUntil = Math.max(failsUntil, moment)
    },
    isFailing,
    mend: () => {
      slowUntil = 0
      hangsUntil = 0
      failsUntil = 0
    },
    wipe: () => {
      durable.clear()
      cached = []
    },
    damage: (key) => {
      const value = durable.get(key)
      if (value !== undefined) durable.set(key, damaged(random, value))
      return value !== undefined
    },
  }
}

/** The first part of a value, or the whole with a few bits flipped. */
function damaged(random: Random, value: Uint8Array): Uint8Array {
  if (chance(random, 0.5)) return value.slice(0, randomInt(random, 0, value.length))
  const copy = value.slice()
  const flips = randomInt(random, 1, 4)
  for (let flip = 0; flip < flips && copy.length > 0; flip++) {
    const at = randomInt(random, 0, copy.length)
    copy[at] = (copy[at] as number) ^ (1 << randomInt(random, 0, 8))
  }
  return copy
}
