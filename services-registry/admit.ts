// Taking a record in: is it later than what is held, may its signer say it, is there room; then it is kept, told and,
// when it is new to the domain, spread. Asking for the version first makes everything that is known already cheap. A
// spec from its author counts for nothing before it is on the disk: who acted on it might forget what it was.

import { emit } from '../overlay/kernel/effect.ts'
import type { DomainPath, NodeId } from '../overlay/kernel/ids.ts'
import type { StepContext } from '../overlay/kernel/machine.ts'
import { authorize, type RefusalCode } from './authority.ts'
import {
  INSTANCES_PER_SIGNER_MAX,
  PROOF_RETRY_MS,
  RECORDS_MAX,
  SPECS_PER_SIGNER_MAX,
  TOMBSTONE_KEPT_MS,
  WAITING_RECORDS_MAX,
  WANTED_PROOFS_MAX,
} from './constants.ts'
import { hashName, markOf } from './digest.ts'
import { merge } from './merge.ts'
import type { Fence, SealedRecord } from './record.ts'
import type { Origin, SettlingSpec, StoreEffect, StoreState } from './state.ts'
import { countOf, dropRecord, keyOf, putRecord } from './table.ts'
import {
  compareRecords,
  isPlacement,
  isRollout,
  isSameRecord,
  isSpec,
  isTombstone,
  observe,
  slotOf,
} from './version.ts'

export type Outcome = 'accepted' | 'known' | 'wait' | RefusalCode

export interface Admission {
  readonly state: StoreState
  readonly effects: readonly StoreEffect[]
  readonly outcome: Outcome
}

/** How a record came. `reply` is carried out once an accepted record is kept: nothing is promised before. */
export interface Delivery {
  readonly origin: Origin
  readonly from: NodeId | null
  readonly reply: readonly StoreEffect[]
}

/** The node's store keeps a domain's records under this; a double slash stands in no domain path. */
export const storePrefix = (domain: DomainPath): string => `store/${domain}//`

export function admit(state: StoreState, record: SealedRecord, by: Delivery, context: StepContext): Admission {
  const { table, settling } = state
  const slot = slotOf(record)
  const written = settling.get(slot)
  if (written !== undefined && isSameRecord(record, written.record)) return onSettling(state, slot, written, by)
  const held = laterOf(table.entries.get(slot)?.record, written?.record)
  if (held !== undefined) {
    if (isSameRecord(record, held)) return { state, effects: [], outcome: 'known' }
    if (compareRecords(record, held) < 0) return onOlder(state, record, by)
  }
  if (table.revoked.has(record.from)) return refuse(state, record, 'revoked-signer', by)
  const atTheDoor = isNew(by.origin)
  const rules = { domain: state.domain, leaders: state.leaders, clock: state.clock, spec: state.view.spec }
  const verdict = authorize(record, rules, { wall: context.wall, atTheDoor })
  if (verdict === 'wait') return keepAside(state, record, by, context)
  if (verdict !== 'accept') return refuse(state, record, verdict.refused, by)
  if (held === undefined || held.from !== record.from) {
    const full = limitFor(state, record, held === undefined)
    if (full !== null) return refuse(state, record, full, by)
  }
  return take(state, record, by, context)
}

const laterOf = (held: SealedRecord | undefined, written: SealedRecord | undefined): SealedRecord | undefined =>
  held === undefined || written === undefined ? (held ?? written) : merge(held, written)

/** It is on its way to the disk already: who says it once more is answered with the first. */
function onSettling(state: StoreState, slot: string, written: SettlingSpec, by: Delivery): Admission {
  if (!isNew(by.origin)) return { state, effects: [], outcome: 'known' }
  state.settling.set(slot, { ...written, reply: [...written.reply, ...by.reply] })
  return { state, effects: [], outcome: 'accepted' }
}

