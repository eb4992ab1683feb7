// The records of one store and every index over them. It belongs to the store's machine, which alone changes it, in
// place; everyone else gets `viewOf`. Each question of the view costs as much as its answer is long.

import {
  type ChildId,
  type DomainPath,
  type InstanceKey,
  instanceKey,
  type NodeId,
  type OperatorId,
  type ServiceId,
} from '../overlay/kernel/ids.ts'
import type { Millis } from '../overlay/kernel/time.ts'
import { BUCKETS } from './constants.ts'
import { bucketOf, type Digest, emptyDigest, type Hash, hashText, markOf, type Row, toggle } from './digest.ts'
import { rulingSpec } from './merge.ts'
import {
  type InstanceRecord,
  type PlacementRecord,
  type RolloutRecord,
  recordKey,
  type SealedRecord,
  type SpecRecord,
} from './record.ts'
import { compareText, isInstance, isPlacement, isSpec, isTombstone, slotOf } from './version.ts'
import type { StoreView } from './view.ts'

/** A record in its slot. */
export interface Entry extends Row {
  readonly slot: string
  readonly record: SealedRecord
  readonly key: Hash
  readonly mark: Hash
  readonly bucket: number
  readonly isTombstone: boolean
}

export interface RecordTable {
  readonly domain: DomainPath
  readonly entries: Map<string, Entry>
  /** By bucket of the digest; most are empty in a small store, and none is made before it is needed. */
  readonly buckets: (Map<string, Entry> | undefined)[]
  /** Of what is live and may be shown to others. */
  readonly digest: Digest
  /** When each deletion is forgotten; in that order. */
  readonly tombstones: Map<string, Millis>
  /** The slots that each signer fills, by kind. */
  readonly bySigner: Map<NodeId, Map<SealedRecord['message']['kind'], Set<string>>>
  /** Signers whose records no one else can open any more. */
  readonly revoked: Set<NodeId>
  readonly specs: Map<ServiceId, Map<OperatorId, SealedRecord<SpecRecord>>>
  readonly placements: Map<ServiceId, Map<number, SealedRecord<PlacementRecord>>>
  /** The same by number, made when first asked for after a change. */
  readonly byNumber: Map<ServiceId, readonly SealedRecord<PlacementRecord>[]>
  readonly instances: Map<ServiceId, Map<string, SealedRecord<InstanceRecord>>>
  /** The same by the instance that they are about. */
  readonly ofInstance: Map<InstanceKey, Map<string, SealedRecord<InstanceRecord>>>
  readonly placed: Map<ChildId, Map<string, SealedRecord<PlacementRecord>>>
}

export const createTable = (domain: DomainPath): RecordTable => ({
  domain,
  entries: new Map(),
  buckets: new Array(BUCKETS).fill(undefined),
  digest: emptyDigest(),
  tombstones: new Map(),
  bySigner: new Map(),
  revoked: new Set(),
  specs: new Map(),
  placements: new Map(),
  byNumber: new Map(),
  instances: new Map(),
  ofInstance: new Map(),
  placed: new Map(),
})

/** Puts a record into its slot, in place of the version that is there. A deletion is forgotten at `forgetAt`. */
export function putRecord(table: RecordTable, record: SealedRecord, forgetAt: Millis): void {
  const slot = slotOf(record)
  const before = table.entries.get(slot)
  dropRecord(table, slot)
  const key = before?.key ?? hashText(slot)
  const deleted = isTombstone(record)
  const mark = markOf(record.bytes, deleted)
  const entry: Entry = { slot, record, key, mark, bucket: bucketOf(key), isTombstone: deleted }
  table.entries.set(slot, entry)
  const bucket = table.buckets[entry.bucket] ?? new Map<string, Entry>()
  table.buckets[entry.bucket] = bucket.set(slot, entry)
  if (isOffered(table, entry)) toggle(table.digest, entry.bucket, mark)
  if (deleted) table.tombstones.set(slot, forgetAt)
  slotsOfSigner(table, record).add(slot)
  indexRecord(table, slot, record)
}

/** Takes a record out, as if it had never been there. */
export function dropRecord(table: RecordTable, slot: string): void {
  const entry = table.entries.get(slot)
  if (entry === undefined) return
  table.entries.delete(slot)
  table.buckets[entry.bucket]?.delete(slot)
  if (isOffered(table, entry)) toggle(table.digest, entry.bucket, entry.mark)
  table.tombstones.delete(slot)
  const { from, message } = entry.record
  const kinds = table.bySigner.get(from)
  kinds?.get(message.kind)?.delete(slot)
  if (kinds?.get(message.kind)?.size === 0) kinds.delete(message.kind)
  if (kinds?.size === 0) table.bySigner.delete(from)
  unindexRecord(table, slot, entry.record)
}

/** Holds back what a signer said: it stays true here, but nobody else could check it any more. */
export function holdBack(table: RecordTable, signer: NodeId): void {
  if (table.revoked.has(signer)) return
  for (const entry of entriesOf(table, signer)) {
    if (isOffered(table, entry)) toggle(table.digest, entry.bucket, entry.mark)
  }
  table.revoked.add(signer)
}

