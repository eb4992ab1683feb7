// Finding a service by its name from a node that does not hold its store: the leaders up the tree are asked one after
// the other, the answer is used for a while, and whoever answered tells of changes meanwhile. Records prove
// themselves, so an answer can be old or short, but not made up.

import { unreachable } from '../overlay/kernel/assert.ts'
import type { Send } from '../overlay/kernel/effect.ts'
import { chainOf, type DomainPath, type NodeId, type ServiceId } from '../overlay/kernel/ids.ts'
import type { StepContext, Transition } from '../overlay/kernel/machine.ts'
import { earliest, type Millis } from '../overlay/kernel/time.ts'
import type { Opened } from '../overlay/wire/envelope.ts'
import { answerFor, knownTo } from './answer.ts'
import { checkSigner } from './authority.ts'
import {
  ANSWER_GATHER_MS,
  LOOKUP_CACHE_ENTRIES_MAX,
  LOOKUP_CACHE_MISS_MS,
  LOOKUP_CACHE_MS,
  LOOKUP_DEADLINE_MS,
  LOOKUPS_MAX,
  WAITERS_PER_LOOKUP_MAX,
} from './constants.ts'
import { createInterests, type Interests, interestsIn, noteInterest } from './interests.ts'
import { merge } from './merge.ts'
import type { AnswerMessage, LookupMessage } from './messages.ts'
import type { SealedRecord } from './record.ts'
import { slotOf } from './version.ts'
import type { StoreView } from './view.ts'
import type { Asker } from './visibility.ts'

export interface LookupOptions {
  /** This node; in `domain` its cluster. */
  readonly self: Asker
  /** The stores that this node holds now, its cluster's first; read at each step. */
  readonly stores: () => readonly StoreView[]
}

export interface LookupState extends LookupOptions {
  readonly leaders: ReadonlyMap<DomainPath, NodeId>
  /** Names being looked up, earliest deadline first; updated in place, as are the next three. */
  readonly searches: Map<ServiceId, Search>
  /** Answers, oldest first; also expired ones, for when nobody can be asked. */
  readonly answers: Map<ServiceId, KnownAnswer>
  readonly interests: Interests
  /** Services whose changed answer is about to be told, and when. */
  readonly changed: Map<ServiceId, Millis>
  /** Services whose changed answer was told at once, and until when further changes are gathered. */
  readonly toldAtOnce: Map<ServiceId, Millis>
  readonly lastRequestId: number
}

interface Search {
  readonly waiters: readonly number[]
  readonly requestId: number
  readonly asked: NodeId
  readonly next: readonly Place[]
  readonly deadline: Millis
}

interface Place {
  readonly domain: DomainPath
  readonly node: NodeId
}

interface KnownAnswer {
  readonly records: readonly SealedRecord[] | null
  readonly from: NodeId
  readonly requestId: number
  readonly since: Millis
  readonly expiresAt: Millis
}

export type LookupInput =
  /** `isFresh`: an earlier answer is only for when nobody can be asked. */
  | { readonly kind: 'resolve'; readonly service: ServiceId; readonly requestId: number; readonly isFresh?: boolean }
  | { readonly kind: 'message'; readonly opened: Opened<LookupMessage | AnswerMessage> }
  /** A record of a service changed in a store that this node holds; `isUrgent` where it answers calls from now on. */
  | { readonly kind: 'record-changed'; readonly service: ServiceId; readonly isUrgent?: boolean }
  /** Who leads a domain on the way up from this node's cluster: for a domain above, the node that speaks for it. */
  | { readonly kind: 'leader'; readonly domain: DomainPath; readonly node: NodeId | null }
  | { readonly kind: 'wake' }

/**
 * Ends a `resolve`. `records` is null when there is no such service or nobody could say; `reason` is a sentence, or
 * null.
 */
export interface Resolved {
  readonly kind: 'resolved'
  readonly requestId: number
  readonly service: ServiceId
  readonly records: readonly SealedRecord[] | null
  readonly reason: string | null
  /** Whether whoever ought to know says that there is none; false also where nobody could be asked. */
  readonly isAbsent: boolean
}

export type LookupEffect = Send<LookupMessage | AnswerMessage> | Resolved

type LookupStep = Transition<LookupState, LookupEffect>

export const createLookup = (options: LookupOptions): LookupState => ({
  ...options,
  leaders: new Map(),
  searches: new Map(),
  answers: new Map(),
  interests: createInterests(),
  changed: new Map(),
  toldAtOnce: new Map(),
  lastRequestId: 0,
})

export function step(state: LookupState, input: LookupInput, context: StepContext): LookupStep {
  switch (input.kind) {
    case 'resolve':
      return onResolve(state, input, context)
    case 'message':
      return onMessage(state, input.opened, context)
    case 'record-changed':
      return onRecordChanged(state, input, context)
    case 'leader':
      return onLeader(state, input.domain, input.node)
    case 'wake':
      return onWake(state, context)
    default:
      return unreachable(input)
  }
}

