// What other members may ask of this node's runtimes, besides calls of an instance's ports: logs, programs inside
// instances, images, and what opens the registries of images.

import type { TunnelHandler } from '../overlay/io/network.ts'
import { instanceKey, type OperatorId, type ServiceId } from '../overlay/kernel/ids.ts'
import { err, ok } from '../overlay/kernel/result.ts'
import type { SignerFacts } from '../overlay/wire/envelope.ts'
import { mayDeploy } from '../services-registry/authority.ts'
import type { Runtimes } from './io/runtimes.ts'
import type { AnswerLogin } from './registry-logins.ts'

export interface InsideOptions {
  /** Whose device this is. */
  readonly operator: OperatorId
  readonly runtimes: Pick<Runtimes, 'logs' | 'exec' | 'image'>
  readonly login: AnswerLogin
  /** Whose service it is; null where this node does not know. */
  readonly ownerOf: (service: ServiceId) => OperatorId | null
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
    const { service, number } = header
    if (header.kind === 'exec') {
      const refusal = mayRunIn(facts, service, options)
      if (refusal !== null) return err({ code: 'not-allowed', detail: refusal })
    }
    const stream =
      header.kind === 'exec' ? runtimes.exec(service, number) : runtimes.logs(service, number, { ...header, signal })
    const detail = `${instanceKey(service, number)} is not on this node`
    return stream === null ? err({ code: 'no-such-instance', detail }) : ok(stream)
  }
}

/**
 * Who may submit the service may run programs in it, when it is theirs or runs on their device; null when they may,
 * else why not.
 */
function mayRunIn(facts: SignerFacts, service: ServiceId, { operator, ownerOf }: InsideOptions): string | null {
  if (!mayDeploy(facts, service)) return `the caller's credential lacks deploy:<namespace> for ${service}`
  if (facts.operator === operator || facts.operator === ownerOf(service)) return null
  return `${service} is another operator's, and so is the device that it runs on`
}