/** From its author, and so not yet spread by anyone else. */
const isNew = (origin: Origin): boolean => origin === 'self' || origin === 'push'

/** An old version is no offence where it was passed on; its author has to know that it came too late. */
function onOlder(state: StoreState, record: SealedRecord, by: Delivery): Admission {
  return isNew(by.origin) ? refuse(state, record, 'older', by) : { state, effects: [], outcome: 'older' }
}

function refuse(state: StoreState, record: SealedRecord, code: RefusalCode, by: Delivery): Admission {
  const key = keyOf(record)
  const refused = { kind: 'record-refused', code, domain: state.domain, key, from: by.from } as const
  return { state, effects: [refused], outcome: code }
}

function keepAside(state: StoreState, record: SealedRecord, by: Delivery, context: StepContext): Admission {
  const name = `${slotOf(record)} ${hashName(markOf(record.bytes, false))}`
  const effects: StoreEffect[] = []
  const [oldest] = state.waiting.keys()
  if (!state.waiting.has(name) && state.waiting.size >= WAITING_RECORDS_MAX && oldest !== undefined) {
    state.waiting.delete(oldest)
    effects.push(emit('waiting-record-dropped', { domain: state.domain, record: oldest }, 'debug'))
  }
  state.waiting.set(name, { record, origin: by.origin, from: by.from })
  if (isPlacement(record) || isRollout(record))
    effects.push(...wantProof(state, record.message.fence, by.from, context))
  return { state, effects, outcome: 'wait' }
}

/** Asks whenever something comes that waits for the proof, since the question may be lost; not for each of many. */
function wantProof(state: StoreState, fence: Fence, from: NodeId | null, context: StepContext): readonly StoreEffect[] {
  const { wantedProofs } = state
  const name = `${fence.epoch} ${fence.term}`
  const askedAt = wantedProofs.get(name)
  if (askedAt !== undefined && context.now - askedAt < PROOF_RETRY_MS) return []
  wantedProofs.delete(name)
  const [oldest] = wantedProofs.keys()
  if (wantedProofs.size >= WANTED_PROOFS_MAX && oldest !== undefined) wantedProofs.delete(oldest)
  wantedProofs.set(name, context.now)
  return [{ kind: 'leader-wanted', domain: state.domain, fence, from }]
}

/**
 * Which limit a record would exceed that adds to what its signer holds; where the store is full, deletions make room.
 */
function limitFor(state: StoreState, record: SealedRecord, takesRoom: boolean): RefusalCode | null {
  const { kind } = record.message
  const underWay = [...state.settling.values()].filter((one) => one.record.from === record.from).length
  const held = countOf(state.table, record.from, kind) + (kind === 'record/spec' ? underWay : 0)
  if (kind === 'record/spec' && held >= SPECS_PER_SIGNER_MAX) return 'signer-limit'
  if (kind === 'record/instance' && held >= INSTANCES_PER_SIGNER_MAX) return 'signer-limit'
  const isFull = takesRoom && state.table.entries.size + state.settling.size >= RECORDS_MAX
  return isFull && state.table.tombstones.size === 0 ? 'store-full' : null
}

function take(state: StoreState, arrived: SealedRecord, by: Delivery, context: StepContext): Admission {
  const record = compact(arrived)
  const { domain } = state
  const key = storePrefix(domain) + slotOf(record)
  const persist = { kind: 'persist', key, value: record.bytes } as const
  if (isSpec(record)) {
    const observed = observe(state.clock, record.message.clock, context.wall)
    const next = { ...state, clock: observed.ok ? observed.value : state.clock }
    if (!isNew(by.origin)) {
      const effects = [{ ...persist, sync: false, then: by.reply }, ...keep(next, record, context)]
      return { state: next, effects, outcome: 'accepted' }
    }
    state.settling.set(slotOf(record), { record, reply: by.reply })
    const then: StoreEffect[] = [{ kind: 'synced', domain, record }]
    return { state: next, effects: [{ ...persist, sync: true, then }], outcome: 'accepted' }
  }
  const publish: StoreEffect = { kind: 'publish-sealed', domain, topic: 'record', opened: record }
  // A leader that forgets an order hears of it from others, and orders anew only under a higher fence: devices need not
  // wait for its disk.
  const isOwnOrder = isPlacement(record) && by.origin === 'self'
  const then = isNew(by.origin) && !isOwnOrder ? [publish, ...by.reply] : by.reply
  const first = [{ ...persist, sync: false, then }, ...(isOwnOrder ? [publish] : [])]
  return { state, effects: [...first, ...keep(state, record, context)], outcome: 'accepted' }
}

