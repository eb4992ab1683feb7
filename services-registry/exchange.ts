// Anti-entropy between two holders. One says its digest; the other, where buckets differ, lists what it holds there;
// from the list the first knows what to send and what to ask for. Nothing is remembered that matters: any message may
// be lost, and the next round heals it.

import type { NodeId } from '../overlay/kernel/ids.ts'
import { isWithin } from '../overlay/kernel/ids.ts'
import type { StepContext } from '../overlay/kernel/machine.ts'
import { randomInt } from '../overlay/kernel/random.ts'
import type { Opened } from '../overlay/wire/envelope.ts'
import { admit } from './admit.ts'
import {
  EXCHANGE_BYTES_MAX,
  EXCHANGE_PEERS_MAX,
  EXCHANGE_PIECES_MAX,
  EXCHANGE_WINDOW_BYTES_MAX,
  EXCHANGE_WINDOW_MS,
  FETCHED_FREELY_MAX,
  FETCHES_AT_ONCE_MAX,
  ROUNDS_AFTER_NEWS,
  ROWS_MAX,
} from './constants.ts'
import {
  bucketOf,
  differingBuckets,
  digestBytes,
  type Hash,
  hashName,
  isDeletionMark,
  isSameHash,
  packHashes,
  packRows,
  type Row,
  unpackHashes,
  unpackRows,
} from './digest.ts'
import type { DigestMessage, FetchMessage, RecordsMessage, RegistryMessage, WantMessage } from './messages.ts'
import { type Piece, piecesOf } from './pieces.ts'
import type { StoreEffect, StoreState, Talk } from './state.ts'
import type { Entry, RecordTable } from './table.ts'
import { isSpec, isTombstone } from './version.ts'

interface Exchanged {
  readonly state: StoreState
  readonly effects: readonly StoreEffect[]
}

/** Says our digest to a peer. */
export function beginExchange(state: StoreState, peer: NodeId, context: StepContext): readonly StoreEffect[] {
  setTalk(state, peer, { ...talkWith(state, peer, context), digestSentAt: context.now, broughtNews: false })
  const { domain, table } = state
  const digest = send(peer, { kind: 'registry/digest', domain, buckets: digestBytes(table.digest) })
  return [...sendRecords(state, peer, removalsUnderWay(state), context), digest]
}

/**
 * Removed services that are still placed, or run. The digest speaks of no deletion, and who leads next may hold the
 * placement, or be asked about what runs, and never have seen the spec: it would leave that alone, since it knows of
 * nobody who wanted it.
 */
function removalsUnderWay({ table, view }: StoreState): readonly Entry[] {
  return [...table.tombstones.keys()].flatMap((slot) => {
    const entry = table.entries.get(slot)
    if (entry === undefined || !isSpec(entry.record)) return []
    const { service } = entry.record.message
    const left = [...view.placements(service), ...view.instances(service)]
    return left.some((record) => !isTombstone(record)) ? [entry] : []
  })
}

/** Whom a store is shown to: its holders, and the nodes below the domain, whose services it is about. */
export const mayRead = (state: StoreState, opened: Opened): boolean =>
  state.holders.has(opened.from) || isWithin(opened.signer.domain, state.domain)

export function onDigest(state: StoreState, opened: Opened<DigestMessage>, context: StepContext): Exchanged {
  const peer = opened.from
  if (isOurTurn(state, peer, context)) return { state, effects: [] }
  const buckets = differingBuckets(state.table.digest, opened.message.buckets)
  if (buckets.length === 0) state.putOff.delete(peer)
  if (buckets.length === 0) return { state, effects: [] }
  if (!mayFetch(state, peer, buckets.length, context)) return { state: hurried(state, context), effects: [] }
  setTalk(state, peer, { ...talkWith(state, peer, context), digestSentAt: null, broughtNews: false })
  return { state, effects: wantMessages(state, buckets).map((message) => send(peer, message)) }
}

/**
 * Both ends say their digest when they connect; only that of the lower id is answered, or everything would cross
 * twice.
 */