/** What was held back may be checked by others again. */
export function giveBack(table: RecordTable, signer: NodeId): void {
  if (!table.revoked.delete(signer)) return
  for (const entry of entriesOf(table, signer)) {
    if (isOffered(table, entry)) toggle(table.digest, entry.bucket, entry.mark)
  }
}

/** Whether the digest speaks of an entry: deletions travel only to who holds what they delete. */
const isOffered = (table: RecordTable, entry: Entry): boolean =>
  !entry.isTombstone && !table.revoked.has(entry.record.from)

export function entriesOf(table: RecordTable, signer: NodeId): readonly Entry[] {
  const slots = [...(table.bySigner.get(signer)?.values() ?? [])].flatMap((ofKind) => [...ofKind])
  return slots.flatMap((slot) => table.entries.get(slot) ?? [])
}

/** How many slots a signer fills with records of a kind. */
export const countOf = (table: RecordTable, signer: NodeId, kind: SealedRecord['message']['kind']): number =>
  table.bySigner.get(signer)?.get(kind)?.size ?? 0

function slotsOfSigner(table: RecordTable, record: SealedRecord): Set<string> {
  const kinds = inner(table.bySigner, record.from)
  const slots = kinds.get(record.message.kind)
  if (slots !== undefined) return slots
  const created = new Set<string>()
  kinds.set(record.message.kind, created)
  return created
}

function indexRecord(table: RecordTable, slot: string, record: SealedRecord): void {
  const { service } = record.message
  if (isInstance(record)) inner(table.ofInstance, instanceKey(service, record.message.number)).set(slot, record)
  if (isSpec(record)) inner(table.specs, service).set(record.signer.operator, record)
  if (isInstance(record)) inner(table.instances, service).set(slot, record)
  if (!isPlacement(record)) return
  inner(table.placements, service).set(record.message.number, record)
  table.byNumber.delete(service)
  for (const child of namedIn(record)) inner(table.placed, child).set(slot, record)
}

function unindexRecord(table: RecordTable, slot: string, record: SealedRecord): void {
  const { service } = record.message
  if (isInstance(record)) deleteInner(table.ofInstance, instanceKey(service, record.message.number), slot)
  if (isSpec(record)) deleteInner(table.specs, service, record.signer.operator)
  if (isInstance(record)) deleteInner(table.instances, service, slot)
  if (!isPlacement(record)) return
  deleteInner(table.placements, service, record.message.number)
  table.byNumber.delete(service)
  for (const child of namedIn(record)) deleteInner(table.placed, child, slot)
}

/** The children that a placement is about. */
const namedIn = ({ message: { child, previous, replaced } }: SealedRecord<PlacementRecord>): readonly ChildId[] =>
  [child, previous, replaced?.child].filter((one) => one !== null && one !== undefined)

function inner<A, B, V>(outer: Map<A, Map<B, V>>, key: A): Map<B, V> {
  const found = outer.get(key)
  if (found !== undefined) return found
  const created = new Map<B, V>()
  outer.set(key, created)
  return created
}

function deleteInner<A, B, V>(outer: Map<A, Map<B, V>>, key: A, innerKey: B): void {
  const found = outer.get(key)
  found?.delete(innerKey)
  if (found?.size === 0) outer.delete(key)
}

export function viewOf(table: RecordTable): StoreView {
  const spec = (service: ServiceId) => rulingSpec(table.specs.get(service)?.values() ?? [])
  return {
    domain: table.domain,
    get: (key) => {
      const service = key.startsWith('spec/') ? (key.slice('spec/'.length) as ServiceId) : null
      return service === null ? (table.entries.get(key)?.record ?? null) : spec(service)
    },
    spec,
    specs: function* () {
      for (const contenders of table.specs.values()) {
        const ruling = rulingSpec(contenders.values())
        if (ruling !== null) yield ruling
      }
    },
    rollout: (service) =>
      (table.entries.get(`rollout/${service}`)?.record as SealedRecord<RolloutRecord> | undefined) ?? null,
    placements: (service) => table.byNumber.get(service) ?? sortPlacements(table, service),
    placement: (service, number) => table.placements.get(service)?.get(number) ?? null,
    instances: (service) => [...(table.instances.get(service)?.values() ?? [])].sort(byNumberThenNode),
    instancesOf: (service, number) =>
      [...(table.ofInstance.get(instanceKey(service, number))?.values() ?? [])].sort(byNumberThenNode),
    allInstances: function* () {
      for (const ofService of table.instances.values()) yield* ofService.values()
    },
    placedOn: (child) => [...(table.placed.get(child)?.values() ?? [])],
  }
}

function sortPlacements(table: RecordTable, service: ServiceId): readonly SealedRecord<PlacementRecord>[] {
  const found = table.placements.get(service)
  if (found === undefined) return []
  const sorted = [...found.values()].sort((a, b) => a.message.number - b.message.number)
  table.byNumber.set(service, sorted)
  return sorted
}

const byNumberThenNode = (a: SealedRecord<InstanceRecord>, b: SealedRecord<InstanceRecord>): number =>
  a.message.number - b.message.number || compareText(a.from, b.from)

/** What consumers know a record by; one name per service for specs, whoever's they are. */
export const keyOf = (record: SealedRecord): string => recordKey(record.message, record.from)
