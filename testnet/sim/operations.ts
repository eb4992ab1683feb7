// What operators do meanwhile, in every other world: they have instances moved, and close devices and open them again,
// or do not.

import { type DomainPath, instanceKey, type NodeId, splitInstanceKey } from '../../overlay/kernel/ids.ts'
import { pick, type Random, randomInt } from '../../overlay/kernel/random.ts'
import type { Millis } from '../../overlay/kernel/time.ts'
import { serviceIdOf } from '../../placement/spec.ts'
import type { Device } from './device.ts'
import { between, chance } from './streams.ts'
import type { DeviceFacts } from './topology.ts'
import type { PlannedRequest } from './workload.ts'

export type Operation =
  /** `to` is a node, or null for any. */
  | {
      readonly kind: 'migrate'
      readonly domain: DomainPath
      readonly instance: ReturnType<typeof instanceKey>
      readonly to: NodeId | null
    }
  | { readonly kind: 'set-intake'; readonly device: number; readonly set: 'open' | 'cordoned' | 'draining' }

export interface PlannedOperation {
  readonly at: Millis
  readonly operation: Operation
}

const WORLDS = 0.5
const MOVES_PER_SERVICE_MAX = 3
/** Two of a small cluster leave one to take what they have, or none at all. */
const CLOSED_MAX = 2
const REOPENED = 0.6

export function planOperations(
  random: Random,
  requests: readonly PlannedRequest[],
  devices: readonly Pick<DeviceFacts, 'node'>[],
  untilMs: Millis,
): readonly PlannedOperation[] {
  if (!chance(random, WORLDS)) return []
  const services = new Map(requests.map((one) => [serviceIdOf(one.spec), one]))
  const plan: PlannedOperation[] = []
  for (const [service, { domain, spec }] of services) {
    for (let move = randomInt(random, 0, MOVES_PER_SERVICE_MAX + 1); move > 0; move--) {
      const instance = instanceKey(service, randomInt(random, 0, spec.replicas))
      const to = chance(random, 0.4) ? (pick(random, devices)?.node ?? null) : null
      plan.push({ at: between(random, 0, untilMs), operation: { kind: 'migrate', domain, instance, to } })
    }
  }
  for (let closed = randomInt(random, 0, CLOSED_MAX + 1); closed > 0; closed--) {
    const device = randomInt(random, 0, devices.length)
    const at = between(random, 0, untilMs)
    const set = chance(random, 0.7) ? 'draining' : 'cordoned'
    plan.push({ at, operation: { kind: 'set-intake', device, set } })
    const again = { kind: 'set-intake', device, set: 'open' } as const
    if (chance(random, REOPENED)) plan.push({ at: between(random, at, untilMs), operation: again })
  }
  return plan.sort((a, b) => a.at - b.at)
}

/** Asks at a device that is up; a device is closed and opened by itself or a neighbour. */
export function operate(random: Random, devices: readonly Device[], operation: Operation, requestId: string): void {
  const up = devices.filter((device) => device.isUp)
  if (operation.kind === 'migrate') {
    const { domain, instance, to } = operation
    pick(random, up)?.input({
      kind: 'ask',
      question: { domain, ...splitInstanceKey(instance), to, requestId },
    })
    return
  }
  const target = devices[operation.device]
  const near = up.filter(({ facts }) => facts.facts.domain === target?.facts.facts.domain)
  if (target === undefined) return
  pick(random, near)?.input({ kind: 'ask', question: { node: target.node, set: operation.set, requestId } })
}