export function wakeAt(state: LookupState): Millis | null {
  const [search] = state.searches.values()
  const [tellAt] = state.changed.values()
  return earliest(search?.deadline ?? null, tellAt ?? null)
}

function onResolve(
  state: LookupState,
  { service, requestId, isFresh = false }: Extract<LookupInput, { readonly kind: 'resolve' }>,
  context: StepContext,
): LookupStep {
  const held = knownTo(state.stores(), service, state.self)
  if (held !== null) return { state, effects: [resolved(requestId, service, held, null)] }
  const answer = state.answers.get(service)
  if (!isFresh && answer !== undefined && answer.expiresAt > context.now) {
    return { state, effects: [fromAnswer(requestId, service, answer)] }
  }
  const search = state.searches.get(service)
  if (search !== undefined) return joinSearch(state, service, search, requestId)
  if (state.searches.size >= LOOKUPS_MAX) {
    return { state, effects: [resolved(requestId, service, null, 'too many names are being looked up')] }
  }
  return ask(state, service, [requestId], placesToAsk(state), context)
}

const resolved = (
  requestId: number,
  service: ServiceId,
  records: readonly SealedRecord[] | null,
  reason: string | null,
  isAbsent = false,
): Resolved => ({ kind: 'resolved', requestId, service, records, reason, isAbsent })

const fromAnswer = (requestId: number, service: ServiceId, answer: KnownAnswer): Resolved =>
  answer.records === null
    ? resolved(requestId, service, null, noSuch(service), true)
    : resolved(requestId, service, answer.records, null)

const noSuch = (service: ServiceId): string => `no service ${service} is known`

function joinSearch(state: LookupState, service: ServiceId, search: Search, requestId: number): LookupStep {
  if (search.waiters.length >= WAITERS_PER_LOOKUP_MAX) {
    return { state, effects: [resolved(requestId, service, null, 'too many requests wait for this name')] }
  }
  state.searches.set(service, { ...search, waiters: [...search.waiters, requestId] })
  return { state, effects: [] }
}

/**
 * The leaders from this node's cluster upwards; one that leads several is asked once, and looks into all its stores.
 */
function placesToAsk(state: LookupState): readonly Place[] {
  const places: Place[] = []
  for (const domain of chainOf(state.self.domain)) {
    const node = state.leaders.get(domain)
    const isKnown = node === undefined || node === state.self.node || places.some((place) => place.node === node)
    if (!isKnown) places.push({ domain, node })
  }
  return places
}

/** Asks the first of the places; with none left, the search ends with what was known before, or with nothing. */
function ask(
  state: LookupState,
  service: ServiceId,
  waiters: readonly number[],
  places: readonly Place[],
  context: StepContext,
): LookupStep {
  state.searches.delete(service)
  const [place, ...next] = places
  if (place === undefined)
    return { state, effects: waiters.map((waiter) => unanswered(state, service, waiter, context)) }
  const requestId = state.lastRequestId + 1
  const deadline = context.now + LOOKUP_DEADLINE_MS
  state.searches.set(service, { waiters, requestId, asked: place.node, next, deadline })
  const message: LookupMessage = { kind: 'registry/lookup', domain: place.domain, service, requestId }
  return { state: { ...state, lastRequestId: requestId }, effects: [{ kind: 'send', to: place.node, message }] }
}

/**
 * Nobody answered: an answer that has expired is better than none, because endpoints change less often than links
 * fail.
 */
function unanswered(state: LookupState, service: ServiceId, waiter: number, context: StepContext): Resolved {
  const stale = state.answers.get(service)
  if (stale !== undefined && stale.records !== null) {
    const seconds = Math.round((context.now - stale.since) / 1_000)
    return resolved(waiter, service, stale.records, `nobody could be asked; this is what was known ${seconds} s ago`)
  }
  if (placesToAsk(state).length > 0) return resolved(waiter, service, null, 'no leader up the tree answered')
  const isKnown = [...state.leaders.values()].includes(state.self.node)
  return isKnown
    ? resolved(waiter, service, null, noSuch(service), true)
    : resolved(waiter, service, null, `no leader of ${state.self.domain} is known yet`)
}

function onMessage(
  state: LookupState,
  opened: Opened<LookupMessage | AnswerMessage>,
  context: StepContext,
): LookupStep {
  const { message } = opened
  switch (message.kind) {
    case 'registry/lookup':
      return onLookup(state, { ...opened, message }, context)
    case 'registry/answer':
      return onAnswer(state, { ...opened, message }, context)
    default:
      return unreachable(message)
  }
}

function onLookup(state: LookupState, opened: Opened<LookupMessage>, context: StepContext): LookupStep {
  const { domain, service, requestId } = opened.message
  noteInterest(state.interests, { asker: opened.signer, service, requestId }, context.now)
  const message = answerFor(state.stores(), { domain, service, requestId }, opened.signer)
  return { state, effects: [{ kind: 'send', to: opened.from, message }] }
}

