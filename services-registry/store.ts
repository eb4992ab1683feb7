// The records of one domain on one node that holds them: a machine that takes records in, spreads what is new,
// compares itself with other holders, and forgets deletions in time. It decides nothing about services; it only knows
// whose word counts.

import { unreachable } from '../overlay/kernel/assert.ts'
import type { DomainPath, NodeId } from '../overlay/kernel/ids.ts'
import type { StepContext, Transition } from '../overlay/kernel/machine.ts'
import { pick } from '../overlay/kernel/random.ts'
import { earlier, type Millis } from '../overlay/kernel/time.ts'
import type { Opened, SignerFacts } from '../overlay/wire/envelope.ts'
import { admit, type Delivery, forget, onSynced } from './admit.ts'
import { mayDeploy } from './authority.ts'
import { ADOPT_WITHIN_MS, REVOKED_SIGNERS_MAX, STORE_TIMING, type StorePreset } from './constants.ts'
import { hashBytes, packHashes } from './digest.ts'
import { beginExchange, mayRead, onDigest, onFetch, onRecords, onWant } from './exchange.ts'
import type { LeaderBook } from './leaders.ts'
import { merge, remainingAtLoad } from './merge.ts'
import type { PushedMessage, PushMessage, RegistryMessage } from './messages.ts'
import { compareClocks, type SealedRecord } from './record.ts'
import type { StoreEffect, StoreInput, StoreState } from './state.ts'
import { createTable, entriesOf, giveBack, holdBack, keyOf, putRecord, viewOf } from './table.ts'
import { CLOCK_ZERO, claimOf, isSpec, isTombstone, slotOf, tick, versionOf } from './version.ts'

export interface StoreOptions {
  readonly domain: DomainPath
  /** What this node's own credential says. */
  readonly self: SignerFacts
  /** What the disk held; it was accepted once and is not judged again. */
  readonly loaded: readonly SealedRecord[]
  readonly leaders: LeaderBook
  readonly preset: StorePreset
}

type StoreStep = Transition<StoreState, StoreEffect>

export function createStore(options: StoreOptions, context: StepContext): StoreState {
  const { domain, self, leaders } = options
  const timing = STORE_TIMING[options.preset]
  const table = createTable(domain)
  for (const { record, forgetAt } of inOrderOfForgetting(options.loaded, context)) putRecord(table, record, forgetAt)
  const clocks = options.loaded.filter(isSpec).map((record) => record.message.clock)
  return {
    domain,
    self,
    leaders,
    timing,
    table,
    view: viewOf(table),
    clock: clocks.reduce((last, clock) => (compareClocks(clock, last) > 0 ? clock : last), CLOCK_ZERO),
    settling: new Map(),
    waiting: new Map(),
    wantedProofs: new Map(),
    orphans: new Map(),
    holders: new Set(),
    connected: new Set(),
    talks: new Map(),
    fetches: new Map(),
    putOff: new Set(),
    nextExchangeAt: context.now + jittered(timing.exchangeIntervalMs, context),
    roundsSoon: 0,
  }
}

/**
 * Of each slot the latest, should the disk hold several; deletions such that the first to forget is the first in the
 * table.
 */
function inOrderOfForgetting(
  loaded: readonly SealedRecord[],
  context: StepContext,
): readonly { readonly record: SealedRecord; readonly forgetAt: Millis }[] {
  const bySlot = new Map<string, SealedRecord>()
  for (const record of loaded) {
    const held = bySlot.get(slotOf(record))
    bySlot.set(slotOf(record), held === undefined ? record : merge(held, record))
  }
  const timed = [...bySlot.values()].map((record) => ({
    record,
    forgetAt: isTombstone(record) ? context.now + remainingAtLoad(record, context.wall) : 0,
  }))
  return timed.sort((a, b) => a.forgetAt - b.forgetAt)
}

/** A quarter more or less, so that holders do not all speak at once. */
const jittered = (ms: Millis, context: StepContext): Millis => ms * (0.75 + 0.5 * context.random.next())

