// A leader that reaches no majority gives no order after one lease: whenever somebody announces that it leads or signs
// a placement, a majority of its electors has promised in that very term to help nobody else until now, whatever of
// these promises reached it.

import { LEASE_SHARE } from '../../../election/constants.ts'
import { electorIds, type Fence, majorityOf } from '../../../election/index.ts'
import type { ChildId, DomainPath } from '../../../overlay/kernel/ids.ts'
import type { Millis } from '../../../overlay/kernel/time.ts'
import { BrokenRule, type DeviceView, type SafetyChecker } from './checker.ts'

/** How much longer a lease may last by a slow clock (topology.ts, CLOCK_DRIFT_MAX), with some to spare. */
const DRIFT = 1.01

export function checkSilence(now: () => Millis): SafetyChecker {
  /** By domain, term and elector: until when a leader of that term may count on it. */
  const promised = new Map<string, Millis>()
  /** By domain and term: the electors at its last order. */
  const electorsBefore = new Map<string, readonly ChildId[]>()

  const promise = (domain: DomainPath, term: string, elector: string, ms: Millis): void => {
    const key = `${domain} ${term} ${elector}`
    promised.set(key, Math.max(promised.get(key) ?? 0, now() + ms * DRIFT))
  }

  /** The term is that of the order: who handed over lingers under its own fence, and has voted in the next. */
  const checkOrder = (device: DeviceView, domain: DomainPath, fence: Fence, what: string): void => {
    const state = device.core?.view.seats().find((seat) => seat.domain === domain)?.state
    if (state === undefined || state.register === null) return
    const term = `${fence.epoch}.${fence.term}`
    // An election begins with a lease, however early its first votes came.
    const reign = `${domain} ${term}`
    if (!promised.has(reign)) promised.set(reign, now() + state.timing.leaseMs * DRIFT)
    const byMajorityOf = (electors: readonly ChildId[]): Millis => {
      const untils = electors.map((child) =>
        child === state.self ? Number.POSITIVE_INFINITY : (promised.get(`${reign} ${child}`) ?? 0),
      )
      return untils.sort((a, b) => b - a)[majorityOf(untils.length) - 1] ?? 0
    }
    const electors = electorIds(state.register)
    const before = electorsBefore.get(reign) ?? electors
    electorsBefore.set(reign, electors)
    // A lease that began among the electors of before outlives their change.
    if (before.join() !== electors.join())
      promised.set(reign, Math.min(byMajorityOf(before), now() + state.timing.leaseMs * DRIFT))
    const until = Math.max(byMajorityOf(electors), promised.get(reign) ?? 0)
    if (now() <= until) return
    const howLong = `${Math.round(now() - until)} ms after the last promise of a majority ended`
    throw new BrokenRule('leader-silent', `${device.node} ${what} ${domain}, ${howLong}`)
  }

  return {
    onSealed: (device, { message }) => {
      if (message.kind === 'election/announcement')
        checkOrder(device, message.domain, message, 'announces that it leads')
      if (message.kind === 'record/placement' || message.kind === 'record/rollout')
        checkOrder(device, message.domain, message.fence, 'gives orders in')
      if (message.kind !== 'election/heartbeat-answer') return
      const { domain, epoch, term, child, promiseMs } = message
      promise(domain, `${epoch}.${term}`, child, promiseMs * LEASE_SHARE)
    },
  }
}