/** A spec is on the disk: from now on it counts, unless a later one came by other ways, and others hear of it. */
export function onSynced(state: StoreState, record: SealedRecord, context: StepContext): readonly StoreEffect[] {
  const slot = slotOf(record)
  const written = state.settling.get(slot)
  if (written?.record !== record) return []
  state.settling.delete(slot)
  const held = state.table.entries.get(slot)?.record
  if (held !== undefined && compareRecords(record, held) <= 0) return written.reply
  const publish: StoreEffect = { kind: 'publish-sealed', domain: state.domain, topic: 'record', opened: record }
  return [publish, ...written.reply, ...keep(state, record, context)]
}

/** Puts a record into the table, and says what it changes. */
function keep(state: StoreState, record: SealedRecord, context: StepContext): readonly StoreEffect[] {
  const { table, view, domain } = state
  const { service } = record.message
  const effects: StoreEffect[] = []
  const slot = slotOf(record)
  const [oldestDeleted] = table.tombstones.keys()
  if (!table.entries.has(slot) && table.entries.size >= RECORDS_MAX && oldestDeleted !== undefined) {
    effects.push(...forget(state, oldestDeleted))
  }
  const ruledBefore = view.spec(service)
  putRecord(table, record, context.now + TOMBSTONE_KEPT_MS)
  const key = keyOf(record)
  if (!isSpec(record)) return [...effects, { kind: 'record-changed', domain, key, service, record }]
  const ruling = view.spec(service)
  if (ruling === null || ruling === ruledBefore) return effects
  const changed = { kind: 'record-changed', domain, key, service, record: ruling } as const
  return [...effects, changed, ...noteTakeover(state, ruledBefore, ruling)]
}

/** Bytes cut out of a network chunk would keep the whole chunk in memory for as long as the record is held. */
const compact = (record: SealedRecord): SealedRecord =>
  record.bytes.byteLength * 2 > record.bytes.buffer.byteLength
    ? record
    : { ...record, bytes: Uint8Array.from(record.bytes) }

/** Two operators took one name while they could not see each other: people have to hear of it. */
function noteTakeover(state: StoreState, before: SealedRecord | null, ruling: SealedRecord): readonly StoreEffect[] {
  if (before === null || isTombstone(before) || before.signer.operator === ruling.signer.operator) return []
  const { service } = ruling.message
  const fields = { domain: state.domain, service, operator: ruling.signer.operator, was: before.signer.operator }
  return isTombstone(ruling) ? [] : [emit('service-changed-owner', fields, 'warn')]
}

/** Takes a record out of the table and off the disk. */
export function forget(state: StoreState, slot: string): readonly StoreEffect[] {
  const entry = state.table.entries.get(slot)
  if (entry === undefined) return []
  const { service } = entry.record.message
  const key = keyOf(entry.record)
  const before = state.view.get(key)
  dropRecord(state.table, slot)
  const after = state.view.get(key)
  const gone: StoreEffect = {
    kind: 'persist',
    key: storePrefix(state.domain) + slot,
    value: null,
    sync: false,
    then: [],
  }
  if (before === after) return [gone]
  return [gone, { kind: 'record-changed', domain: state.domain, key, service, record: after }]
}
