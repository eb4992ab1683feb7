// A leader that reaches no majority gives no order after one lease: whenever somebody announces that it leads or signs
// a placement, a majority of its electors spoke to it within the lease that it may have, by whatever clock drifts most.

import { type ElectionState, majorityOf } from '../../../election/index.ts'
import { type ChildId, chainOf, type DomainPath } from '../../../overlay/kernel/ids.ts'
import type { Millis } from '../../../overlay/kernel/time.ts'
import { BrokenRule, type DeviceView, type SafetyChecker } from './checker.ts'

/** How much longer a lease may last by a slow clock (topology.ts, CLOCK_DRIFT_MAX), with some to spare. */
const DRIFT = 1.01

/** The lease that a leader of that place may have at most. */
const leaseMsMax = ({ timing }: ElectionState): Millis => timing.leaseMs

export function checkSilence(now: () => Millis): SafetyChecker {
  /** Of each process, when it last heard a node, and anybody of a domain. */
  const heard = new Map<DeviceView, Map<ChildId, Millis>>()
  /** When a reign's first word was said: an election begins with a lease, however early its first votes came. */
  const begun = new Map<string, Millis>()

  const checkOrder = (device: DeviceView, domain: DomainPath, what: string): void => {
    const state = device.core?.view.seats().find((seat) => seat.domain === domain)?.state
    if (state === undefined || state.register === null) return
    const times = state.register.electors.map(({ child }) =>
      child === state.self ? now() : (heard.get(device)?.get(child) ?? Number.NEGATIVE_INFINITY),
    )
    times.sort((a, b) => b - a)
    const reign = `${domain} ${state.epoch}.${state.term} ${device.node}`
    const began = begun.get(reign) ?? now()
    begun.set(reign, began)
    const silentMs = now() - Math.max(began, times[majorityOf(times.length) - 1] ?? began)
    if (silentMs <= leaseMsMax(state) * DRIFT) return
    const howLong = `${Math.round(silentMs)} ms after it heard a majority`
    throw new BrokenRule('leader-silent', `${device.node} ${what} ${domain}, ${howLong}`)
  }

  return {
    onHeard: (device, from) => {
      const times = heard.get(device) ?? new Map<ChildId, Millis>()
      heard.set(device, times.set(from.node, now()))
      for (const domain of chainOf(from.facts.facts.domain)) times.set(domain, now())
    },
    onGone: (device) => {
      if (device.core === null) heard.delete(device)
    },
    onSealed: (device, { message }) => {
      if (message.kind === 'election/announcement') checkOrder(device, message.domain, 'announces that it leads')
      if (message.kind === 'record/placement') checkOrder(device, message.domain, 'gives orders in')
    },
  }
}