function isOurTurn(state: StoreState, peer: NodeId, context: StepContext): boolean {
  const { digestSentAt } = talkWith(state, peer, context)
  const isInFlight = digestSentAt !== null && context.now - digestSentAt < state.timing.exchangeInFlightMs
  return isInFlight && state.self.node < peer
}

/**
 * What we hold in some buckets; a bucket that overflows a message is cut, which costs sending what the other side
 * has.
 */
function wantMessages(state: StoreState, buckets: readonly number[]): readonly WantMessage[] {
  const messages: WantMessage[] = []
  let chosen: number[] = []
  let rows: Row[] = []
  const flush = (): void => {
    if (chosen.length === 0) return
    messages.push({ kind: 'registry/want', domain: state.domain, buckets: chosen, rows: packRows(rows) })
    chosen = []
    rows = []
  }
  for (const bucket of buckets) {
    const held = [...(state.table.buckets[bucket]?.values() ?? [])].slice(0, ROWS_MAX)
    if (rows.length + held.length > ROWS_MAX) flush()
    chosen.push(bucket)
    rows.push(...held)
  }
  flush()
  return messages
}

export function onWant(state: StoreState, opened: Opened<WantMessage>, context: StepContext): Exchanged {
  const peer = opened.from
  setTalk(state, peer, { ...talkWith(state, peer, context), digestSentAt: null })
  const { lackedByPeer, lackedByUs } = compareHoldings(state.table, opened.message)
  const sent = sendRecords(state, peer, lackedByPeer, context)
  if (lackedByUs.length === 0) return { state, effects: sent }
  if (!mayFetch(state, peer, lackedByUs.length, context)) return { state: hurried(state, context), effects: sent }
  const fetch = send(peer, { kind: 'registry/fetch', domain: state.domain, keys: packHashes(lackedByUs) })
  return { state, effects: [fetch, ...sent] }
}

/**
 * Whether to ask somebody now for what this node may lack, which is so many records or more. Who connects to many at
 * once, after it lost its disk or when two halves meet, would get everything from each of them; the others have their
 * turn when that has come.
 */
function mayFetch(state: StoreState, peer: NodeId, records: number, { now }: StepContext): boolean {
  const { fetches, putOff, timing } = state
  for (const [node, until] of fetches) if (until <= now) fetches.delete(node)
  const isBusy = records > FETCHED_FREELY_MAX && fetches.size >= FETCHES_AT_ONCE_MAX && !fetches.has(peer)
  if (isBusy) putOff.add(peer)
  else putOff.delete(peer)
  if (!isBusy && records > FETCHED_FREELY_MAX) fetches.set(peer, now + timing.exchangeInFlightMs)
  return !isBusy
}

/** The next round comes soon. */
function hurried(state: StoreState, { now }: StepContext): StoreState {
  const soon = now + state.timing.exchangeAfterNewsMs
  return { ...state, nextExchangeAt: Math.min(state.nextExchangeAt, soon) }
}

/**
 * A deletion is only sent to who holds what it deletes, and only fetched by who does: everyone forgets it at its own
 * time, and must not get it back from the next.
 */
function compareHoldings(
  table: RecordTable,
  message: WantMessage,
): { readonly lackedByPeer: readonly Entry[]; readonly lackedByUs: readonly Hash[] } {
  const theirs = new Map<string, Row>()
  for (const row of unpackRows(message.rows)) theirs.set(hashName(row.key), row)
  const ours = new Map<string, Entry>()
  for (const bucket of new Set(message.buckets)) {
    for (const entry of table.buckets[bucket]?.values() ?? []) ours.set(hashName(entry.key), entry)
  }
  const lackedByPeer = [...ours].flatMap(([name, entry]) => {
    const row = theirs.get(name)
    if (row === undefined) return entry.isTombstone ? [] : [entry]
    return isSameHash(row.mark, entry.mark) ? [] : [entry]
  })
  const lackedByUs = [...theirs].flatMap(([name, { key, mark }]) => {
    const entry = ours.get(name)
    if (entry === undefined) return isDeletionMark(mark) ? [] : [key]
    return isSameHash(mark, entry.mark) ? [] : [key]
  })
  return { lackedByPeer, lackedByUs }
}

