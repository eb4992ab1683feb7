// Which version of a service is meant. A leader remembers the few versions that it has met, since an order may name an
// older one than the newest: while a new version comes step by step, and once it was rolled back.

import type { ServiceId } from '../overlay/kernel/ids.ts'
import {
  type Clock,
  compareClocks,
  compareFences,
  type PlacementRecord,
  type RolloutRecord,
  type SpecRecord,
} from '../services-registry/record.ts'
import { claimOf, compareBytes, versionOf } from '../services-registry/version.ts'
import { VERSIONS_MAX } from './constants.ts'
import type { KnownSpec, SchedulerState, Submitter } from './scheduler-state.ts'
import { decodeSpec, type ServiceSpec } from './spec.ts'
import { specIdOf } from './spec-id.ts'

const NOBODY: Submitter = { operator: null, origin: null }

/**
 * Reads a spec once and remembers it; null when it cannot be read. Two that were submitted out of each other's sight
 * may have the same clock, and the store decides which of them stays.
 */
export function learnSpec(
  state: SchedulerState,
  service: ServiceId,
  clock: Clock,
  bytes: Uint8Array,
  submitter: Submitter = NOBODY,
): KnownSpec | null {
  const known = state.specs.get(service) ?? []
  const same = known.find((one) => compareClocks(one.clock, clock) === 0)
  const isSame = same !== undefined && (same.bytes === bytes || compareBytes(same.bytes, bytes) === 0)
  if (isSame && (submitter.operator === null || same.submitter.operator !== null)) return same
  const decoded = decodeSpec(bytes)
  if (!decoded.ok) return null
  const learnt: KnownSpec = { clock, bytes, spec: decoded.value, id: specIdOf(decoded.value), over: null, submitter }
  const all = [learnt, ...known.filter((one) => one !== same)].sort((a, b) => compareClocks(b.clock, a.clock))
  state.specs.set(service, all.slice(0, VERSIONS_MAX))
  return learnt
}

/** The version of exactly that clock, where it is known. */
export const findSpec = (state: SchedulerState, service: ServiceId, clock: Clock): KnownSpec | null =>
  state.specs.get(service)?.find((one) => compareClocks(one.clock, clock) === 0) ?? null

/** A spec record and the version that it replaces. */
export function learnRecord(state: SchedulerState, record: SpecRecord): KnownSpec | null {
  const { service, clock, spec, previous } = record
  if (previous !== undefined) learnSpec(state, service, previous.clock, previous.spec)
  return spec === null ? null : learnSpec(state, service, clock, spec)
}

/** What the domain's own spec calls for now, and how far it has come. */
export interface Target {
  /** What shall run: the newest version, or the one before when that was rolled back. */
  readonly known: KnownSpec
  readonly latest: KnownSpec
  /** What the newest version replaces, in as many copies as are wanted now. */
  readonly before: KnownSpec | null
  readonly version: Clock
  /** When the name was taken: what was placed before then was another service. */
  readonly claimed: Clock
  /** The latest word on this version; null while there is none. */
  readonly rollout: RolloutRecord | null
}

/** Null where the domain has no spec of its own for the service, or one that cannot be read. */
export function targetOf(state: SchedulerState, service: ServiceId): Target | null {
  const own = state.view.store.spec(service)?.message ?? null
  const latest = own === null ? null : learnRecord(state, own)
  if (own === null || latest === null) return null
  const version = versionOf(own)
  const found = rolloutOf(state, service)
  const rollout = found !== null && compareClocks(found.version, version) === 0 ? found : null
  const old = own.previous === undefined ? null : findSpec(state, service, own.previous.clock)
  const { replicas } = latest.spec
  const before = old === null ? null : { ...old, spec: { ...old.spec, replicas }, over: latest.clock }
  const known = rollout?.state === 'rolled-back' && before !== null ? before : latest
  return { known, latest, before, version, claimed: claimOf(own), rollout }
}

/** How far the service has come: what the store shows, or what this leader authored since. */
export function rolloutOf(state: SchedulerState, service: ServiceId): RolloutRecord | null {
  const shown = state.view.store.rollout(service)?.message ?? null
  const own = state.rollouts.get(service) ?? null
  if (shown === null || own === null) return shown ?? own
  return (compareFences(own.fence, shown.fence) || own.sequence - shown.sequence) > 0 ? own : shown
}

type Meant = Pick<PlacementRecord, 'specClock' | 'over'>

/**
 * Negative when `a` means an earlier version than `b`. A version that was gone back to stands behind the one that it
 * took the place of, whatever its clock.
 */
export function compareMeant(a: Meant, b: Meant): number {
  const byRank = compareClocks(a.over ?? a.specClock, b.over ?? b.specClock)
  return byRank || Number(a.over !== undefined) - Number(b.over !== undefined)
}

/** Whether a placement was made for this run: a spec that differs only in what no instance notices is the same run. */
export const runsSpec = (placed: Pick<PlacementRecord, 'specId' | 'specClock'>, known: KnownSpec): boolean =>
  placed.specId === undefined ? compareClocks(placed.specClock, known.clock) === 0 : placed.specId === known.id

/** What a submission says of its version, besides the spec itself. */
export interface NextVersion {
  readonly version: Clock | null
  readonly previous: NonNullable<SpecRecord['previous']> | null
}

/**
 * What a new spec carries on of the one that is held. `isScale`: it is the same version in another number. The version
 * to go back to is the last that came about: not one that was rolled back, nor one whose instances are the same.
 */
export function nextVersion(
  held: SpecRecord | null,
  rollout: RolloutRecord | null,
  spec: ServiceSpec,
  isScale: boolean,
): NextVersion {
  if (held === null || held.spec === null) return { version: null, previous: null }
  if (isScale) return { version: versionOf(held), previous: held.previous ?? null }
  const hasCome = rollout === null || rollout.state === 'done' || compareClocks(rollout.version, versionOf(held)) !== 0
  const newId = specIdOf(spec)
  const candidates = [hasCome ? { clock: held.clock, spec: held.spec } : null, held.previous ?? null]
  const previous = candidates.find((one) => one !== null && idOf(one.spec) !== newId) ?? null
  return { version: null, previous }
}

function idOf(bytes: Uint8Array): string {
  const decoded = decodeSpec(bytes)
  return decoded.ok ? specIdOf(decoded.value) : ''
}
