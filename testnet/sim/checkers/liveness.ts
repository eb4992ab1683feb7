// What must be true of a federation that was left in peace for long enough. Each check returns what is still missing,
// in words, or null; the run ends as soon as nothing is.

import { ELECTION_TIMINGS } from '../../../election/index.ts'
import type { Preset } from '../../../node/options.ts'
import { chainOf, type DomainPath, type ServiceId } from '../../../overlay/kernel/ids.ts'
import type { Millis } from '../../../overlay/kernel/time.ts'
import { isTombstone } from '../../../services-registry/version.ts'
import type { StoreView } from '../../../services-registry/view.ts'
import { hashBytes } from '../hash.ts'
import type { DeviceView } from './checker.ts'
import { type KeptOut, type Live, placementProblem } from './placements.ts'

/**
 * By when a healed federation must have settled, in the longest election timeouts of its place (2.5 s
 * each on a local network). The slowest honest
 * path: a lost elector leaves the rest without a quorum, who wait 60 s (24 timeouts) to be sure; peers that gave up on
 * each other dial again within 22 s (9); anti-entropy comes round within 38 s (15); and what could not run somewhere is
 * kept from there for 60 s (24).
 */
export const SETTLED_TIMEOUTS = 80

export const settledMsMax = (preset: Preset): Millis => SETTLED_TIMEOUTS * ELECTION_TIMINGS[preset].electionTimeoutMsMax

/** What is still missing, or null. */
export function unsettled(devices: readonly DeviceView[], isKeptOut: KeptOut = () => false): string | null {
  const live = devices.filter((device): device is Live => device.core !== null)
  const clusters = grouped(devices, (device) => [device.facts.facts.domain])
  const members = grouped(live, (device) => chainOf(device.facts.facts.domain))
  return (
    first(live, (device) => rosterProblem(device, clusters.get(device.facts.facts.domain) ?? [])) ??
    first(members, ([domain, below]) => leaderProblem(domain, below)) ??
    first(live, outboxProblem) ??
    first(members, ([domain, below]) => storeProblem(domain, below)) ??
    placementProblem(live, isKeptOut) ??
    first(live, pressureProblem)
  )
}

/** Those of each domain, in the order in which they were given: of thousands of devices each has to do with a few. */
function grouped<D>(devices: readonly D[], domainsOf: (device: D) => readonly DomainPath[]): Map<DomainPath, D[]> {
  const groups = new Map<DomainPath, D[]>()
  for (const device of devices) {
    for (const domain of domainsOf(device)) {
      const group = groups.get(domain)
      if (group === undefined) groups.set(domain, [device])
      else group.push(device)
    }
  }
  return groups
}

function first<T>(items: Iterable<T>, problemOf: (item: T) => string | null): string | null {
  for (const item of items) {
    const problem = problemOf(item)
    if (problem !== null) return problem
  }
  return null
}

/** Its roster has each living member of its cluster as alive, and nobody else. */
function rosterProblem({ node, core }: Live, kin: readonly DeviceView[]): string | null {
  const roster = core.view.roster()
  for (const other of kin) {
    const state = roster.get(other.node)?.state ?? 'unknown'
    const isHere = other.core !== null
    if (isHere && state !== 'alive') return `${node} has ${other.node} as ${state}`
    if (isHere && roster.get(other.node)?.incarnation !== ownIncarnation(other))
      return `${node} has an old ${other.node}`
    if (!isHere && (state === 'alive' || state === 'suspect')) return `${node} has the lost ${other.node} as ${state}`
  }
  return null
}

const ownIncarnation = ({ node, core }: DeviceView): number | undefined => core?.view.roster().get(node)?.incarnation

/** One leader that leads, and that all below it know. */
function leaderProblem(domain: DomainPath, members: readonly Live[]): string | null {
  const leading = members.flatMap(({ node, core }) => {
    const seat = core.view.seats().find((one) => one.domain === domain && one.fence !== null)
    return seat?.fence ? [{ node, fence: seat.fence }] : []
  })
  const [leader] = leading
  if (leader === undefined) return `nobody leads ${domain}`
  if (leading.length > 1) return `${leading.map(({ node }) => node).join(' and ')} lead ${domain}`
  for (const { node, core } of members) {
    const known = core.view.leaders().leaderOf(domain)?.announcement ?? null
    const isSame = known?.node === leader.node && known.epoch === leader.fence.epoch && known.term === leader.fence.term
    if (!isSame) return `${node} takes ${known?.node ?? 'nobody'} for the leader of ${domain}, not ${leader.node}`
  }
  return null
}

/** What a shortness changed is as it was before. */
function pressureProblem({ node, core, instances }: Live): string | null {
  const level = core.view.summaryOf(node)?.pressure ?? 0
  if (level > 0) return `${node} is at level ${level} of pressure still`
  const limited = [...instances.values()].find(({ limits }) => limits !== null)
  return limited === undefined ? null : `${limited.key} on ${node} has less than it declared still`
}

/** Nothing waits to be taken in. */
function outboxProblem({ node, core }: Live): string | null {
  const waiting = core.view.unaccepted()[0]?.message.service
  return waiting === undefined ? null : `${node} still waits to hand on ${waiting}`
}

/** All who hold a domain's records hold the same. */
function storeProblem(domain: DomainPath, live: readonly Live[]): string | null {
  const held = live.flatMap(({ node, core }) => {
    const store = core.view.stores().find((one) => one.domain === domain)
    return store === undefined ? [] : [{ node, store }]
  })
  // A job that is done leaves placements, of which a device that came later holds neither spec nor instance.
  const services = new Set(held.flatMap(({ store }) => [...servicesOf(store)]))
  const prints = held.map(({ node, store }) => ({ node, print: fingerprintOf(store, services) }))
  if (prints.length === 0) return `nobody holds the records of ${domain}`
  for (const { node, print } of prints) {
    const difference = differenceOf(print, prints[0]?.print ?? new Map())
    if (difference !== null) return `${node} and ${prints[0]?.node} differ in ${domain}: ${difference}`
  }
  return null
}

function* servicesOf(store: StoreView): Iterable<ServiceId> {
  for (const { message } of store.specs()) yield message.service
  for (const { message } of store.allInstances()) yield message.service
}

/**
 * What stands; a deletion is told only to who holds what it deletes (services-registry/README.md), so some never hear
 * of it.
 */
function fingerprintOf(store: StoreView, services: ReadonlySet<ServiceId>): ReadonlyMap<string, number> {
  const print = new Map<string, number>()
  for (const spec of store.specs()) {
    if (isTombstone(spec)) continue
    print.set(`spec ${spec.message.service}`, hashBytes(spec.bytes, 0).low)
  }
  for (const instance of store.allInstances()) {
    const { service, number } = instance.message
    if (isTombstone(instance)) continue
    print.set(`instance ${service}#${number} on ${instance.from}`, hashBytes(instance.bytes, 0).low)
  }
  for (const service of services) {
    const rollout = store.rollout(service)
    if (rollout !== null && !isTombstone(rollout)) print.set(`rollout ${service}`, hashBytes(rollout.bytes, 0).low)
    for (const placement of store.placements(service)) {
      if (isTombstone(placement)) continue
      print.set(`placement ${service}#${placement.message.number}`, hashBytes(placement.bytes, 0).low)
    }
  }
  return print
}

function differenceOf(a: ReadonlyMap<string, number>, b: ReadonlyMap<string, number>): string | null {
  for (const key of new Set([...a.keys(), ...b.keys()])) if (a.get(key) !== b.get(key)) return key
  return null
}
