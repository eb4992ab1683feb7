// Whether this node can be dialled from outside. Every connection tells from which address the other end sees it; for
// each such address two members are asked to dial back there. A machine. Behind a NAT a neighbour on the same network
// gets through and everybody else does not, so each address is judged by itself.

import { unreachable } from './kernel/assert.ts'
import type { NodeId } from './kernel/ids.ts'
import type { StepContext, Transition } from './kernel/machine.ts'
import { earlier, type Millis } from './kernel/time.ts'

/** How many members are asked to dial each address: one may be cut off itself. */
export const ASKED_PER_ADDRESS_MAX = 2
/** After so long an answer is asked for again: forwarded ports come and go. A guess; 48 questions a day and address. */
export const ANSWER_AGE_MS_MAX: Millis = 3_600_000
/** A dial that did not arrive may have been lost: asked again sooner, doubling up to the age of an answer. */
export const UNREACHED_RETRY_MS: Millis = 30_000
/** Who gave no answer, as one that is busy or just came, is asked again after this long, doubling up to the second. */
export const UNANSWERED_RETRY_MS_MIN: Millis = 1_000
export const UNANSWERED_RETRY_MS_MAX: Millis = 60_000

/**
 * `open`: wherever it is seen it was dialled back. `closed`: somewhere it was not, or it is seen under an address that
 * is none of its own and nobody has got through there yet. `unknown`: neither so far.
 */
export type Standing = 'unknown' | 'open' | 'closed'

export type ReachabilityInput =
  /** A member to which there is a direct connection sees this node under this IP address. */
  | { readonly kind: 'seen'; readonly peer: NodeId; readonly address: string }
  | { readonly kind: 'gone'; readonly peer: NodeId }
  /** Whether a member that was asked could dial back; null when it did not answer. */
  | { readonly kind: 'answered'; readonly peer: NodeId; readonly question: number; readonly isReached: boolean | null }
  /** The device's own IP addresses. When they change, nothing that was answered counts any more. */
  | { readonly kind: 'own-addresses'; readonly addresses: readonly string[] }
  /** A router forwards a port of this address to this node, or no longer: what was answered for it does not count. */
  | { readonly kind: 'forwarding-changed'; readonly address: string }
  | { readonly kind: 'wake' }

/** Asks a member to dial this node at the address under which it sees it. Answer: `answered`, of the same question. */
export interface ReachabilityEffect {
  readonly kind: 'ask'
  readonly peer: NodeId
  readonly question: number
  readonly address: string
}

interface Observer {
  readonly address: string
  readonly isReached: boolean | null
  /** The number of the question that is waited for: what comes of an earlier one does not count. */
  readonly question: number | null
  readonly askAt: Millis
  readonly misses: number
  /** Questions in a row that were not answered. */
  readonly unanswered: number
}

export interface ReachabilityState {
  readonly own: readonly string[]
  readonly observers: ReadonlyMap<NodeId, Observer>
  readonly questions: number
}

type Change = Transition<ReachabilityState, ReachabilityEffect>

export const createReachability = (): ReachabilityState => ({ own: [], observers: new Map(), questions: 0 })

export function step(state: ReachabilityState, input: ReachabilityInput, context: StepContext): Change {
  return askDue(told(state, input, context), context)
}

function told(state: ReachabilityState, input: ReachabilityInput, { now }: StepContext): ReachabilityState {
  switch (input.kind) {
    case 'seen':
      if (state.observers.get(input.peer)?.address === input.address) return state
      return withObserver(state, input.peer, anew(input.address, now))
    case 'gone': {
      const observers = new Map(state.observers)
      observers.delete(input.peer)
      return { ...state, observers }
    }
    case 'answered':
      return onAnswered(state, input, now)
    case 'own-addresses': {
      const fresh = [...state.observers].map(([peer, { address }]) => [peer, anew(address, now)] as const)
      return { ...state, own: input.addresses, observers: new Map(fresh) }
    }
    case 'forwarding-changed': {
      const seen = [...state.observers].map(([peer, observer]): [NodeId, Observer] => [
        peer,
        observer.address === input.address ? anew(input.address, now) : observer,
      ])
      return { ...state, observers: new Map(seen) }
    }
    case 'wake':
      return state
    default:
      return unreachable(input)
  }
}

