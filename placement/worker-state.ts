// What a node knows of the instances it was given: one entry each, and the room that it keeps for offers. What it says
// about them goes into instance records, one for each change of state.

import type { DomainEvent, Emit, Persist, Send } from '../overlay/kernel/effect.ts'
import { emit } from '../overlay/kernel/effect.ts'
import type { DomainPath, InstanceKey, NodeId, OperatorId, ServiceId } from '../overlay/kernel/ids.ts'
import type { StepContext } from '../overlay/kernel/machine.ts'
import type { Millis, UnixMillis } from '../overlay/kernel/time.ts'
import type { Opened } from '../overlay/wire/envelope.ts'
import type { Clock, Endpoint, Fence, InstanceRecord, InstanceState, InstanceUse } from '../services-registry/record.ts'
import { REASON_CHARS_MAX } from './constants.ts'
import type { Kept } from './kept.ts'
import type { PlacementMessage } from './messages.ts'
import type { Resources } from './need.ts'
import type { PolicyFile } from './policy.ts'
import type { FoundInstance, Launch, RuntimeEvent, RuntimeLimits } from './runtime.ts'
import type { ServiceSpec } from './spec.ts'
import type { NodeSummary } from './summary.ts'
import { type Use, useToSay } from './usage.ts'
import type { WorkerView } from './view.ts'

export interface WorkerState {
  readonly self: NodeId
  readonly operator: OperatorId
  /** The node's cluster. */
  readonly domain: DomainPath
  /** Under which its words are the latest of this node. */
  readonly incarnation: number
  readonly view: WorkerView
  /** What its operator lets it run. */
  readonly policy: PolicyFile
  /** What the device has; null until it was measured, and no offer is made before. */
  readonly summary: NodeSummary | null
  /** Runtimes whose earlier instances are known, so that starting one cannot start it twice. */
  readonly ready: ReadonlySet<string>
  readonly isStarted: boolean
  /** Of the node's instance records. */
  readonly sequence: number
  /** What the disk held, until `start`. */
  readonly kept: readonly Kept[]
  readonly reservations: Map<InstanceKey, Reservation>
  readonly instances: Map<InstanceKey, Managed>
  /** Placements without a known spec, and when the leader is asked for it next. */
  readonly missing: Map<InstanceKey, Millis>
  /** Instances that this node ended to relieve itself: how often, and until when it does not take them back. */
  readonly evicted: Map<InstanceKey, Evicted>
  /** Of those that end themselves: until when they may run, and when that is asked next. */
  readonly reach: Map<InstanceKey, Reach>
  /** Placements that were declined, so that each is declined once, and again when the leader reminds of it. */
  readonly declined: Map<InstanceKey, Obeyed>
  /** What instances used here since this start of the node. */
  readonly uses: Map<InstanceKey, Use>
}

export interface Evicted {
  readonly times: number
  readonly until: Millis
}

export interface Reach {
  /** Null where the leader never said so. */
  readonly until: Millis | null
  readonly askAt: Millis
}

/** Room that is kept for an offer. */
export interface Reservation {
  readonly askId: string
  readonly fence: Fence
  readonly specClock: Clock
  readonly bytes: Uint8Array
  readonly spec: ServiceSpec
  readonly need: Resources
  /** Whose service it is, as was proved; null for nobody knows whose. */
  readonly owner: OperatorId | null
  readonly expiresAt: Millis
}

/** The order that an instance follows. */
export interface Obeyed {
  readonly fence: Fence
  readonly sequence: number
  readonly specClock: Clock
}

export interface Managed {
  readonly key: InstanceKey
  readonly service: ServiceId
  readonly number: number
  readonly obeys: Obeyed
  readonly bytes: Uint8Array
  readonly spec: ServiceSpec
  readonly specId: string
  readonly need: Resources
  /** Whose service it is, as was proved; null for nobody knows whose. */
  readonly owner: OperatorId | null
  readonly phase: ManagedPhase
  readonly restarts: number
  /** Unplanned ends in a row. */
  readonly crashes: number
  /** Since when this run answers; null while it does not. */
  readonly runningSince: Millis | null
  readonly report: Report
}

export interface Report {
  readonly state: InstanceState
  readonly reason: string
  readonly since: UnixMillis
  readonly endpoint: Endpoint | null
  readonly live: boolean
  /** Of a job: it ended well. */
  readonly done: boolean
  /** Whether a health check of this run has succeeded. */
  readonly healthy: boolean
}

export type ManagedPhase =
  /** Its runtime has not said yet what is running already; null once it was given up, and begins all the same then. */
  | { readonly kind: 'waiting-for-runtime'; readonly until: Millis | null }
  | { readonly kind: 'backing-off'; readonly until: Millis }
  /** It ended itself, or has not begun: it waits until a leader in reach says that it may run. */
  | { readonly kind: 'out-of-reach' }
  /** The driver has it: starting, pulling, running or unhealthy. */
  | { readonly kind: 'started' }
  /** The driver was told to end it; `then` is what follows. */
  | {
      readonly kind: 'stopping'
      /** Of the run that ends; the next one may use another. */
      readonly runtime: string
      readonly graceMs: number
      readonly repeatAt: Millis
      readonly then: 'start' | 'forget' | 'give-up'
    }
  /** Nothing runs and nothing shall, until another order comes. */
  | { readonly kind: 'ended' }