export function onFetch(state: StoreState, opened: Opened<FetchMessage>, context: StepContext): Exchanged {
  const keys = unpackHashes(opened.message.keys)
  const wanted = new Set(keys.map(hashName))
  const found: Entry[] = []
  for (const bucket of new Set(keys.map(bucketOf))) {
    for (const entry of state.table.buckets[bucket]?.values() ?? []) {
      if (wanted.has(hashName(entry.key))) found.push(entry)
    }
  }
  return { state, effects: sendRecords(state, opened.from, found, context) }
}

export function onRecords(state: StoreState, opened: Opened<RecordsMessage>, context: StepContext): Exchanged {
  const peer = opened.from
  const effects: StoreEffect[] = []
  let next = state
  let accepted = 0
  for (const record of opened.message.records) {
    const admission = admit(next, record, { origin: 'exchange', from: peer, reply: [] }, context)
    next = admission.state
    effects.push(...admission.effects)
    if (admission.outcome === 'accepted') accepted++
  }
  const talk = talkWith(next, peer, context)
  const broughtNews = talk.broughtNews || accepted > 0
  setTalk(next, peer, { ...talk, broughtNews })
  if (accepted > 0) next = { ...hurried(next, context), roundsSoon: ROUNDS_AFTER_NEWS }
  if (opened.message.more && broughtNews) effects.push(...beginExchange(next, peer, context))
  return { state: next, effects }
}

/** Sends records in pieces, up to what one message may cause and what the peer's window has left. */
function sendRecords(
  state: StoreState,
  peer: NodeId,
  entries: readonly Entry[],
  context: StepContext,
): readonly StoreEffect[] {
  const talk = talkWith(state, peer, context)
  const shown = entries.filter((entry) => !state.table.revoked.has(entry.record.from))
  const pieces = piecesOf(shown.map((entry) => entry.record))
  const fitting: Piece[] = []
  let left = Math.min(EXCHANGE_BYTES_MAX, EXCHANGE_WINDOW_BYTES_MAX - talk.windowBytes)
  for (const piece of inFairOrder(pieces, context)) {
    if (piece.bytes > left || fitting.length >= EXCHANGE_PIECES_MAX) break
    fitting.push(piece)
    left -= piece.bytes
  }
  const sent = fitting.reduce((sum, piece) => sum + piece.bytes, 0)
  setTalk(state, peer, { ...talk, windowBytes: talk.windowBytes + sent })
  return fitting.map((piece, index) => {
    const more = fitting.length < pieces.length && index === fitting.length - 1
    return send(peer, { kind: 'registry/records', domain: state.domain, records: piece.records, more })
  })
}

/**
 * Where not all can go, they start somewhere by chance: what a peer cannot take in must not stand before the rest for
 * ever.
 */
function inFairOrder(pieces: readonly Piece[], context: StepContext): readonly Piece[] {
  const bytes = pieces.reduce((sum, piece) => sum + piece.bytes, 0)
  if (bytes <= EXCHANGE_BYTES_MAX && pieces.length <= EXCHANGE_PIECES_MAX) return pieces
  const start = randomInt(context.random, 0, pieces.length)
  return [...pieces.slice(start), ...pieces.slice(0, start)]
}

function talkWith(state: StoreState, peer: NodeId, context: StepContext): Talk {
  const talk = state.talks.get(peer)
  if (talk === undefined) return { digestSentAt: null, broughtNews: false, windowSince: context.now, windowBytes: 0 }
  if (context.now - talk.windowSince < EXCHANGE_WINDOW_MS) return talk
  return { ...talk, windowSince: context.now, windowBytes: 0 }
}

function setTalk(state: StoreState, peer: NodeId, talk: Talk): void {
  const [longestKnown] = state.talks.keys()
  const isFull = !state.talks.has(peer) && state.talks.size >= EXCHANGE_PEERS_MAX
  if (isFull && longestKnown !== undefined) state.talks.delete(longestKnown)
  state.talks.set(peer, talk)
}

const send = (to: NodeId, message: RegistryMessage): StoreEffect => ({ kind: 'send', to, message })
