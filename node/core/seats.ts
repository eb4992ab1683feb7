// A node's seats in the tree: what they are, how they are made, what they are told, and what they tell.

import {
  type Announcement,
  type Autonomy,
  type ChildFact,
  type ElectionEffect,
  type ElectionInput,
  type ElectionMessage,
  type ElectionState,
  type ElectionTiming,
  type Fence,
  type LeaderBook,
  waitsForBelow,
} from '../../election/index.ts'
import type { ChildId, DomainPath, NodeId } from '../../overlay/kernel/ids.ts'
import type { StepContext } from '../../overlay/kernel/machine.ts'
import type { Millis } from '../../overlay/kernel/time.ts'
import type { Opened } from '../../overlay/wire/envelope.ts'
import type { CoreEffect } from './effects.ts'
import type { Sink } from './news.ts'
import type { ProofKeeper } from './proofs.ts'

export interface HierarchyOptions {
  readonly self: NodeId
  readonly cluster: DomainPath
  readonly timing: ElectionTiming
  readonly electorsMax: number
  readonly autonomy: Autonomy
  /** This node is founding the federation right now: there is nobody whose line it would have to listen for. */
  readonly isFounding: boolean
  readonly book: LeaderBook
  readonly proofs: ProofKeeper
  /** What the cluster's election persisted last. */
  readonly saved: Uint8Array | null
  /** The nodes of the cluster as its roster has them. */
  readonly members: () => ReadonlyMap<ChildId, ChildFact>
  /** The name, addresses and fitness that this node's announcements carry. */
  readonly face: () => Pick<Announcement, 'name' | 'addresses' | 'fitness'>
}

/** One of them, as the hierarchy keeps it. */
export interface Seat {
  readonly id: number
  readonly domain: DomainPath
  readonly self: ChildId
  /** The seat below whose register keeps this one's memory; null in the cluster, where the disk does. */
  readonly below: Seat | null
  state: ElectionState
  fence: Fence | null
  /** What it said before the seat below was established, in order: it leaves when that is. */
  readonly held: CoreEffect[]
  /** This node's newest announcement of the domain: the proof by which it speaks for it above. */
  announced: Opened<Announcement> | null
  /** What waits for the seat's own register to be committed, by token. */
  readonly waiting: Map<string, { readonly of: Seat; readonly then: readonly ElectionEffect[] }>
}

type Said = Extract<ElectionEffect, { readonly kind: 'send' }>['message']

/** What leaves now of what a seat says; the rest is kept until the seat below is established. */
export function saidOrHeld(seat: Seat, to: NodeId, message: Said): CoreEffect[] {
  const said: CoreEffect = { kind: 'send', to, message }
  if (!waitsForBelow(seat, message)) return [said]
  seat.held.push(said)
  return []
}

export interface SeatView {
  readonly domain: DomainPath
  readonly self: ChildId
  readonly state: ElectionState
  /** Under which this node gives orders in the domain; null while it does not lead it. */
  readonly fence: Fence | null
}

export type HierarchyEvent =
  | { readonly kind: 'lead'; readonly domain: DomainPath; readonly fence: Fence }
  | { readonly kind: 'unlead'; readonly domain: DomainPath }
  /** A proof came in that changed who leads a domain, or its electors. */
  | { readonly kind: 'leader-news'; readonly domain: DomainPath }
  /** A proof came in: orders of that leader can be checked now. */
  | { readonly kind: 'proof-news'; readonly domain: DomainPath }

export interface Hierarchy {
  start(context: StepContext, out: CoreEffect[], events: Sink<HierarchyEvent>): void
  onMessage(
    opened: Opened<ElectionMessage>,
    context: StepContext,
    out: CoreEffect[],
    events: Sink<HierarchyEvent>,
  ): void
  onAgain(
    domain: DomainPath,
    seat: number,
    input: ElectionInput,
    context: StepContext,
    out: CoreEffect[],
    events: Sink<HierarchyEvent>,
  ): void
  onConnection(
    peer: NodeId,
    isOpen: boolean,
    context: StepContext,
    out: CoreEffect[],
    events: Sink<HierarchyEvent>,
  ): void
  /** A member said something over its own connection; null where others may have handed it on. */
  onHeard(peer: NodeId | null, context: StepContext, out: CoreEffect[], events: Sink<HierarchyEvent>): void
  /** The roster changed, or this node's fitness. */
  onMembers(context: StepContext, out: CoreEffect[], events: Sink<HierarchyEvent>): void
  /** An operator orders a domain to go on without its majority; nothing happens while one is heard. */
  recover(domain: DomainPath, context: StepContext, out: CoreEffect[], events: Sink<HierarchyEvent>): void
  /** Gives away what this node leads, one domain after the other. */
  handOver(context: StepContext, out: CoreEffect[], events: Sink<HierarchyEvent>): void
  /** Whether that is through: nothing is led any more that somebody else could take over. */
  isHandedOver(): boolean
  /** Whether somebody could take the own cluster over who would lead it for long. */
  hasAbleHeir(): boolean
  onWake(context: StepContext, out: CoreEffect[], events: Sink<HierarchyEvent>): void
  wakeAt(): Millis | null
  seats(): readonly SeatView[]
  seatIn(domain: DomainPath): SeatView | null
}
