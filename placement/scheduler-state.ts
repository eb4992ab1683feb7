// What the leader of a domain knows of its own work: one entry per instance that is not simply where it should be. The
// tables grow with the fleet and are updated in place, by the files of the scheduler and by nobody else.

import type { DomainEvent, Emit, Send } from '../overlay/kernel/effect.ts'
import { emit } from '../overlay/kernel/effect.ts'
import type { ChildId, DomainPath, InstanceKey, NodeId, OperatorId, ServiceId } from '../overlay/kernel/ids.ts'
import type { StepContext } from '../overlay/kernel/machine.ts'
import { earliest, type Millis } from '../overlay/kernel/time.ts'
import type { Opened } from '../overlay/wire/envelope.ts'
import type {
  Clock,
  Fence,
  PlacementRecord,
  RolloutRecord,
  SealedRecord,
  SpecRecord,
} from '../services-registry/record.ts'
import { type Asks, endAsk } from './asks.ts'
import { roomFor } from './batch.ts'
import { MOVE_MS_MAX, type PlacementTiming } from './constants.ts'
import type { Watched } from './constraint-watch.ts'
import { enterAsked, type Ledger } from './ledger.ts'
import type { MovedMessage, PlacementMessage } from './messages.ts'
import { NOTHING } from './need.ts'
import type { Avoided } from './plan.ts'
import type { SchedulerPlugin } from './plugin.ts'
import type { Rankings } from './ranking.ts'
import type { Reason } from './refusal.ts'
import type { ServiceSpec } from './spec.ts'
import type { ChildrenView, ChildView, SchedulerView } from './view.ts'

export interface SchedulerState {
  readonly domain: DomainPath
  readonly self: NodeId
  /** Of the node that leads; null where nobody said. */
  readonly operator: OperatorId | null
  readonly plugin: SchedulerPlugin
  readonly timing: PlacementTiming
  readonly view: SchedulerView
  /** Null while another node leads the domain; all tables are empty then. */
  readonly lead: Lead | null
  /** When the next silent child domain counts as lost. */
  readonly silenceAt: Millis | null
  readonly ledger: Ledger
  readonly work: Map<InstanceKey, Work>
  /** How the children were judged for the demands of late. */
  readonly rankings: Rankings
  /** Which instance an ask under way is about. */
  readonly asks: Asks
  /** Instances that wait until others were answered, in order. */
  readonly queue: Set<InstanceKey>
  /** Own placements that the store does not show yet. */
  readonly authored: Map<InstanceKey, { readonly record: PlacementRecord; readonly at: Millis }>
  /** The few latest versions of each service, newest first. */
  readonly specs: Map<ServiceId, readonly KnownSpec[]>
  /** Own words on rollouts that the store may not show yet. */
  readonly rollouts: Map<ServiceId, RolloutRecord>
  /** Services of which a new version is on its way. */
  readonly paces: Map<ServiceId, Pace>
  /** Daemons: the number of each child that shall run one. */
  readonly slots: Map<ServiceId, ReadonlyMap<ChildId, number>>
  /** What came of the last requests to move something, by request. */
  readonly answered: Map<string, MovedMessage>
  /** What was measured of instances with a limit that is measured. */
  readonly watched: Map<InstanceKey, Watched>
}

export interface Lead {
  readonly fence: Fence
  readonly since: Millis
  /** Until it has listened it acts on no absence; null once it has. */
  readonly listenUntil: Millis | null
  readonly sweepAt: Millis
  readonly nextAsk: number
}

export interface KnownSpec {
  readonly clock: Clock
  readonly bytes: Uint8Array
  readonly spec: ServiceSpec
  /** What it runs, in short: `specIdOf`. */
  readonly id: string
  /** The clock of the newer version that was rolled back in favour of this one. */
  readonly over: Clock | null
  /** What a leader above showed of who submitted it. */
  readonly submitter: Submitter
}

/** Whose a service is, and what was submitted as it was signed; null for what nobody showed. */
export interface Submitter {
  readonly operator: OperatorId | null
  readonly origin: SealedRecord<SpecRecord> | null
}

/** How a new version goes from instance to instance; what a new leader lacks of it, it sees anew. */
export interface Pace {
  /** Towards which version. */
  readonly target: KnownSpec
  /** Numbers that may have it, and those of them that ran it for long enough. */
  readonly turned: ReadonlySet<number>
  readonly passed: ReadonlySet<number>
  /** Since when those in between run. */
  readonly runsSince: ReadonlyMap<number, Millis>
  readonly lastPassedAt: Millis | null
  /** When the next one passes, or may begin. */
  readonly dueAt: Millis | null
}

