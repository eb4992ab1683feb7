// The worker's part of its owner's policy: what it asks before it takes something on, and what it ends when the policy,
// the hour or the power supply is another one.

import type { InstanceKey, OperatorId } from '../overlay/kernel/ids.ts'
import { sendAway } from './eviction.ts'
import { NOTHING, needOf, plus } from './need.ts'
import { rulingFor, whyLocked, whyNotHere, whyPolicyRefuses } from './policy-decision.ts'
import type { Reason } from './refusal.ts'
import type { ServiceSpec } from './spec.ts'
import { specIdOf } from './spec-id.ts'
import { capacityOf } from './summary.ts'
import type { WorkerState, WorkerTurn } from './worker-state.ts'

type Looked = Pick<WorkerTurn, 'state' | 'context'>

const standing = ({ state, context }: Looked) => ({
  owner: state.operator,
  wall: context.wall,
  power: state.summary?.power ?? null,
})

/** What the owner has against taking an instance on; null when nothing. */
export function whyOwnerRefuses(
  turn: Looked,
  key: InstanceKey,
  spec: ServiceSpec,
  operator: OperatorId | null,
): Reason | null {
  const { state } = turn
  if (state.summary === null) return null
  const taken = (rule: string) => takenUnder(state, key, rule)
  const ground = { ...standing(turn), capacity: capacityOf(state.summary), taken }
  return whyPolicyRefuses(state.policy, { operator, spec }, ground)
}

/** What instances have, and offers keep, that fall under a rule; one is left out. */
function takenUnder(state: WorkerState, except: InstanceKey, rule: string) {
  const { policy, operator: owner, instances, reservations } = state
  let [need, count] = [NOTHING, 0]
  const add = (key: InstanceKey, spec: ServiceSpec, operator: OperatorId | null): void => {
    if (key === except || rulingFor(policy, { operator, spec }, owner).rule !== rule) return
    need = plus(need, needOf(spec))
    count += 1
  }
  for (const [key, { spec, owner: operator, phase }] of instances) {
    if (phase.kind !== 'ended') add(key, spec, operator)
  }
  for (const [key, { spec, owner: operator }] of reservations) {
    const managed = instances.get(key)
    if (managed === undefined || managed.phase.kind === 'ended') add(key, spec, operator)
  }
  return { need, instances: count }
}

/** Why what runs of an instance may not be changed into another version; null where it may, or nothing runs. */
export function whyKept({ state, context }: Looked, key: InstanceKey, spec: ServiceSpec): Reason | null {
  const managed = state.instances.get(key)
  if (managed === undefined || managed.phase.kind === 'ended' || managed.specId === specIdOf(spec)) return null
  return whyLocked(state.policy, spec, context.wall)
}

/** Ends what may not be here any more: its leader finds another place. How much there is of it ends nothing. */
export function enforce(turn: WorkerTurn): void {
  const ground = standing(turn)
  for (const { key, spec, owner: operator } of [...turn.state.instances.values()]) {
    const reason = whyNotHere(turn.state.policy, { operator, spec }, ground)
    if (reason !== null) sendAway(turn, key, `the owner's policy forbids it: ${reason.detail}`)
  }
}