export function step(state: StoreState, input: StoreInput, context: StepContext): StoreStep {
  switch (input.kind) {
    case 'record':
      return onRecord(state, input.opened, input.from, context)
    case 'message':
      return onMessage(state, input.opened, context)
    case 'synced':
      return { state, effects: onSynced(state, input.record, context) }
    case 'holders':
      return onHolders(state, input.nodes, context)
    case 'holder':
      return onHolder(state, input.node, input.isThere, context)
    case 'connected':
      return onConnected(state, input.peer, context)
    case 'disconnected':
      return onDisconnected(state, input.peer)
    case 'leaders-changed':
      return onLeadersChanged(state, context)
    case 'forget-signer':
      return onForgetSigner(state, input.node, context)
    case 'recall-signer':
      giveBack(state.table, input.node)
      return { state, effects: [] }
    case 'wake':
      return onWake(state, context)
    default:
      return unreachable(input)
  }
}

/** The next round, if there is anyone to have it with; the next deletion to forget; the next spec to sign again. */
export function wakeAt(state: StoreState): Millis | null {
  let at = hasPartner(state) ? state.nextExchangeAt : null
  for (const forgetAt of state.table.tombstones.values()) {
    at = earlier(at, forgetAt)
    break
  }
  for (const adoptAt of state.orphans.values()) at = earlier(at, adoptAt)
  return at
}

function hasPartner(state: StoreState): boolean {
  for (const peer of state.connected) if (state.holders.has(peer)) return true
  return false
}

const partnersOf = (state: StoreState): readonly NodeId[] =>
  [...state.holders].filter((holder) => state.connected.has(holder))

function onRecord(state: StoreState, record: SealedRecord, from: NodeId | null, context: StepContext): StoreStep {
  return admit(state, record, { origin: from === null ? 'self' : 'gossip', from, reply: [] }, context)
}

function onMessage(state: StoreState, opened: Opened<RegistryMessage>, context: StepContext): StoreStep {
  const { message } = opened
  if (message.domain !== state.domain) return { state, effects: [] }
  switch (message.kind) {
    case 'registry/digest':
      return mayRead(state, opened) ? onDigest(state, { ...opened, message }, context) : { state, effects: [] }
    case 'registry/want':
      return mayRead(state, opened) ? onWant(state, { ...opened, message }, context) : { state, effects: [] }
    case 'registry/fetch':
      return mayRead(state, opened) ? onFetch(state, { ...opened, message }, context) : { state, effects: [] }
    case 'registry/records':
      return onRecords(state, { ...opened, message }, context)
    case 'registry/push':
      return onPush(state, { ...opened, message }, context)
    case 'registry/gossip':
    case 'registry/pushed':
    case 'registry/lookup':
    case 'registry/answer':
      return { state, effects: [] }
    default:
      return unreachable(message)
  }
}

function onPush(state: StoreState, opened: Opened<PushMessage>, context: StepContext): StoreStep {
  const { record } = opened.message
  const reply = (refusal: string | null): StoreEffect => {
    const mark = packHashes([hashBytes(record.bytes)])
    const message: PushedMessage = { kind: 'registry/pushed', domain: state.domain, key: keyOf(record), mark, refusal }
    return { kind: 'send', to: opened.from, message }
  }
  const by: Delivery = { origin: 'push', from: opened.from, reply: [reply(null)] }
  const { state: next, effects, outcome } = admit(state, record, by, context)
  if (outcome === 'accepted') return { state: next, effects }
  return { state: next, effects: [...effects, reply(outcome === 'known' ? null : outcome)] }
}

function onHolders(state: StoreState, nodes: readonly NodeId[], context: StepContext): StoreStep {
  const now = new Set(nodes)
  for (const node of state.holders) if (!now.has(node)) state.holders.delete(node)
  return { state, effects: nodes.flatMap((node) => onHolder(state, node, true, context).effects) }
}

function onHolder(state: StoreState, node: NodeId, isThere: boolean, context: StepContext): StoreStep {
  const { holders, self, connected } = state
  const isNew = isThere && node !== self.node && !holders.has(node)
  if (isNew) holders.add(node)
  if (!isThere) holders.delete(node)
  return { state, effects: isNew && connected.has(node) ? beginExchange(state, node, context) : [] }
}