/** A child that could not run an instance. */
export interface Failure extends Avoided {
  /** The version that it could not run: it says nothing of others. Null where nobody knows. */
  readonly specClock: Clock | null
}

export interface Work {
  readonly service: ServiceId
  readonly number: number
  readonly phase: Phase
  /** What the parent's leader asked and was not finally answered yet. */
  readonly order: Order | null
  /** Placements that failed in a row, and where. */
  readonly failures: number
  readonly avoid: ReadonlyMap<ChildId, Failure>
  /** Rounds in a row that found no place, and since when. */
  readonly rounds: number
  readonly stuckSince: Millis | null
  /** The last word of the child's node before the placement: only what comes after counts. */
  readonly baseline: { readonly incarnation: number; readonly sequence: number } | null
  /** The reason that people see now; null when none is shown. */
  readonly shown: string | null
  /** Since when it runs where it should. */
  readonly goodSince: Millis | null
  /** While its placement has a previous place: how far the new one is. */
  readonly move: MoveProgress | null
  /** Since when its child is lost, as far as this leader saw it. */
  readonly absentSince: Millis | null
  /** Somebody wants it elsewhere. */
  readonly leave: Leave | null
}

/** That an instance shall leave a child although it runs well there. */
export interface Leave {
  readonly requestId: string
  /** Who is told what comes of it. */
  readonly requester: NodeId | null
  readonly from: ChildId
  /** A selector of nodes and clusters that may take it; null for any. */
  readonly to: string | null
  readonly why: string
  /** Why domains below cannot take it. */
  readonly refused: string
  /** Whether it is wanted until it is done, and not once. */
  readonly isDrain: boolean
}

export interface MoveProgress {
  /** When this leader first saw the move. */
  readonly since: Millis
  /** Since when the new one is known to run; null while it does not. */
  readonly runsSince: Millis | null
  /** When to look at it again. */
  readonly lookAt: Millis
}

export const beginMove = (now: Millis): MoveProgress => ({ since: now, runsSince: null, lookAt: now + MOVE_MS_MAX })

export type Phase =
  | { readonly kind: 'idle' }
  | { readonly kind: 'queued' }
  | {
      readonly kind: 'asking'
      readonly askId: string
      readonly child: ChildId
      readonly deadline: Millis
      readonly tries: number
      readonly why: string
      readonly round: Round
    }
  /** A child keeps room, and the parent's leader was offered it. */
  | {
      readonly kind: 'held'
      readonly askId: string
      readonly child: ChildId
      readonly offer: Offer
      readonly known: KnownSpec
      readonly why: string
      readonly expiresAt: Millis
    }
  /** Placed on a node that has not said yet that it obeys. */
  | {
      readonly kind: 'confirming'
      readonly askId: string | null
      readonly deadline: Millis
      readonly reminders: number
    }
  | { readonly kind: 'pending'; readonly retryAt: Millis; readonly plannedAt: Millis; readonly clock: Clock | null }

/** One pass over the children, best first, until one offers. */
export interface Round {
  readonly known: KnownSpec
  /** The child that goes on running it until the new one does; null where nobody does or shall. */
  readonly from: ChildId | null
  /** A selector of the nodes and clusters that may take it; null for any. */
  readonly to: string | null
  readonly tried: ReadonlySet<ChildId>
  readonly reasons: readonly Reason[]
}

export interface Offer {
  readonly node: NodeId
  readonly nodeName: string
  readonly score: number
}

export interface Order {
  readonly askId: string
  readonly fence: Fence
  readonly leader: NodeId
  readonly known: KnownSpec
  readonly avoid: readonly NodeId[]
  readonly to: string | null
  /** Room for further instances in the answer, where the parent's leader reads it. */
  readonly room: { readonly also?: readonly [] }
  /** Until when the parent's leader waits. */
  readonly until: Millis
}

export type SchedulerInput =
  | { readonly kind: 'lead'; readonly fence: Fence }
  | { readonly kind: 'unlead' }
  /** A record of the service changed, in the domain's store or its parent's; of one instance if there is a number. */
  | { readonly kind: 'service-changed'; readonly service: ServiceId; readonly number?: number }
  /** A child's state, summary or aggregate changed; null for all of them. */
  | { readonly kind: 'children-changed'; readonly child: ChildId | null }
  | { readonly kind: 'message'; readonly opened: Opened<PlacementMessage> }
  | { readonly kind: 'wake' }

export type SchedulerEffect =
  | Send<PlacementMessage>
  /** To be sealed with this node's key and fed to the store of the record's domain. */
  | { readonly kind: 'author'; readonly record: PlacementRecord | RolloutRecord }
  /** Why an instance has no place; null when it has one again or is no longer wanted. */
  | {
      readonly kind: 'pending'
      readonly service: ServiceId
      readonly number: number
      readonly reason: string | null
    }
  | Emit