function onAnswer(state: LookupState, opened: Opened<AnswerMessage>, context: StepContext): LookupStep {
  const { service, requestId, found } = opened.message
  const search = state.searches.get(service)
  if (search === undefined || search.requestId !== requestId || search.asked !== opened.from) {
    return onChangedAnswer(state, opened)
  }
  if (!found && search.next.length > 0) return ask(state, service, search.waiters, search.next, context)
  state.searches.delete(service)
  const keptMs = found ? LOOKUP_CACHE_MS : LOOKUP_CACHE_MISS_MS
  const answer: KnownAnswer = {
    records: found ? recordsOf(opened.message) : null,
    from: opened.from,
    requestId,
    since: context.now,
    expiresAt: context.now + keptMs,
  }
  keepAnswer(state, service, answer)
  return { state, effects: search.waiters.map((waiter) => fromAnswer(waiter, service, answer)) }
}

/**
 * An answer told unasked counts where we asked before; when it expires stays, so that we ask again and are told
 * further.
 */
function onChangedAnswer(state: LookupState, opened: Opened<AnswerMessage>): LookupStep {
  const { service, requestId, found } = opened.message
  const answer = state.answers.get(service)
  if (answer === undefined || answer.from !== opened.from || answer.requestId !== requestId) {
    return { state, effects: [] }
  }
  const records = found ? withLater(recordsOf(opened.message), answer.records ?? []) : null
  state.answers.set(service, { ...answer, records })
  return { state, effects: [] }
}

/** Only what is about the service that was asked for, said by those who may. */
const recordsOf = (message: AnswerMessage): readonly SealedRecord[] =>
  message.records.filter((record) => record.message.service === message.service && checkSigner(record) === null)

/** The records, each in the later version of the two: answers may overtake each other. */
function withLater(records: readonly SealedRecord[], earlier: readonly SealedRecord[]): readonly SealedRecord[] {
  const bySlot = new Map(earlier.map((record) => [slotOf(record), record]))
  return records.map((record) => {
    const other = bySlot.get(slotOf(record))
    return other === undefined ? record : merge(record, other)
  })
}

function keepAnswer(state: LookupState, service: ServiceId, answer: KnownAnswer): void {
  state.answers.delete(service)
  const [oldest] = state.answers.keys()
  if (state.answers.size >= LOOKUP_CACHE_ENTRIES_MAX && oldest !== undefined) state.answers.delete(oldest)
  state.answers.set(service, answer)
}

function onRecordChanged(
  state: LookupState,
  { service, isUrgent = false }: Extract<LookupInput, { readonly kind: 'record-changed' }>,
  context: StepContext,
): LookupStep {
  const told = tellChange(state, service, isUrgent, context)
  const search = state.searches.get(service)
  const held = search === undefined ? null : knownTo(state.stores(), service, state.self)
  if (search === undefined || held === null) return { state, effects: told }
  state.searches.delete(service)
  return { state, effects: [...told, ...search.waiters.map((waiter) => resolved(waiter, service, held, null))] }
}

/** At once when somebody may be waiting for it, but of many within a moment only the first; everything else later. */
function tellChange(
  state: LookupState,
  service: ServiceId,
  isUrgent: boolean,
  { now }: StepContext,
): readonly LookupEffect[] {
  if (interestsIn(state.interests, service, now).length === 0) return []
  for (const [other, until] of state.toldAtOnce) {
    if (until > now) break
    state.toldAtOnce.delete(other)
  }
  if (!isUrgent || state.toldAtOnce.has(service)) {
    if (!state.changed.has(service)) state.changed.set(service, now + ANSWER_GATHER_MS)
    return []
  }
  state.changed.delete(service)
  state.toldAtOnce.set(service, now + ANSWER_GATHER_MS)
  return tellInterested(state, service, now)
}

function onLeader(state: LookupState, domain: DomainPath, node: NodeId | null): LookupStep {
  const leaders = new Map(state.leaders)
  if (node === null) leaders.delete(domain)
  else leaders.set(domain, node)
  return { state: { ...state, leaders }, effects: [] }
}

function onWake(state: LookupState, context: StepContext): LookupStep {
  const effects: LookupEffect[] = []
  for (const [service, tellAt] of state.changed) {
    if (tellAt > context.now) break
    state.changed.delete(service)
    effects.push(...tellInterested(state, service, context.now))
  }
  let next = state
  for (const [service, search] of [...state.searches]) {
    if (search.deadline > context.now) break
    const asked = ask(next, service, search.waiters, search.next, context)
    next = asked.state
    effects.push(...asked.effects)
  }
  return { state: next, effects }
}

function tellInterested(state: LookupState, service: ServiceId, now: Millis): readonly LookupEffect[] {
  const askers = interestsIn(state.interests, service, now)
  return askers.map(({ asker, requestId }) => {
    const message = answerFor(state.stores(), { domain: state.self.domain, service, requestId }, asker)
    return { kind: 'send', to: asker.node, message }
  })
}