function onConnected(state: StoreState, peer: NodeId, context: StepContext): StoreStep {
  if (state.connected.has(peer)) return { state, effects: [] }
  const nextExchangeAt = Math.max(state.nextExchangeAt, context.now + state.timing.exchangeInFlightMs)
  const next = { ...state, connected: new Set(state.connected).add(peer), nextExchangeAt }
  return { state: next, effects: state.holders.has(peer) ? beginExchange(next, peer, context) : [] }
}

function onDisconnected(state: StoreState, peer: NodeId): StoreStep {
  const connected = new Set(state.connected)
  connected.delete(peer)
  for (const peers of [state.talks, state.fetches, state.putOff]) peers.delete(peer)
  return { state: { ...state, connected }, effects: [] }
}

function onLeadersChanged(state: StoreState, context: StepContext): StoreStep {
  const waited = [...state.waiting.values()]
  state.waiting.clear()
  const effects: StoreEffect[] = []
  let next = state
  for (const { record, origin, from } of waited) {
    const admission = admit(next, record, { origin, from, reply: [] }, context)
    next = admission.state
    if (admission.outcome !== 'wait') effects.push(...admission.effects)
  }
  return { state: next, effects }
}

/**
 * What a revoked node runs is over. What it submitted or ordered goes on (a lost laptop stops no service), but no
 * other node could check it any more, so it is not shown, and a node of the same operator signs its specs again.
 */
function onForgetSigner(state: StoreState, node: NodeId, context: StepContext): StoreStep {
  const { table, self } = state
  if (node === self.node || table.revoked.has(node) || table.revoked.size >= REVOKED_SIGNERS_MAX) {
    return { state, effects: [] }
  }
  const entries = entriesOf(table, node)
  holdBack(table, node)
  for (const [name, { record }] of state.waiting) if (record.from === node) state.waiting.delete(name)
  for (const [slot, { record }] of state.settling) if (record.from === node) state.settling.delete(slot)
  const effects: StoreEffect[] = []
  for (const { slot, record } of entries) {
    if (record.message.kind === 'record/instance') effects.push(...forget(state, slot))
    const isOurs = isSpec(record) && record.signer.operator === self.operator && !isTombstone(record)
    if (isOurs && mayDeploy(self, record.message.service)) {
      state.orphans.set(slot, context.now + context.random.next() * ADOPT_WITHIN_MS)
    }
  }
  return { state, effects }
}

function onWake(state: StoreState, context: StepContext): StoreStep {
  const effects: StoreEffect[] = []
  for (const [slot, forgetAt] of state.table.tombstones) {
    if (forgetAt > context.now) break
    effects.push(...forget(state, slot))
  }
  const adopted = adoptOrphans(state, context)
  effects.push(...adopted.effects)
  const partners = partnersOf(state)
  const partner = partners.find((peer) => state.putOff.has(peer)) ?? pick(context.random, partners)
  if (partner === undefined || adopted.state.nextExchangeAt > context.now) return { state: adopted.state, effects }
  state.putOff.delete(partner)
  effects.push(...beginExchange(state, partner, context))
  const roundsSoon = Math.max(0, adopted.state.roundsSoon - 1)
  const { exchangeAfterNewsMs, exchangeIntervalMs } = state.timing
  const isSoon = roundsSoon > 0 || state.putOff.size > 0
  const nextExchangeAt = context.now + jittered(isSoon ? exchangeAfterNewsMs : exchangeIntervalMs, context)
  return { state: { ...adopted.state, nextExchangeAt, roundsSoon }, effects }
}

/**
 * Signs again what nobody of the operator did before; asked again after a round, in case the record did not come
 * back.
 */
function adoptOrphans(state: StoreState, context: StepContext): StoreStep {
  const effects: StoreEffect[] = []
  let { clock } = state
  for (const [slot, dueAt] of state.orphans) {
    if (dueAt > context.now) continue
    const record = state.table.entries.get(slot)?.record
    if (record === undefined || !isSpec(record) || !state.table.revoked.has(record.from)) {
      state.orphans.delete(slot)
      continue
    }
    clock = tick(clock, context.wall, state.self.node)
    const { message } = record
    const kept = { claimed: claimOf(message), version: versionOf(message) }
    effects.push({ kind: 'author', record: { ...message, clock, ...kept } })
    state.orphans.set(slot, context.now + state.timing.exchangeIntervalMs)
  }
  return { state: { ...state, clock }, effects }
}
