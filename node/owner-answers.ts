// What a running member answers to the people of its operator about what is theirs: their policy,
// their secrets, what opens their registries, and what was ordered in whose name.

import { instanceKey, type NodeId, type ServiceId } from '../overlay/kernel/ids.ts'
import { readRegistry } from '../placement/registry-login.ts'
import { auditViews } from './audit-log.ts'
import type { NodeControl, StatsView } from './control.ts'
import { isRunning } from './core/audit.ts'
import type { CoreView } from './core/core-view.ts'
import { CoppiceError } from './errors.ts'
import type { Member } from './node.ts'
import { explainPolicy, policyView } from './policy-answers.ts'
import { shownServices } from './shown.ts'
import { usageOf } from './usage.ts'
import { instanceViews } from './view.ts'

type OwnerMethods =
  | ('policy' | 'setPolicy' | 'explainPolicy')
  | ('audit' | 'usage' | 'stats')
  | ('secrets' | 'setSecret' | 'removeSecret')
  | ('registries' | 'registryLogin' | 'registryLogout')

export interface OwnerLookups {
  /** What is known of a service, here or by asking. */
  readonly knowing: (service: ServiceId) => Promise<CoreView>
  /** A node by name or id; throws CoppiceError. */
  readonly findNode: (who: string) => NodeId
}

export function ownerControl(member: Member, { knowing, findNode }: OwnerLookups): Pick<NodeControl, OwnerMethods> {
  const { operator } = member.core.view.self
  const { secrets } = member
  return {
    policy: () => policyView(operator, member.policy.current()),
    setPolicy: async (text) => policyView(operator, await member.policy.set(text)),
    registries: () => member.registries.all().map(({ registry, username }) => ({ registry, username })),
    registryLogin: async ({ registry: named, username, password }) => {
      const registry = readHost(named)
      await member.registries.put({ registry, username, password })
      return { registry, username }
    },
    registryLogout: async (named) => {
      const registry = readHost(named)
      if (await member.registries.remove(registry)) return { registry }
      const problem = `this node has no login of ${registry}`
      throw new CoppiceError('no-such-login', problem, '`coppice registry list` shows those that it has.')
    },
    stats: () => statsOf(member),
    audit: async (service) => auditViews((await keptFor(member)).entries, service),
    usage: async () => {
      const { entries, uses } = await keptFor(member)
      return usageOf(entries, uses, Date.now())
    },
    secrets: () => secrets.list(),
    setSecret: async (name, value) => ({ name, devices: await secrets.set(name, Buffer.from(value, 'base64')) }),
    removeSecret: async (name) => ({ name, devices: await secrets.remove(name) }),
    explainPolicy: async (id, who) => {
      const service = id as ServiceId
      return explainPolicy(await knowing(service), member.policy.current(), service, findNode(who), Date.now())
    },
  }
}

/** What this node keeps of orders and use, as far as it is its operator's affair. */
async function keptFor({ audit, core }: Member) {
  const [entries, uses] = await Promise.all([audit.entries(), audit.uses()])
  const shown = shownServices(core.view, entries, uses)
  return {
    entries: entries.filter(({ record }) => shown.has(record.message.service)),
    uses: uses.filter(({ message }) => shown.has(message.service)),
  }
}

async function statsOf({ core, runtimes }: Member): Promise<readonly StatsView[]> {
  const { node } = core.view.self
  const here = instanceViews(core.view).filter((one) => one.node === node && isRunning(one.state))
  return await Promise.all(
    here.map(async ({ service, number }) => {
      const used = await runtimes.stats(instanceKey(service as ServiceId, number))
      return { service, number, cpuSeconds: used?.cpuSeconds ?? null, memoryMb: used?.memoryMb ?? null }
    }),
  )
}

function readHost(named: string): string {
  const registry = readRegistry(named)
  if (registry !== null) return registry
  throw new CoppiceError(
    'bad-registry',
    `"${named}" is no host of a registry`,
    'As in ghcr.io or registry.example:5000.',
  )
}