export type WorkerInput =
  /** Once, after the store was read: what was running is started again. */
  | { readonly kind: 'start' }
  /** The node had to raise its incarnation: others remember a later one than it started with. */
  | { readonly kind: 'incarnation'; readonly incarnation: number }
  /** What the device has now. */
  | { readonly kind: 'capacity'; readonly summary: NodeSummary }
  | { readonly kind: 'message'; readonly opened: Opened<PlacementMessage> }
  /** A placement of the service changed. */
  /** A record of the service changed; of one instance where there is a number. */
  | { readonly kind: 'service-changed'; readonly service: ServiceId; readonly number?: number }
  | { readonly kind: 'runtime'; readonly event: RuntimeEvent }
  /** What a runtime has of this node's; said once for each runtime, empty or not, before anything is started on it. */
  | { readonly kind: 'found'; readonly runtime: string; readonly instances: readonly FoundInstance[] }
  /** The operator's policy is this from now on. */
  | { readonly kind: 'policy'; readonly policy: PolicyFile }
  /** The node ends an instance to relieve itself; its leader finds another place. */
  | { readonly kind: 'evict'; readonly key: InstanceKey; readonly reason: string }
  /** What an instance has used so far; `isLast` where it is not read again soon. */
  | { readonly kind: 'used'; readonly key: InstanceKey; readonly used: InstanceUse; readonly isLast: boolean }
  | { readonly kind: 'wake' }

export type RuntimeOperation =
  | { readonly kind: 'start'; readonly launch: Launch }
  | { readonly kind: 'stop'; readonly key: InstanceKey; readonly graceMs: number }
  | { readonly kind: 'limit'; readonly key: InstanceKey; readonly limits: RuntimeLimits }

export type WorkerEffect =
  | Send<PlacementMessage>
  /** To be sealed with this node's key and fed to the cluster's store. */
  | { readonly kind: 'author'; readonly record: InstanceRecord }
  | { readonly kind: 'runtime'; readonly runtime: string; readonly operation: RuntimeOperation }
  | Persist<WorkerEffect>
  | Emit

/** One step under way: made by `step`, filled by the handlers, gone when it returns. */
export interface WorkerTurn {
  state: WorkerState
  readonly effects: WorkerEffect[]
  readonly context: StepContext
}

/** Replaces an instance's entry and, when what it says of itself changed, authors the record. */
export function update(turn: WorkerTurn, next: Managed): void {
  const before = turn.state.instances.get(next.key)
  turn.state.instances.set(next.key, next)
  const isSaid =
    before !== undefined &&
    before.report === next.report &&
    before.obeys === next.obeys &&
    before.restarts === next.restarts
  if (!isSaid) authorReport(turn, next)
}

type Reported = Pick<Managed, 'service' | 'number' | 'report' | 'restarts' | 'obeys'>

/** Says what an instance is doing. */
export function authorReport(turn: WorkerTurn, reported: Reported): void {
  turn.effects.push(reportEffect(turn, reported))
}

/** What says it, for the effects of a write. */
export function reportEffect(turn: WorkerTurn, { service, number, report, restarts, obeys }: Reported): WorkerEffect {
  const sequence = turn.state.sequence + 1
  turn.state = { ...turn.state, sequence }
  return {
    kind: 'author',
    record: {
      kind: 'record/instance',
      domain: turn.state.domain,
      service,
      number,
      state: report.state,
      incarnation: turn.state.incarnation,
      sequence,
      endpoint: report.endpoint,
      since: report.since,
      restarts,
      reason: report.reason,
      fence: obeys.fence,
      specClock: obeys.specClock,
      live: report.live,
      ...(report.done && { done: true }),
      ...(report.healthy && { healthy: true }),
      ...(turn.state.summary !== null && { nodeName: turn.state.summary.name }),
      ...useToSay(turn, { service, number }),
    },
  }
}

/** A report of a new state; only a running or unhealthy instance has an endpoint. */
export const reporting = (
  turn: WorkerTurn,
  state: InstanceState,
  reason: string,
  more: Partial<Pick<Report, 'endpoint' | 'live' | 'done' | 'healthy'>> = {},
): Report => ({
  state,
  reason: reason.slice(0, REASON_CHARS_MAX),
  since: turn.context.wall,
  endpoint: more.endpoint ?? null,
  live: more.live ?? true,
  done: more.done ?? false,
  healthy: more.healthy ?? false,
})

export function tellWorker(
  turn: WorkerTurn,
  name: string,
  fields: DomainEvent['fields'],
  level: DomainEvent['level'] = 'info',
): void {
  const { event } = emit(name, fields, level)
  turn.effects.push({ kind: 'emit', event: { ...event, domain: turn.state.domain } })
}
