// A port that the router of this network forwards to this node: asked for where members cannot dial it, renewed at half
// of its time, asked for anew on another network. A machine; how a router is asked is io/gateways.ts.

import { unreachable } from './kernel/assert.ts'
import type { StepContext, Transition } from './kernel/machine.ts'
import { earlier, type Millis } from './kernel/time.ts'

/** Seconds for which a port is asked for: what RFC 6886, section 3.3, recommends. */
export const FORWARDING_S = 7_200
/** Where no router did it, it is asked again: a first packet was lost, or somebody changed a setting. A guess. */
export const FORWARDING_RETRY_MS: Millis = 30_000
export const FORWARDING_RETRY_MS_MAX: Millis = 3_600_000
/** Below this, ports belong to servers of the system. */
const EXTERNAL_PORT_MIN = 1_024
const EXTERNAL_PORTS = 65_536 - EXTERNAL_PORT_MIN

/** What a router said. */
export interface Forwarded {
  /** The router's outer address; one that is not public leads nowhere, and no member sees this node under it. */
  readonly host: string
  readonly port: number
  readonly lifetimeS: number
}

export type ForwardingInput =
  /** Whether members were unable to dial this node where they see it, and the port on which it listens. */
  | { readonly kind: 'closed'; readonly isClosed: boolean; readonly port: number | null }
  /** What came of `ask`; null where no router answered, or none was willing. */
  | { readonly kind: 'answered'; readonly round: number; readonly forwarded: Forwarded | null }
  /** The device is on another network. */
  | { readonly kind: 'moved' }
  | { readonly kind: 'wake' }

/** Asks the router to forward `external`, or another port of its choice, to `port`. Answer: `answered`. */
export interface ForwardingEffect {
  readonly kind: 'ask'
  readonly round: number
  readonly port: number
  readonly external: number
}

export interface ForwardingState {
  readonly isClosed: boolean
  readonly port: number | null
  readonly forwarded: Forwarded | null
  readonly expiresAt: Millis
  /** Counts networks: what the router of an earlier one says does not count. */
  readonly round: number
  readonly isAsking: boolean
  readonly misses: number
  readonly askAt: Millis | null
}

type Change = Transition<ForwardingState, ForwardingEffect>

export const createForwarding = (): ForwardingState => ({
  isClosed: false,
  port: null,
  forwarded: null,
  expiresAt: 0,
  round: 0,
  isAsking: false,
  misses: 0,
  askAt: null,
})

export function step(state: ForwardingState, input: ForwardingInput, context: StepContext): Change {
  const next = told(state, input, context)
  const isDue = next.askAt !== null && next.askAt <= context.now
  if (!isDue || next.isAsking || next.port === null) return { state: next, effects: [] }
  const external =
    next.misses === 0 ? next.port : EXTERNAL_PORT_MIN + Math.floor(context.random.next() * EXTERNAL_PORTS)
  const ask: ForwardingEffect = {
    kind: 'ask',
    round: next.round,
    port: next.port,
    external: keptPort(next) ?? external,
  }
  return { state: { ...next, isAsking: true, askAt: null }, effects: [ask] }
}

function told(state: ForwardingState, input: ForwardingInput, { now }: StepContext): ForwardingState {
  switch (input.kind) {
    case 'closed': {
      const { isClosed, port } = input
      const isMine = state.forwarded !== null || state.isAsking
      // Open without a router's help needs none; open by its help has to be renewed.
      const askAt = isMine ? state.askAt : isClosed ? (state.askAt ?? now) : null
      return { ...state, isClosed, port, askAt }
    }
    case 'answered':
      return input.round === state.round ? onAnswered(state, input.forwarded, now) : state
    case 'moved':
      return { ...createForwarding(), port: state.port, round: state.round + 1 }
    case 'wake':
      return state.forwarded !== null && state.expiresAt <= now ? { ...state, forwarded: null } : state
    default:
      return unreachable(input)
  }
}

function onAnswered(state: ForwardingState, forwarded: Forwarded | null, now: Millis): ForwardingState {
  const answered = { ...state, isAsking: false }
  if (forwarded === null) {
    const kept = state.expiresAt > now ? state.forwarded : null
    const wait = Math.min(FORWARDING_RETRY_MS_MAX, FORWARDING_RETRY_MS * 2 ** Math.min(state.misses, 16))
    const isWanted = state.isClosed || kept !== null
    return { ...answered, forwarded: kept, misses: state.misses + 1, askAt: isWanted ? now + wait : null }
  }
  const lifetimeMs = forwarded.lifetimeS * 1_000
  return { ...answered, forwarded, misses: 0, expiresAt: now + lifetimeMs, askAt: now + lifetimeMs / 2 }
}

/** A renewal asks for the port that there is. */
const keptPort = ({ forwarded }: ForwardingState): number | null => forwarded?.port ?? null

export function wakeAt({ askAt, isAsking, forwarded, expiresAt }: ForwardingState): Millis | null {
  return earlier(isAsking ? null : askAt, forwarded === null ? null : expiresAt)
}
