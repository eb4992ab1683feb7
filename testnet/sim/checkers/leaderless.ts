// How long domains were without a leader. It breaks no rule; it measures. A period begins when the last node that led a
// domain ends, stands still or leads it no longer, and is over when somebody leads whom every node of the domain that
// is awake and connected to it knows. What nobody could have helped is in it too: a site that is off has no leader. A
// leader that is cut off counts for as long as its lease lasts, so what its electors need beyond that is what is seen.

import { chainOf, type DomainPath } from '../../../overlay/kernel/ids.ts'
import type { Millis } from '../../../overlay/kernel/time.ts'
import type { DeviceView, SafetyChecker } from './checker.ts'

export interface Leaderless extends SafetyChecker {
  /** How long each period lasted that is over. */
  periods(): readonly Millis[]
}

export function watchLeaderless(
  devices: () => readonly DeviceView[],
  isConnected: (a: DeviceView, b: DeviceView) => boolean,
): Leaderless {
  const leaders = new Map<DomainPath, Set<DeviceView>>()
  const since = new Map<DomainPath, Millis>()
  const periods: Millis[] = []

  const noteEnd = (device: DeviceView, domain: DomainPath, now: Millis): void => {
    const leading = leaders.get(domain)
    if (leading?.delete(device) && leading.size === 0 && !since.has(domain)) since.set(domain, now)
  }

  const isKnown = (domain: DomainPath, leader: DeviceView): boolean => {
    const fence = leader.core?.view.seats().find((seat) => seat.domain === domain)?.fence ?? null
    return devices().every((device) => {
      const isConcerned = device.isAwake && chainOf(device.facts.facts.domain).includes(domain)
      if (!isConcerned || (device !== leader && !isConnected(device, leader))) return true
      const known = device.core?.view.leaders().leaderOf(domain)?.announcement
      return fence !== null && known?.epoch === fence.epoch && known.term === fence.term
    })
  }

  return {
    periods: () => periods,
    onGone: (device, now) => {
      for (const domain of chainOf(device.facts.facts.domain)) noteEnd(device, domain, now)
    },
    onSeats: (device, now) => {
      const seats = device.core?.view.seats() ?? []
      for (const domain of chainOf(device.facts.facts.domain)) {
        const isLeading = device.isAwake && seats.some((seat) => seat.domain === domain && seat.fence !== null)
        if (!isLeading) noteEnd(device, domain, now)
        else leaders.set(domain, (leaders.get(domain) ?? new Set()).add(device))
      }
    },
    onSettled: (device, now) => {
      if (since.size === 0) return
      for (const domain of chainOf(device.facts.facts.domain)) {
        const began = since.get(domain)
        if (began === undefined) continue
        if (![...(leaders.get(domain) ?? [])].some((leader) => isKnown(domain, leader))) continue
        since.delete(domain)
        periods.push(now - began)
      }
    },
  }
}
