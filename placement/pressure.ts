// What a node does when it runs out of something, by itself: no leader is needed for it. Readings above the high mark
// restrict it, then taint it; readings below the low mark put back exactly what was changed. In between nothing
// happens, so a node that hovers does not swing.

import type { DomainEvent } from '../overlay/kernel/effect.ts'
import type { InstanceKey } from '../overlay/kernel/ids.ts'
import { splitInstanceKey } from '../overlay/kernel/ids.ts'
import { err, type Result } from '../overlay/kernel/result.ts'
import type { UnixMillis } from '../overlay/kernel/time.ts'
import { decodeBounded } from '../overlay/wire/codec.ts'
import { encodeWith, type Infer, list, literal, object, readWith, text, whole } from '../overlay/wire/schema.ts'
import type { HostReading } from './host-reading.ts'
import type { RuntimeLimits } from './runtime.ts'

export interface PressureSettings {
  /** Shares from 0 to 1 of cpu, load per core, memory or disk. Between the two nothing changes. */
  readonly high: number
  readonly low: number
  /** Readings in a row that a change takes. */
  readonly readings: number
}

/** DESIGN section 9. */
export const PRESSURE_DEFAULTS: PressureSettings = { high: 0.8, low: 0.7, readings: 3 }

/** Of its declared cores an instance keeps this share while its node is restricted. A guess. */
export const RESTRICTED_CPU_SHARE = 0.5
/** Cores that each instance keeps, also one that declared next to nothing. A guess. */
const RESTRICTED_VCPUS_MIN = 0.05
/** Instances that a node remembers having limited; more than a device runs. */
const LIMITED_MAX = 10_000

export type PressureLevel = 0 | 1 | 2

/** An instance that runs here, as far as pressure has to know it. */
export interface PressedInstance {
  readonly key: InstanceKey
  readonly runtime: string
  readonly specId: string
  readonly restarts: number
  readonly priority: number
  /** As declared; 0 where there is no limit. */
  readonly vcpus: number
  readonly memoryMb: number
  readonly since: UnixMillis
}

export interface PressureState {
  readonly settings: PressureSettings
  readonly level: PressureLevel
  /** Readings in a row above the high mark, and below the low one. */
  readonly above: number
  readonly below: number
  /** Whom limits were given, and which run of it. */
  readonly limited: ReadonlyMap<InstanceKey, string>
}

export interface PressureInput {
  readonly kind: 'reading'
  readonly reading: HostReading
  readonly instances: readonly PressedInstance[]
}

export interface LimitEffect {
  readonly kind: 'limit'
  readonly runtime: string
  readonly key: InstanceKey
  readonly limits: RuntimeLimits
}

export type PressureEffect =
  | LimitEffect
  /** The worker ends it, and its leader finds it another place. */
  | { readonly kind: 'evict'; readonly key: InstanceKey; readonly reason: string }
  | {
      readonly kind: 'persist'
      readonly key: string
      readonly value: Uint8Array
      readonly sync: boolean
      readonly then: readonly LimitEffect[]
    }
  | { readonly kind: 'emit'; readonly event: DomainEvent }

export const PRESSURE_KEY = 'pressure'

const keptSchema = object({
  kind: literal('worker/pressure'),
  level: whole(0, 2),
  limited: list(object({ key: text<InstanceKey>(300), run: text(64) }), LIMITED_MAX),
})
type Kept = Infer<typeof keptSchema>

/** `kept` is what stood under PRESSURE_KEY; what cannot be read counts as nothing. */
export function createPressure(settings: PressureSettings, kept: Uint8Array | null): PressureState {
  const read = kept === null ? null : decodeKept(kept)
  const known: Kept | null = read?.ok === true ? read.value : null
  return {
    settings,
    level: (known?.level ?? 0) as PressureLevel,
    above: 0,
    below: 0,
    limited: new Map(known?.limited.map(({ key, run }) => [key, run])),
  }
}

function decodeKept(value: Uint8Array): Result<Kept, string> {
  const raw = decodeBounded(value)
  return raw.ok ? readWith(keptSchema, raw.value, () => err('no envelope belongs here')) : err(raw.error.detail)
}

export function step(
  state: PressureState,
  { reading, instances }: PressureInput,
): { readonly state: PressureState; readonly effects: readonly PressureEffect[] } {
  const { high, low, readings } = state.settings
  const uses = usesOf(reading)
  const most = uses.reduce((a, b) => (b.share > a.share ? b : a))
  const above = most.share > high ? state.above + 1 : 0
  const below = most.share < low ? state.below + 1 : 0
  const counted = { ...state, above, below }
  if (above >= readings) return pressHarder({ ...counted, above: 0 }, most, instances)
  if (below >= readings && state.level > 0) return relieve({ ...counted, below: 0 }, instances)
  return state.level > 0 ? restrict(counted, instances, []) : { state: counted, effects: [] }
}

interface Use {
  readonly what: 'cpu' | 'load' | 'memory' | 'disk'
  readonly share: number
}

