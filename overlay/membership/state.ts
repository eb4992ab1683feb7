// The shapes of the membership machine, and one turn of it: the state as it becomes and the effects as they gather.

import type { Emit, Persist, Publish, Send } from '../kernel/effect.ts'
import type { DomainPath, NodeId } from '../kernel/ids.ts'
import type { StepContext } from '../kernel/machine.ts'
import type { Millis } from '../kernel/time.ts'
import type { Opened } from '../wire/envelope.ts'
import type { MembershipTiming } from './constants.ts'
import {
  type MemberStatement,
  type MembershipMessage,
  memberKey,
  type SealedStatement,
  type WatcherReport,
} from './messages.ts'
import { conclude, type MemberState, type RosterEntry, type RosterTable } from './roster.ts'
import type { Health } from './suspicion.ts'

/** What this node says about itself, apart from what never changes. */
export interface Own {
  readonly incarnation: number
  readonly version: number
  readonly state: 'alive' | 'left'
  readonly name: string
  readonly addresses: readonly string[]
  readonly fitness: number
}

/** This node's attention to one member that it watches. */
export interface Watch {
  readonly nextProbeAt: Millis
  readonly probe: { readonly nonce: number; readonly sentAt: Millis; readonly deadline: Millis } | null
  /** The last probe that missed its deadline, to recognise a late answer. */
  readonly missed: { readonly nonce: number; readonly sentAt: Millis } | null
  readonly lostInARow: number
  /** Its connection closed and that was not reported yet: that is what is due at `nextProbeAt`. */
  readonly isClosed: boolean
  /** Which of its watchers this one is, from 0, and how many there are. */
  readonly rank: number
  readonly watchers: number
  /** Another watcher called it unreachable since it was probed last. */
  readonly isDoubted: boolean
  /** Whether it answered after the deadline since it last answered in time. */
  readonly isSlow: boolean
  readonly roundTripMs: number | null
  /** How often the present report was repeated. */
  readonly repeats: number
}

export interface MembershipState {
  readonly self: NodeId
  readonly domain: DomainPath
  readonly timing: MembershipTiming
  readonly canLead: boolean
  readonly isRelay: boolean
  readonly phase: 'new' | 'running' | 'left'
  readonly known: readonly SealedStatement[]
  readonly own: Own
  /** A higher incarnation is on its way to the disk: nothing may be said under it yet. */
  readonly isRaising: boolean
  /** Something about this node changed since it was last said: how long after that it may be said; else null. */
  readonly newsGapMs: number | null
  readonly saidAt: Millis | null
  /** When a refutation that had to wait is due, and what it must exceed. */
  readonly refute: { readonly at: Millis; readonly above: number } | null
  readonly refutedAt: Millis | null
  readonly refuteGapMs: number
  readonly health: Health
  /** Lateness up to this moment was already put down to this node itself. */
  readonly doubtedAt: Millis
  readonly sequence: number
  readonly nonce: number
  readonly syncAt: Millis | null
  /** When the table's `news` is handed on; null where there is none. */
  readonly handOnAt: Millis | null
  readonly forgetAt: Millis | null
  readonly connected: ReadonlySet<NodeId>
  readonly watches: ReadonlyMap<NodeId, Watch>
  /** The members present whom this node watches or who watch it. */
  readonly partners: readonly NodeId[]
  readonly table: RosterTable
  /** When the machine next has something to do by itself; as it was when its last step ended. */
  readonly dueAt: Millis | null
  /** The `moves` of the table that the watches and conclusions were last drawn from. */
  readonly settled: number | null
}

export type MembershipInput =
  | { readonly kind: 'start' }
  | { readonly kind: 'message'; readonly opened: Opened<MembershipMessage> }
  /** A peer passed hello on its first connection. */
  | { readonly kind: 'connected'; readonly peer: NodeId }
  /** The last connection to a peer closed. */
  | { readonly kind: 'disconnected'; readonly peer: NodeId }
  /** Any envelope that this node was handed was signed by the peer a moment ago. */
  | { readonly kind: 'heard'; readonly peer: NodeId }
  | {
      readonly kind: 'self-changed'
      readonly addresses?: readonly string[]
      readonly fitness?: number
      readonly name?: string
      readonly canLead?: boolean
      readonly isRelay?: boolean
    }
  /** How late this node's event loop runs. */
  | { readonly kind: 'self-health'; readonly delayMs: number }
  /** The member was revoked. */
  | { readonly kind: 'removed'; readonly node: NodeId }
  /** It was removed, and belongs again: its operator was admitted once more. */
  | { readonly kind: 'readmitted'; readonly node: NodeId }
  | { readonly kind: 'leave' }
  | { readonly kind: 'wake' }

/** Seal this statement of mine and hand it back as a `message` input at once; I publish it then. */
export interface Author {
  readonly kind: 'author'
  readonly message: MemberStatement | WatcherReport
}

/**
 * A member entered a state. `from` is null for a newcomer, `to` is null when it was dropped from the roster, and both
 * are equal when only what it says of itself changed (addresses, fitness, name, incarnation).
 */
export interface RosterChanged {
  readonly kind: 'roster-changed'
  readonly node: NodeId
  readonly from: MemberState | null
  readonly to: MemberState | null
}

export type MembershipEffect =
  | Send<MembershipMessage>
  | Publish<MembershipMessage>
  | Persist<MembershipEffect>
  | Emit
  | Author
  | RosterChanged

/** One turn; made by `step`, which alone hands it out. */
export interface Turn {
  state: MembershipState
  readonly effects: MembershipEffect[]
  readonly context: StepContext
}

export function become(turn: Turn, changes: Partial<MembershipState>): void {
  turn.state = { ...turn.state, ...changes }
}

export function send(turn: Turn, to: NodeId, message: MembershipMessage): void {
  turn.effects.push({ kind: 'send', to, message })
}

/** Puts a member into a state of this node's own conclusion and tells everyone. */
export function move(turn: Turn, entry: RosterEntry, to: MemberState, why: string): void {
  const next = conclude(turn.state.table, entry, to, turn.context.now)
  announce(turn, next, entry.state, why)
}

/** Tells the host, and people, that a member is now in its state. */
export function announce(turn: Turn, entry: RosterEntry, from: MemberState | null, why: string): void {
  const { node, name, state, incarnation } = entry
  turn.effects.push({ kind: 'roster-changed', node, from, to: state })
  if (from === state) return
  const level = state === 'dead' ? 'warn' : 'info'
  const fields = { node, name, incarnation, from, why }
  turn.effects.push({ kind: 'emit', event: { name: `node-${state}`, level, domain: turn.state.domain, fields } })
}

export function persistStatement(turn: Turn, node: NodeId, value: Uint8Array | null): void {
  const key = memberKey(turn.state.domain, node)
  turn.effects.push({ kind: 'persist', key, value, sync: false, then: [] })
}
