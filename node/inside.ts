// What other members may ask of this node's runtimes, besides calls of an instance's ports: logs, programs inside
// instances, images, and what opens the registries of images.

import type { TunnelHandler } from '../overlay/io/network.ts'
import { instanceKey, type OperatorId, type ServiceId } from '../overlay/kernel/ids.ts'
import { err, ok } from '../overlay/kernel/result.ts'
import type { Deed } from '../placement/index.ts'
import { mayDeploy } from '../services-registry/authority.ts'
import type { Crossing } from './federate/serve.ts'
import type { Runtimes } from './io/runtimes.ts'
import type { AnswerLogin } from './registry-logins.ts'
import type { Secrets } from './secrets.ts'

export interface InsideOptions {
  /** Whose device this is. */
  readonly operator: OperatorId
  readonly runtimes: Pick<Runtimes, 'logs' | 'exec' | 'image'>
  readonly login: AnswerLogin
  readonly secret: Secrets['serve']
  /** For the operator that takes its devices into another federation. */
  readonly federate: Crossing['serve']
  /** Whose service it is; null where this node does not know. */
  readonly ownerOf: (service: ServiceId) => OperatorId | null
  /** What this device's operator lets people of others do with its own services. */
  readonly mayDo: (deed: Deed, operator: OperatorId, service: ServiceId) => boolean
}

/**
 * Whether somebody's people may have to do with a service on this device: those of its operator, those of the device's,
 * and those whom the operator's policy lets, where both are the same.
 */
export function isAllowed(
  { operator, ownerOf, mayDo }: Pick<InsideOptions, 'operator' | 'ownerOf' | 'mayDo'>,
  deed: Deed,
  caller: OperatorId,
  service: ServiceId,
): boolean {
  const owner = ownerOf(service)
  if (caller === operator || caller === owner) return true
  return owner === operator && mayDo(deed, caller, service)
}

export function createInside(options: InsideOptions): TunnelHandler {
  return async (_from, facts, header, signal) => {
    const { runtimes } = options
    if (header.kind === 'instance') return err({ code: 'malformed', detail: 'a port is not asked for here' })
    if (header.kind === 'image') {
      // An image may hold secrets of its owner, and whoever takes one runs it: both stay among one operator's devices.
      if (facts.operator !== options.operator) {
        return err({ code: 'not-allowed', detail: 'images are handed to devices of the same operator only' })
      }
      const image = await runtimes.image(header.image, header.have ?? new Uint8Array())
      const detail = `there is no image ${header.image} on this node`
      return image === null ? err({ code: 'no-such-instance', detail }) : ok(image)
    }
    if (header.kind === 'registry') return options.login(facts, header)
    if (header.kind === 'federate') return options.federate(facts, header)
    if (header.kind === 'secret' || header.kind === 'keep-secret') return options.secret(facts, header)
    const { service, number } = header
    // To those who may not ask it is not here: the answer does not tell what runs on the device.
    const detail = `${instanceKey(service, number)} is not on this node`
    if (!isAllowed(options, header.kind, facts.operator, service)) return err({ code: 'no-such-instance', detail })
    if (header.kind === 'exec' && !mayDeploy(facts, service)) {
      const lack = `the caller's credential lacks deploy:<namespace> for ${service}`
      return err({ code: 'not-allowed', detail: lack })
    }
    const stream =
      header.kind === 'exec' ? runtimes.exec(service, number) : runtimes.logs(service, number, { ...header, signal })
    return stream === null ? err({ code: 'no-such-instance', detail }) : ok(stream)
  }
}
