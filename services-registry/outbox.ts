// Records of this node for stores that it does not hold: said to one holder after another until one has taken them
// in. Specs are kept on disk first, so that what was submitted while no holder could be reached is handed on later,
// even after a reboot.

import { unreachable } from '../overlay/kernel/assert.ts'
import type { Persist, Send } from '../overlay/kernel/effect.ts'
import type { DomainPath, NodeId } from '../overlay/kernel/ids.ts'
import type { StepContext, Transition } from '../overlay/kernel/machine.ts'
import { earlier, type Millis } from '../overlay/kernel/time.ts'
import type { Opened } from '../overlay/wire/envelope.ts'
import type { RefusalCode } from './authority.ts'
import { OUTBOX_RECORDS_MAX, PUSH_RETRY_MS_MAX, PUSH_RETRY_MS_MIN } from './constants.ts'
import { hashBytes, isSameHash, unpackHashes } from './digest.ts'
import type { PushedMessage, PushMessage } from './messages.ts'
import type { SealedRecord, SpecRecord } from './record.ts'
import { keyOf } from './table.ts'
import { compareRecords, isSpec, slotOf } from './version.ts'

export interface OutboxState {
  /** By domain and slot, oldest first; updated in place. */
  readonly pending: Map<string, PendingPush>
  /** Whom to say it to, best first. */
  readonly holders: ReadonlyMap<DomainPath, readonly NodeId[]>
}

export interface PendingPush {
  readonly domain: DomainPath
  readonly record: SealedRecord
  readonly attempts: number
  /** Who was asked last; only its answer counts. */
  readonly asked: NodeId | null
  /** When to ask the next; null while no holder is known. */
  readonly retryAt: Millis | null
}

export type OutboxInput =
  /** A new record of this node; a later version takes the place of an earlier one. */
  | { readonly kind: 'submit'; readonly domain: DomainPath; readonly opened: SealedRecord }
  /** Who holds a domain's store, the domain's leader first. */
  | { readonly kind: 'holders'; readonly domain: DomainPath; readonly nodes: readonly NodeId[] }
  | { readonly kind: 'message'; readonly opened: Opened<PushedMessage> }
  | { readonly kind: 'wake' }

/** What became of a record; `refusal` is null when a holder took it in. */
export interface Submitted {
  readonly kind: 'submitted'
  readonly domain: DomainPath
  readonly key: string
  readonly refusal: RefusalCode | 'outbox-full' | null
}

export type OutboxEffect = Persist<OutboxEffect> | Send<PushMessage> | Submitted

type OutboxStep = Transition<OutboxState, OutboxEffect>

/** The node's store keeps what is yet to be handed on under this. */
export const OUTBOX_PREFIX = 'outbox/'

export function createOutbox(loaded: readonly SealedRecord<SpecRecord>[]): OutboxState {
  const pending = new Map<string, PendingPush>()
  for (const record of loaded) {
    const { domain } = record.message
    pending.set(nameOf(domain, record), { domain, record, attempts: 0, asked: null, retryAt: null })
  }
  return { pending, holders: new Map() }
}

const nameOf = (domain: DomainPath, record: SealedRecord): string => `${domain}//${slotOf(record)}`

export function step(state: OutboxState, input: OutboxInput, context: StepContext): OutboxStep {
  switch (input.kind) {
    case 'submit':
      return onSubmit(state, input.domain, input.opened, context)
    case 'holders':
      return onHolders(state, input.domain, input.nodes, context)
    case 'message':
      return onPushed(state, input.opened)
    case 'wake':
      return onWake(state, context)
    default:
      return unreachable(input)
  }
}

export function wakeAt(state: OutboxState): Millis | null {
  let at: Millis | null = null
  for (const { retryAt } of state.pending.values()) at = earlier(at, retryAt)
  return at
}

function onSubmit(state: OutboxState, domain: DomainPath, record: SealedRecord, context: StepContext): OutboxStep {
  const name = nameOf(domain, record)
  const earlier = state.pending.get(name)
  if (earlier !== undefined && compareRecords(record, earlier.record) <= 0) return { state, effects: [] }
  if (earlier === undefined && state.pending.size >= OUTBOX_RECORDS_MAX) {
    return { state, effects: [{ kind: 'submitted', domain, key: keyOf(record), refusal: 'outbox-full' }] }
  }
  state.pending.set(name, { domain, record, attempts: 0, asked: null, retryAt: null })
  const said = push(state, name, context)
  if (!isSpec(record)) return { state, effects: said }
  const kept = { kind: 'persist', key: OUTBOX_PREFIX + name, value: record.bytes, sync: true, then: said } as const
  return { state, effects: [kept] }
}

/** Somebody new may take it in: everything is said again, from the first holder on. */
function onHolders(state: OutboxState, domain: DomainPath, nodes: readonly NodeId[], context: StepContext): OutboxStep {
  const known = state.holders.get(domain) ?? []
  if (known.length === nodes.length && nodes.every((node, index) => node === known[index])) {
    return { state, effects: [] }
  }
  const next = { ...state, holders: new Map(state.holders).set(domain, nodes) }
  const effects: OutboxEffect[] = []
  for (const [name, pending] of state.pending) {
    if (pending.domain !== domain) continue
    state.pending.set(name, { ...pending, attempts: 0 })
    effects.push(...push(next, name, context))
  }
  return { state: next, effects }
}

function onPushed(state: OutboxState, opened: Opened<PushedMessage>): OutboxStep {
  const { domain, key, mark, refusal } = opened.message
  for (const [name, pending] of state.pending) {
    if (pending.asked !== opened.from || pending.domain !== domain || keyOf(pending.record) !== key) continue
    const [answered] = unpackHashes(mark)
    if (answered === undefined || !isSameHash(answered, hashBytes(pending.record.bytes))) continue
    if (isPassing(refusal)) return { state, effects: [] }
    state.pending.delete(name)
    const outcome: Submitted = { kind: 'submitted', domain, key, refusal: refusal as RefusalCode | null }
    if (!isSpec(pending.record)) return { state, effects: [outcome] }
    const gone = { kind: 'persist', key: OUTBOX_PREFIX + name, value: null, sync: false, then: [outcome] } as const
    return { state, effects: [gone] }
  }
  return { state, effects: [] }
}

/** Refusals after which the same record may be taken in later, or by somebody else. */
const isPassing = (refusal: string | null): boolean =>
  refusal === 'wait' || refusal === 'clock-ahead' || refusal === 'store-full' || refusal === 'signer-limit'

function onWake(state: OutboxState, context: StepContext): OutboxStep {
  const effects: OutboxEffect[] = []
  for (const [name, { retryAt }] of state.pending) {
    if (retryAt !== null && retryAt <= context.now) effects.push(...push(state, name, context))
  }
  return { state, effects }
}

/** Says a record to the next holder in turn; the pauses double. */
function push(state: OutboxState, name: string, context: StepContext): readonly OutboxEffect[] {
  const pending = state.pending.get(name)
  if (pending === undefined) return []
  const { domain, record, attempts } = pending
  const holders = state.holders.get(domain) ?? []
  const to = holders[attempts % Math.max(1, holders.length)]
  if (to === undefined) {
    state.pending.set(name, { ...pending, asked: null, retryAt: null })
    return []
  }
  const pauseMs = Math.min(PUSH_RETRY_MS_MAX, PUSH_RETRY_MS_MIN * 2 ** Math.min(attempts, 16))
  state.pending.set(name, { ...pending, attempts: attempts + 1, asked: to, retryAt: context.now + pauseMs })
  return [{ kind: 'send', to, message: { kind: 'registry/push', domain, record } }]
}
