// What a running member answers to the people of its operator about what is theirs: their policy, their secrets.

import type { NodeId, ServiceId } from '../overlay/kernel/ids.ts'
import type { NodeControl } from './control.ts'
import type { CoreView } from './core/core-view.ts'
import type { Member } from './node.ts'
import { explainPolicy, policyView } from './policy-answers.ts'

export interface OwnerLookups {
  /** What is known of a service, here or by asking. */
  readonly knowing: (service: ServiceId) => Promise<CoreView>
  /** A node by name or id; throws CoppiceError. */
  readonly findNode: (who: string) => NodeId
}

export function ownerControl(
  member: Member,
  { knowing, findNode }: OwnerLookups,
): Pick<NodeControl, 'policy' | 'setPolicy' | 'explainPolicy' | 'secrets' | 'setSecret' | 'removeSecret'> {
  const { operator } = member.core.view.self
  const { secrets } = member
  return {
    policy: () => policyView(operator, member.policy.current()),
    setPolicy: async (text) => policyView(operator, await member.policy.set(text)),
    secrets: () => secrets.list(),
    setSecret: async (name, value) => ({ name, devices: await secrets.set(name, Buffer.from(value, 'base64')) }),
    removeSecret: async (name) => ({ name, devices: await secrets.remove(name) }),
    explainPolicy: async (id, who) => {
      const service = id as ServiceId
      return explainPolicy(await knowing(service), member.policy.current(), service, findNode(who), Date.now())
    },
  }
}
