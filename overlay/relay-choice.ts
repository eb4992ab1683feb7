// Which members carry connections to this node while it cannot be dialled: the nearest ones by round-trip time, two of
// them, so that the end of one is no gap. A machine.

import { unreachable } from './kernel/assert.ts'
import type { NodeId } from './kernel/ids.ts'
import type { StepContext, Transition } from './kernel/machine.ts'
import { earlier, type Millis } from './kernel/time.ts'

/** One to be reached over, and one for the moment in which that one dies. */
export const RELAYS_HELD = 2
/** Who gave no place is asked again after this long, doubling up to the second: its connection may just have died. */
export const REFUSED_RETRY_MS_MIN: Millis = 1_000
export const REFUSED_RETRY_MS_MAX: Millis = 15_000
/** Another relay takes the place of one that is twice as far and 10 ms farther: less is noise. A guess. */
export const NEARER_RATIO = 0.5
export const NEARER_MS_MIN = 10
/** So long a relay is kept in any case: each change is news to all who reach us over it. A guess. */
export const KEPT_MS_MIN: Millis = 60_000

export type RelayChoiceInput =
  /** Whether this node needs to be reached over others. */
  | { readonly kind: 'needed'; readonly isNeeded: boolean }
  /** A member that is connected directly carries connections, or no longer. */
  | { readonly kind: 'offer'; readonly peer: NodeId; readonly isOffered: boolean }
  | { readonly kind: 'round-trip'; readonly peer: NodeId; readonly ms: number }
  /** Which relays carry us now. */
  | { readonly kind: 'held'; readonly peers: readonly NodeId[] }
  /** What came of asking: a place that is held now, or none. */
  | { readonly kind: 'answered'; readonly peer: NodeId; readonly isHeld: boolean }
  | { readonly kind: 'wake' }

export type RelayChoiceEffect =
  /** Answer: `answered`. */
  { readonly kind: 'reserve'; readonly peer: NodeId } | { readonly kind: 'release'; readonly peer: NodeId }

interface Offer {
  readonly rttMs: number | null
  readonly heldSince: Millis | null
  readonly isAsked: boolean
  readonly askAt: Millis
  /** Questions in a row that gave no place. */
  readonly refusals: number
}

export interface RelayChoiceState {
  readonly isNeeded: boolean
  readonly offers: ReadonlyMap<NodeId, Offer>
}

type Change = Transition<RelayChoiceState, RelayChoiceEffect>

export const createRelayChoice = (): RelayChoiceState => ({ isNeeded: false, offers: new Map() })

export function step(state: RelayChoiceState, input: RelayChoiceInput, context: StepContext): Change {
  const next = told(state, input, context)
  if (!next.isNeeded) return releaseAll(next)
  return reserve(next, context.now)
}

function told(state: RelayChoiceState, input: RelayChoiceInput, { now }: StepContext): RelayChoiceState {
  switch (input.kind) {
    case 'needed':
      return { ...state, isNeeded: input.isNeeded }
    case 'offer':
      return onOffer(state, input.peer, input.isOffered, now)
    case 'round-trip':
      return change(state, input.peer, (offer) => ({ ...offer, rttMs: input.ms }))
    case 'held':
      return { ...state, offers: new Map([...state.offers].map(([peer, offer]) => [peer, heldNow(peer, offer)])) }
    case 'answered':
      return change(state, input.peer, (offer) => (input.isHeld ? heldSince(offer, now) : refused(offer, now)))
    case 'wake':
      return state
    default:
      return unreachable(input)
  }
  function heldNow(peer: NodeId, offer: Offer): Offer {
    const isHeld = input.kind === 'held' && input.peers.includes(peer)
    return isHeld ? heldSince(offer, now) : { ...offer, heldSince: null }
  }
}

const heldSince = (offer: Offer, now: Millis): Offer => ({
  ...offer,
  heldSince: offer.heldSince ?? now,
  isAsked: false,
  refusals: 0,
})

function refused(offer: Offer, now: Millis): Offer {
  const wait = Math.min(REFUSED_RETRY_MS_MAX, REFUSED_RETRY_MS_MIN * 2 ** Math.min(offer.refusals, 16))
  return { ...offer, isAsked: false, askAt: now + wait, refusals: offer.refusals + 1 }
}

