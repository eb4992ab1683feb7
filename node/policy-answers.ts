// What people ask about their operator's policy: what it says, and what it would say to a service on a device.

import type { NodeId, OperatorId, ServiceId } from '../overlay/kernel/ids.ts'
import { type Deed, mayDo, rulingFor, type ServiceSpec, whyNotOffered, whyPolicyRefuses } from '../placement/index.ts'
import { NOTHING, needOf, plus } from '../placement/need.ts'
import { capacityOf } from '../placement/summary.ts'
import type { PolicyExplanation, PolicyView } from './control.ts'
import type { CoreView } from './core/core-view.ts'
import { CoppiceError } from './errors.ts'
import type { HeldPolicy, PolicyKeeper } from './policy-keeper.ts'
import { nameOf, readSpec, specOf } from './view.ts'

/** Whose services run on this device, and what its operator lets people of others do with its own. */
export const ownerRights = (view: CoreView, policy: Pick<PolicyKeeper, 'current'>) => ({
  operator: view.self.operator,
  ownerOf: (service: ServiceId) => specOf(view, service)?.signer.operator ?? view.ownerOf(service),
  mayDo: (deed: Deed, operator: OperatorId, service: ServiceId): boolean => {
    const [app = '', appNamespace = '', name = '', namespace = ''] = service.split('.')
    const applicant = { operator, spec: { app, appNamespace, name, namespace } }
    return mayDo(policy.current().policy, deed, applicant, view.self.operator)
  },
})

export const policyView = (operator: string, held: HeldPolicy): PolicyView => ({
  operator,
  version: held.version,
  at: held.at,
  policy: held.file,
  statement: held.statement,
})

/** What a device's owner has against a service, as far as this node can know it. */
export function explainPolicy(
  view: CoreView,
  held: HeldPolicy,
  service: ServiceId,
  node: NodeId,
  wall: number,
): PolicyExplanation {
  const record = specOf(view, service)
  const spec = record === null ? null : readSpec(record)
  if (record === null || spec === null) {
    throw new CoppiceError(
      'no-such-service',
      `there is no service "${service}"`,
      '`coppice ps` lists those known here.',
    )
  }
  const { operator } = record.signer
  const owner = view.roster().get(node)?.facts.operator ?? null
  const summary = view.summaryOf(node)
  if (owner === null || summary === null) {
    const hint = 'Ask on a device of its cluster.'
    throw new CoppiceError('no-such-node', `what ${node} has is not known on this device`, hint)
  }
  const common = { service, node, name: nameOf(view, node), operator, owner }
  if (owner !== view.self.operator) {
    // Of another operator's policy only what its devices tell is known.
    const { others } = summary
    const isJudged = others !== undefined && operator !== owner
    const reason = isJudged ? whyNotOffered(others, spec) : null
    return { ...common, allowed: reason === null ? null : false, rule: null, reason: reason?.detail ?? null }
  }
  const applicant = { operator, spec }
  const ground = {
    owner,
    wall,
    power: summary.power ?? null,
    capacity: capacityOf(summary),
    taken: (rule: string) => takenOn(view, held, node, service, rule),
  }
  const reason = whyPolicyRefuses(held.policy, applicant, ground)
  const { rule } = rulingFor(held.policy, applicant, owner)
  return { ...common, allowed: reason === null, rule, reason: reason?.detail ?? null }
}

/** What is placed on a device under a rule, by the records that this node holds; one service is left out. */
function takenOn(view: CoreView, held: HeldPolicy, node: NodeId, except: ServiceId, rule: string) {
  const placed = view.stores().flatMap((store) => store.placedOn(node).map(({ message }) => message))
  let [need, instances] = [NOTHING, 0]
  for (const { service, child } of placed) {
    const record = service === except || child !== node ? null : specOf(view, service)
    const spec: ServiceSpec | null = record === null ? null : readSpec(record)
    if (record === null || spec === null) continue
    if (rulingFor(held.policy, { operator: record.signer.operator, spec }, view.self.operator).rule !== rule) continue
    need = plus(need, needOf(spec))
    instances += 1
  }
  return { need, instances }
}
