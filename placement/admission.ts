// Whether there is room, and the promise that keeps it: what runs and what is offered together never exceed the device.
// An instance that is replaced in place counts once, with the larger of what it has and what it will need.

import { type InstanceKey, instanceKey, type NodeId, type OperatorId, splitInstanceKey } from '../overlay/kernel/ids.ts'
import type { Millis } from '../overlay/kernel/time.ts'
import type { Opened } from '../overlay/wire/envelope.ts'
import { compareFences, type Fence } from '../services-registry/record.ts'
import { roomIn } from './batch.ts'
import { RESERVATION_MS, RESERVATIONS_MAX } from './constants.ts'
import { shortOf } from './constraint.ts'
import type { AskMessage, ReleaseMessage } from './messages.ts'
import { larger, minus, NOTHING, needOf, plus, type Resources } from './need.ts'
import { ownerOfAsk, specBytesOf } from './origin.ts'
import { whyKept, whyOwnerRefuses } from './policy-keeping.ts'
import { type Reason, refusal } from './refusal.ts'
import { tightness } from './score.ts'
import { decodeSpec, type ServiceSpec } from './spec.ts'
import { capacityOf } from './summary.ts'
import type { WorkerState, WorkerTurn } from './worker-state.ts'

/**
 * What is promised: instances that run or will, and offers; but for one instance, looked at as if it were not there.
 */
export function promised(state: WorkerState, except: InstanceKey | null = null): Resources {
  let sum = NOTHING
  for (const [key, managed] of state.instances) {
    if (key === except || managed.phase.kind === 'ended') continue
    sum = plus(sum, larger(managed.need, state.reservations.get(key)?.need ?? NOTHING))
  }
  for (const [key, { need }] of state.reservations) {
    const managed = state.instances.get(key)
    const isCounted = managed !== undefined && managed.phase.kind !== 'ended'
    if (key !== except && !isCounted) sum = plus(sum, need)
  }
  return sum
}

/** Instances that run or will. */
export const liveInstances = (state: WorkerState): number =>
  [...state.instances.values()].filter(({ phase }) => phase.kind !== 'ended').length

/** Whether this node ended the instance to relieve itself, not long ago. */
export const isEvicted = (state: WorkerState, key: InstanceKey, now: Millis): boolean =>
  (state.evicted.get(key)?.until ?? now) > now

/** Why an instance cannot run here; null when it can. */
export function whyNot(
  turn: Pick<WorkerTurn, 'state' | 'context'>,
  key: InstanceKey,
  spec: ServiceSpec,
  owner: OperatorId | null,
): Reason | null {
  const { state, context } = turn
  const { summary } = state
  if (summary === null) return refusal('no-summary')
  const against = whyOwnerRefuses(turn, key, spec, owner)
  if (against !== null) return against
  if (isEvicted(state, key, context.now)) return refusal('evicted')
  const offers = summary.runtimes.some(({ name }) => name === spec.runtime) && state.ready.has(spec.runtime)
  if (!offers) return refusal('runtime', spec.runtime)
  if (summary.pressure >= 2) return refusal('pressure')
  const managed = state.instances.get(key)
  const isHere = managed !== undefined && managed.phase.kind !== 'ended'
  const { intake = 'open' } = summary
  if (intake === 'draining' || (intake === 'cordoned' && !isHere)) return refusal(intake)
  const own = isHere ? managed.need : NOTHING
  const free = minus(capacityOf(summary), promised(state, key))
  return shortOf(larger(needOf(spec), own), free, summary.name)
}

/** Whether the proven leader of the cluster asks: only that one is answered. */
export const isAskedByLeader = ({ domain, view }: WorkerState, { from, message }: Opened<AskMessage>): boolean =>
  message.domain === domain && view.leaders.leaderAt(domain, message.fence) === from

/** A leader asks for room: kept for RESERVATION_MS, or refused with the reason. Returns for what it is kept. */
export function onAsk(turn: WorkerTurn, opened: Opened<AskMessage>): InstanceKey | null {
  const { state, context } = turn
  const { domain, fence, askId, service, number, specClock, avoid } = opened.message
  const key = instanceKey(service, number)
  const bytes = specBytesOf(opened.message)
  const owner = ownerOfAsk({ operator: state.operator, store: state.view.store }, opened)
  const decoded = decodeSpec(bytes)
  const common = { domain, askId, service, number, child: state.self, ...roomIn(opened.message) }
  const reason = decoded.ok
    ? whyRefused(turn, key, decoded.value, fence, avoid, owner)
    : refusal('bad-spec', decoded.error)
  if (!decoded.ok || reason !== null) {
    const reasons = reason === null ? [] : [reason]
    turn.effects.push({
      kind: 'send',
      to: opened.from,
      message: { kind: 'placement/refuse', ...common, devices: 1, reasons },
    })
    return null
  }
  const spec = decoded.value
  const need = needOf(spec)
  const score = scoreOf(state, key, need)
  const expiresAt = context.now + RESERVATION_MS
  state.reservations.set(key, { askId, fence, specClock, bytes, spec, need, owner, expiresAt })
  turn.effects.push({
    kind: 'send',
    to: opened.from,
    message: {
      kind: 'placement/offer',
      ...common,
      score,
      node: state.self,
      nodeName: state.summary?.name ?? '',
      expiresInMs: RESERVATION_MS,
    },
  })
  return key
}

/** Whether a node that is restricted leaves the service to its own operator's devices. */
const isOthers = ({ summary, operator: own }: WorkerState, owner: OperatorId | null): boolean =>
  (summary?.pressure ?? 0) >= 1 && own !== owner

function whyRefused(
  turn: WorkerTurn,
  key: InstanceKey,
  spec: ServiceSpec,
  fence: Fence,
  avoid: readonly NodeId[],
  owner: OperatorId | null,
): Reason | null {
  const { state } = turn
  if (compareFences(fence, highestFence(state, key)) < 0) return refusal('stale-fence')
  if (avoid.includes(state.self)) return refusal('avoided')
  if (isOthers(state, owner)) return refusal('restricted')
  const isFull = !state.reservations.has(key) && state.reservations.size >= RESERVATIONS_MAX
  if (isFull) return refusal('busy')
  return whyKept(turn, key, spec) ?? whyNot(turn, key, spec, owner)
}

/** The leader chose another, or gave up. */
export function onRelease(turn: WorkerTurn, opened: Opened<ReleaseMessage>): void {
  const { state } = turn
  const { domain, askId } = opened.message
  if (domain !== state.domain) return
  for (const [key, reservation] of state.reservations) {
    const isMeant =
      reservation.askId === askId && state.view.leaders.leaderAt(domain, reservation.fence) === opened.from
    if (isMeant) state.reservations.delete(key)
  }
}

const NO_FENCE: Fence = { epoch: 0, term: 0 }

/** The highest fence that this node has seen on any order for the instance. */
export function highestFence(state: WorkerState, key: InstanceKey): Fence {
  const { service, number } = splitInstanceKey(key)
  const fences = [
    state.instances.get(key)?.obeys.fence,
    state.reservations.get(key)?.fence,
    state.view.store.placement(service, number)?.message.fence,
  ]
  return fences.reduce<Fence>(
    (highest, fence) => (fence !== undefined && compareFences(fence, highest) > 0 ? fence : highest),
    NO_FENCE,
  )
}

function scoreOf(state: WorkerState, key: InstanceKey, need: Resources): number {
  if (state.summary === null) return 0
  const total = capacityOf(state.summary)
  return tightness(total, minus(total, promised(state, key)), need)
}