/**
 * Nothing is known of this address. What is still to be answered was asked of something else, where a dial that nobody
 * lets in takes seconds to fail; it is not waited for.
 */
const anew = (address: string, now: Millis): Observer => ({
  address,
  isReached: null,
  question: null,
  askAt: now,
  misses: 0,
  unanswered: 0,
})

function onAnswered(
  state: ReachabilityState,
  { peer, question, isReached }: Extract<ReachabilityInput, { kind: 'answered' }>,
  now: Millis,
): ReachabilityState {
  const observer = state.observers.get(peer)
  if (observer?.question !== question) return state
  const unanswered = isReached === null ? observer.unanswered + 1 : 0
  const answered = { ...observer, question: null, unanswered }
  if (isReached === null) return withObserver(state, peer, { ...answered, askAt: now + unansweredRetry(unanswered) })
  const misses = isReached ? 0 : observer.misses + 1
  const wait = isReached ? ANSWER_AGE_MS_MAX : UNREACHED_RETRY_MS * 2 ** Math.min(misses - 1, 16)
  return withObserver(state, peer, { ...answered, isReached, misses, askAt: now + Math.min(ANSWER_AGE_MS_MAX, wait) })
}

const unansweredRetry = (unanswered: number): Millis =>
  Math.min(UNANSWERED_RETRY_MS_MAX, UNANSWERED_RETRY_MS_MIN * 2 ** Math.min(unanswered - 1, 16))

function askDue(state: ReachabilityState, { now }: StepContext): Change {
  let next = state
  const effects: ReachabilityEffect[] = []
  for (const [peer, observer] of inCharge(state)) {
    if (observer.question !== null || observer.askAt > now) continue
    const question = next.questions + 1
    effects.push({ kind: 'ask', peer, question, address: observer.address })
    next = { ...withObserver(next, peer, { ...observer, question }), questions: question }
  }
  return { state: next, effects }
}

/** The first few observers of each address; the others stand by for when one of those goes. */
function inCharge({ observers }: ReachabilityState): readonly [NodeId, Observer][] {
  const asked = new Map<string, number>()
  return [...observers].filter(([, { address }]) => {
    const before = asked.get(address) ?? 0
    asked.set(address, before + 1)
    return before < ASKED_PER_ADDRESS_MAX
  })
}

export function wakeAt(state: ReachabilityState): Millis | null {
  let due: Millis | null = null
  for (const [, { question, askAt }] of inCharge(state)) if (question === null) due = earlier(due, askAt)
  return due
}

export function standingOf(state: ReachabilityState): Standing {
  const reached = reachedAt(state)
  const open = [...state.observers.values()].filter(({ address }) => !reached.includes(address))
  const isShut = ({ address, isReached }: Observer): boolean => isReached === false || !state.own.includes(address)
  if (open.some(isShut)) return 'closed'
  return reached.length > 0 ? 'open' : 'unknown'
}

/**
 * Whether the device has IPv6 and no IPv4. Most others have no IPv6, so it takes a relay that has both to be reached,
 * although it is open.
 */
export function lacksIpv4({ own }: ReachabilityState): boolean {
  const beyond = own.filter((address) => address !== '::1' && !address.startsWith('127.'))
  return beyond.length > 0 && beyond.every((address) => address.includes(':'))
}

/** The addresses at which somebody dialled back. */
export const reachedAt = ({ observers }: ReachabilityState): readonly string[] => [
  ...new Set([...observers.values()].flatMap(({ address, isReached }) => (isReached === true ? [address] : []))),
]

const withObserver = (state: ReachabilityState, peer: NodeId, observer: Observer): ReachabilityState => ({
  ...state,
  observers: new Map(state.observers).set(peer, observer),
})