/** What the device said, each as a share; what no sensor tells is not there. */
function usesOf({ cpuUsed, load, memoryMb, diskMb }: HostReading): readonly [Use, ...Use[]] {
  const used = ({ total, free }: { readonly total: number; readonly free: number }): number =>
    total <= 0 ? 0 : 1 - free / total
  return [
    { what: 'memory', share: used(memoryMb) },
    ...(cpuUsed === undefined ? [] : [{ what: 'cpu' as const, share: cpuUsed }]),
    ...(load === undefined ? [] : [{ what: 'load' as const, share: load }]),
    ...(diskMb === undefined ? [] : [{ what: 'disk' as const, share: used(diskMb) }]),
  ]
}

/** One level up; at the highest, one instance less. */
function pressHarder(state: PressureState, most: Use, instances: readonly PressedInstance[]): Outcome {
  const measured = `${most.what} at ${percent(most.share)}`
  if (state.level === 0) {
    const told = tell('pressure-restricted', { reason: measured, level: 1, instances: instances.length }, 'warn')
    return restrict({ ...state, level: 1 }, instances, [told], true)
  }
  const tainted = tell('pressure-tainted', { reason: measured, level: 2, instances: instances.length }, 'warn')
  const limited = restrict({ ...state, level: 2 }, instances, state.level === 2 ? [] : [tainted], state.level !== 2)
  const first = [...instances].sort(byExpendability)[0]
  if (first === undefined) return limited
  const { service, number } = splitInstanceKey(first.key)
  const reason = `stopped to relieve the device: ${measured}`
  const evicted = tell('pressure-evicted', { service, number, reason, priority: first.priority }, 'warn')
  const effects = [...limited.effects, evicted, { kind: 'evict' as const, key: first.key, reason }]
  return { state: limited.state, effects }
}

/** The lowest priority first; of equals the youngest, which lost the least. */
const byExpendability = (a: PressedInstance, b: PressedInstance): number =>
  a.priority - b.priority || b.since - a.since || (a.key < b.key ? -1 : 1)

type Outcome = { readonly state: PressureState; readonly effects: readonly PressureEffect[] }

/** Limits those that run and are not limited yet. It is on the disk first: a node that dies now puts it back later. */
function restrict(
  state: PressureState,
  instances: readonly PressedInstance[],
  told: readonly PressureEffect[],
  isChanged = false,
): Outcome {
  const fresh = instances.filter((one) => state.limited.get(one.key) !== runOf(one))
  if (fresh.length === 0 && !isChanged) return { state, effects: told }
  const here = new Map(instances.map((one) => [one.key, runOf(one)]))
  const limited = new Map([...state.limited].filter(([key]) => here.has(key)))
  for (const one of fresh) limited.set(one.key, runOf(one))
  const next = { ...state, limited }
  const limits = fresh.map((one) => limit(one, restrictedLimits(one)))
  return { state: next, effects: [...told, persist(next, limits)] }
}

const restrictedLimits = ({ vcpus, memoryMb }: PressedInstance): RuntimeLimits => ({
  vcpus: vcpus === 0 ? 0 : Math.max(RESTRICTED_VCPUS_MIN, vcpus * RESTRICTED_CPU_SHARE),
  memoryMb,
  holdMemory: true,
})

/**
 * Puts back what was changed and nothing else; only then it is forgotten. After the disk, as limits are given: one that
 * waits for a disk that hangs would come later than what takes it back.
 */
function relieve(state: PressureState, instances: readonly PressedInstance[]): Outcome {
  const limited = instances.filter((one) => state.limited.get(one.key) === runOf(one))
  const restored = limited.map((one) => limit(one, { vcpus: one.vcpus, memoryMb: one.memoryMb, holdMemory: false }))
  const next: PressureState = { ...state, level: 0, limited: new Map() }
  const told = tell('pressure-relieved', { level: 0, restored: restored.length })
  const putBack = restored.length === 0 ? [] : [persist(state, restored)]
  return { state: next, effects: [...putBack, persist(next, []), told] }
}

/** One start of one version: the next one has its declared limits again. */
const runOf = ({ specId, restarts }: PressedInstance): string => `${specId} ${restarts}`.slice(0, 64)

const limit = ({ runtime, key }: PressedInstance, limits: RuntimeLimits): LimitEffect => ({
  kind: 'limit',
  runtime,
  key,
  limits,
})

function persist({ level, limited }: PressureState, then: readonly LimitEffect[]): PressureEffect {
  const kept: Kept = {
    kind: 'worker/pressure',
    level,
    limited: [...limited].slice(0, LIMITED_MAX).map(([key, run]) => ({ key, run })),
  }
  return { kind: 'persist', key: PRESSURE_KEY, value: encodeWith(keptSchema, kept), sync: true, then }
}

const tell = (name: string, fields: DomainEvent['fields'], level: DomainEvent['level'] = 'info'): PressureEffect => ({
  kind: 'emit',
  event: { name, level, fields },
})

const percent = (share: number): string => `${Math.round(share * 100)} %`
