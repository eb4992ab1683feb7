// At most one leader for each epoch and term of a domain, and no order by anybody else: seen in what nodes hold of
// themselves, in what they announce and in the placements that they sign.

import type { NodeId } from '../../../overlay/kernel/ids.ts'
import { BrokenRule, type DeviceView, type SafetyChecker } from './checker.ts'

const RULE = 'one-leader'

export interface Leaders extends SafetyChecker {
  /** How often somebody began to lead a domain. */
  readonly elections: () => number
}

export function checkLeaders(): Leaders {
  const leaders = new Map<string, NodeId>()

  const claim = (
    device: DeviceView,
    domain: string,
    { epoch, term }: { epoch: number; term: number },
    how: string,
  ): void => {
    const key = `${domain} ${epoch}.${term}`
    const known = leaders.get(key)
    if (known === undefined) leaders.set(key, device.node)
    else if (known !== device.node) {
      throw new BrokenRule(RULE, `${device.node} ${how} ${domain} in ${epoch}.${term}, which ${known} leads`)
    }
  }

  return {
    elections: () => leaders.size,
    onSealed: (device, { message }) => {
      if (message.kind === 'election/announcement') claim(device, message.domain, message, 'announces that it leads')
      if (message.kind === 'record/placement' || message.kind === 'record/rollout')
        claim(device, message.domain, message.fence, 'gives orders in')
    },
    onSeats: (device) => {
      for (const { domain, fence } of device.core?.view.seats() ?? []) {
        if (fence !== null) claim(device, domain, fence, 'leads')
      }
    },
  }
}