function onOffer(state: RelayChoiceState, peer: NodeId, isOffered: boolean, now: Millis): RelayChoiceState {
  if (isOffered === state.offers.has(peer)) return state
  const offers = new Map(state.offers)
  if (isOffered) offers.set(peer, { rttMs: null, heldSince: null, isAsked: false, askAt: now, refusals: 0 })
  else offers.delete(peer)
  return { ...state, offers }
}

function releaseAll(state: RelayChoiceState): Change {
  const held = [...state.offers].filter(([, { heldSince }]) => heldSince !== null)
  const effects = held.map(([peer]): RelayChoiceEffect => ({ kind: 'release', peer }))
  const offers = new Map([...state.offers].map(([peer, offer]) => [peer, { ...offer, heldSince: null }]))
  return { state: { ...state, offers }, effects }
}

function reserve(state: RelayChoiceState, now: Millis): Change {
  let next = state
  const effects: RelayChoiceEffect[] = []
  for (let taken = takenOf(state).length; taken < RELAYS_HELD; taken++) {
    const best = freeByDistance(next, now)[0]
    if (best === undefined) return { state: next, effects }
    effects.push({ kind: 'reserve', peer: best[0] })
    next = change(next, best[0], (offer) => ({ ...offer, isAsked: true }))
  }
  const farther = fartherThan(next, freeByDistance(next, now)[0]?.[1], now)
  if (farther === null) return { state: next, effects }
  effects.push({ kind: 'release', peer: farther })
  // Its place goes to the nearer one at once.
  const released = reserve(
    change(next, farther, (offer) => ({ ...offer, heldSince: null })),
    now,
  )
  return { state: released.state, effects: [...effects, ...released.effects] }
}

/** The farthest relay held, if the offer is so much nearer that a change is worth it. */
function fartherThan(state: RelayChoiceState, offer: Offer | undefined, now: Millis): NodeId | null {
  const near = offer?.rttMs ?? null
  if (near === null) return null
  const held = [...state.offers].filter(([, { heldSince }]) => heldSince !== null && now - heldSince >= KEPT_MS_MIN)
  const [farthest] = held.sort(([, a], [, b]) => (b.rttMs ?? 0) - (a.rttMs ?? 0))
  const far = farthest?.[1].rttMs ?? null
  if (farthest === undefined || far === null) return null
  return near <= far * NEARER_RATIO && far - near >= NEARER_MS_MIN ? farthest[0] : null
}

/** Offers that may be asked now, the nearest first; those not yet measured last. */
const freeByDistance = ({ offers }: RelayChoiceState, now: Millis): readonly [NodeId, Offer][] =>
  [...offers]
    .filter(([, { heldSince, isAsked, askAt }]) => heldSince === null && !isAsked && askAt <= now)
    .sort(([, a], [, b]) => (a.rttMs ?? Number.MAX_VALUE) - (b.rttMs ?? Number.MAX_VALUE))

/** All that offer, the nearest first. */
export const byDistance = ({ offers }: RelayChoiceState): readonly NodeId[] =>
  [...offers]
    .sort(([, a], [, b]) => (a.rttMs ?? Number.MAX_VALUE) - (b.rttMs ?? Number.MAX_VALUE))
    .map(([peer]) => peer)

const takenOf = ({ offers }: RelayChoiceState): readonly Offer[] =>
  [...offers.values()].filter(({ heldSince, isAsked }) => heldSince !== null || isAsked)

/** When somebody who refused may be asked again, where a place is open. */
export function wakeAt(state: RelayChoiceState): Millis | null {
  if (!state.isNeeded || takenOf(state).length >= RELAYS_HELD) return null
  let due: Millis | null = null
  for (const { heldSince, isAsked, askAt } of state.offers.values()) {
    if (heldSince === null && !isAsked) due = earlier(due, askAt)
  }
  return due
}

function change(state: RelayChoiceState, peer: NodeId, alter: (offer: Offer) => Offer): RelayChoiceState {
  const offer = state.offers.get(peer)
  return offer === undefined ? state : { ...state, offers: new Map(state.offers).set(peer, alter(offer)) }
}