/** One step under way: made by `step`, filled by the handlers, gone when it returns. */
export interface Turn {
  state: SchedulerState
  readonly effects: SchedulerEffect[]
  readonly context: StepContext
  /** The children by id, read once per step. */
  readonly children: ChildrenView
  /** The same as those who could be asked, without those that are lost; null until somebody looks for a place. */
  present: readonly ChildView[] | null
}

export const NEW_WORK: Omit<Work, 'service' | 'number'> = {
  phase: { kind: 'idle' },
  order: null,
  failures: 0,
  avoid: new Map(),
  rounds: 0,
  stuckSince: null,
  baseline: null,
  shown: null,
  goodSince: null,
  move: null,
  absentSince: null,
  leave: null,
}

/**
 * Notes a change to an instance's work, which it begins where there is none. Leaving a phase lets go of what it held.
 */
export function change(turn: Turn, key: InstanceKey, name: Named, changes: Partial<Work>): Work {
  const { work, asks, queue, ledger } = turn.state
  const before = work.get(key) ?? { ...NEW_WORK, service: name.service, number: name.number }
  const after = { ...before, ...changes }
  work.set(key, after)
  const asked = askIdOf(before.phase)
  if (asked !== null && asked !== askIdOf(after.phase)) endAsk(asks, asked)
  if (after.phase.kind === 'queued') queue.add(key)
  else queue.delete(key)
  const holds = after.phase.kind === 'asking' || after.phase.kind === 'held'
  if (!holds && (before.phase.kind === 'asking' || before.phase.kind === 'held')) enterAsked(ledger, key, null, NOTHING)
  return after
}

export interface Named {
  readonly service: ServiceId
  readonly number: number
}

/** Ends an instance's work and whatever was under way for it. */
export function drop(turn: Turn, key: InstanceKey): void {
  const work = turn.state.work.get(key)
  if (work === undefined) return
  letGo(turn, work)
  change(turn, key, work, { phase: { kind: 'idle' } })
  show(turn, key, null)
  turn.state.work.delete(key)
}

/** The next of a leader's questions: of one domain no two are called the same. Null of who does not lead. */
export function nextQuestion(turn: Turn): string | null {
  const { lead } = turn.state
  if (lead === null) return null
  const { fence, nextAsk } = lead
  turn.state = { ...turn.state, lead: { ...lead, nextAsk: nextAsk + 1 } }
  return `${fence.epoch}.${fence.term}.${nextAsk}`
}

/** Tells the child that was asked, or keeps room, that it need not. */
export function letGo(turn: Turn, work: Work): void {
  const { phase } = work
  if (phase.kind !== 'asking' && phase.kind !== 'held') return
  const { domain, view } = turn.state
  const room = roomFor(view.inventory, phase.child)
  send(turn, phase.child, { kind: 'placement/release', domain, askId: phase.askId, ...room })
}

/** Shows people why an instance has no place; null takes it back. */
export function show(turn: Turn, key: InstanceKey, reason: string | null): void {
  const work = turn.state.work.get(key)
  if (work === undefined || work.shown === reason) return
  const { service, number } = work
  turn.state.work.set(key, { ...work, shown: reason })
  turn.effects.push({ kind: 'pending', service, number, reason })
  if (reason !== null) tell(turn, 'instance-pending', { service, number, reason }, 'warn')
}

export const send = (turn: Turn, to: ChildId, message: PlacementMessage): void => {
  turn.effects.push({ kind: 'send', to, message })
}

export function tell(
  turn: Turn,
  name: string,
  fields: DomainEvent['fields'],
  level: DomainEvent['level'] = 'info',
): void {
  const { event } = emit(name, fields, level)
  turn.effects.push({ kind: 'emit', event: { ...event, domain: turn.state.domain } })
}

const askIdOf = (phase: Phase): string | null =>
  phase.kind === 'asking' || phase.kind === 'confirming' ? phase.askId : null

/** When an instance's phase, or the parent's patience, runs out. */
export function dueAt(work: Work): Millis | null {
  return earliest(phaseDueAt(work), work.move?.lookAt ?? null)
}

export function phaseDueAt({ phase, order }: Work): Millis | null {
  switch (phase.kind) {
    case 'asking':
    case 'confirming':
      return earliest(phase.deadline, order?.until ?? null)
    case 'held':
      return phase.expiresAt
    case 'pending':
      return phase.retryAt
    case 'idle':
    case 'queued':
      return order?.until ?? null
  }
}
