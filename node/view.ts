// What people see of a node, read from its core. Nothing here decides; a question that needs more than reading belongs
// elsewhere.

import { isElector } from '../election/index.ts'
import { addressOf } from '../overlay/address.ts'
import { chainOf, type DomainPath, type NodeId, ROOT, type ServiceId } from '../overlay/kernel/ids.ts'
import { type NotDirect, STILL_TRYING } from '../overlay/not-direct.ts'
import { decodeSpec, isServing, type ServiceSpec } from '../placement/index.ts'
import {
  compareClocks,
  compareFences,
  type InstanceRecord,
  isInstance,
  isPlacedHere,
  isSpec,
  type SealedRecord,
  type SpecRecord,
  type StoreView,
  versionOf,
} from '../services-registry/index.ts'
import type { DomainView, InspectView, InstanceView, NodeView, PeerView, ServiceView } from './control.ts'
import type { CoreView } from './core/core-view.ts'
import type { SeatView } from './core/seats.ts'
import { type Claim, supersedes } from './endpoints.ts'

/** What the network adds to what the core knows of a peer. */
export interface PathView {
  readonly path: 'direct' | 'relay'
  readonly via: string | null
  /** Why an attempt at a direct path failed; null where none did. */
  readonly reason: NotDirect | null
}

export function domainViews(core: CoreView, now: number, freshMs: number): readonly DomainView[] {
  return chainOf(core.self.domain).map((path) => {
    const known = core.leaders().leaderOf(path)
    const seat = core.seats().find((one) => one.domain === path) ?? null
    const announcement = known?.announcement ?? null
    return {
      path,
      role: roleOf(seat),
      leader: announcement?.leader ?? null,
      leaderNode: announcement?.node ?? null,
      leaderName: announcement === undefined || announcement === null ? null : nameOf(core, announcement.node),
      epoch: announcement?.epoch ?? 0,
      term: announcement?.term ?? 0,
      electors: announcement?.electors ?? [],
      line: announcement?.line ?? null,
      lineBegan: announcement === null ? null : (announcement.predecessor?.cause ?? 'founded'),
      linesMet: meetingOf(seat),
      quorum: hasQuorum(seat, known === null ? null : now - known.heardAt, freshMs),
    }
  })
}

function meetingOf(seat: SeatView | null): DomainView['linesMet'] {
  const meeting = seat?.state.meeting ?? null
  return meeting === null ? null : { ...meeting, at: new Date(meeting.at).toISOString() }
}

function roleOf(seat: SeatView | null): DomainView['role'] {
  if (seat === null) return 'observer'
  switch (seat.state.role.kind) {
    case 'leader':
      return 'leader'
    case 'candidate':
    case 'pre-candidate':
      return 'candidate'
    case 'follower':
      return isElector(seat.state) ? 'follower' : 'learner'
  }
}

/** An elector knows it from heartbeats; everybody else from announcements. */
function hasQuorum(seat: SeatView | null, silentMs: number | null, freshMs: number): boolean {
  if (seat !== null && isElector(seat.state)) {
    return seat.state.role.kind === 'leader' ? seat.fence !== null : seat.state.leader !== null
  }
  return silentMs !== null && silentMs < freshMs
}

/** What this node waits for before it can take work; empty when it can. */
export function waitingFor(core: CoreView): readonly string[] {
  const { domain, node } = core.self
  const isHeard = (path: DomainPath): boolean =>
    (core.leaders().leaderOf(path)?.heardAt ?? Number.NEGATIVE_INFINITY) > Number.NEGATIVE_INFINITY
  const waits = chainOf(domain)
    .filter((path) => !isHeard(path))
    .map((path) => (path === ROOT ? 'a leader of the root' : `a leader of ${path}`))
  return core.summaryOf(node) === null ? [...waits, 'the first reading of this device'] : waits
}

export function nodeViews(core: CoreView): readonly NodeView[] {
  return [...core.roster().values()].map(({ node, facts, state, incarnation }) => ({
    node,
    name: nameOf(core, node) ?? '',
    domain: facts.domain,
    state,
    incarnation,
    summary: core.summaryOf(node),
  }))
}

export function peerViews(
  core: CoreView,
  paths: ReadonlyMap<NodeId, PathView>,
  names: ReadonlyMap<NodeId, string>,
): readonly PeerView[] {
  const members = [...core.roster().keys()].filter((node) => node !== core.self.node)
  const all = new Set<NodeId>([...members, ...paths.keys()])
  return [...all].map((node) => {
    const entry = core.roster().get(node)
    const path = paths.get(node) ?? null
    const whyNot = reasonOf(path)
    return {
      node,
      name: nameOf(core, node) ?? names.get(node) ?? '',
      domain: entry?.facts.domain ?? core.domainOf(node) ?? '',
      // Those of other clusters are in no roster here; one that is connected is alive.
      state: entry?.state ?? (core.isConnected(node) ? 'alive' : 'unknown'),
      path: path?.path ?? null,
      via: path?.via ?? null,
      rttMs: core.roundTripMs(node),
      reason: whyNot?.sentence ?? null,
      reasonCode: whyNot?.code ?? null,
    }
  })
}

function reasonOf(path: PathView | null): { readonly code: string; readonly sentence: string } | null {
  if (path === null) return { code: 'not-connected', sentence: 'not connected' }
  return path.path === 'direct' ? null : (path.reason ?? STILL_TRYING)
}

/** All instances that this node may know of: one row per number, and one for each further copy that lives. */
export function instanceViews(core: CoreView): readonly InstanceView[] {
  const services = new Set<ServiceId>()
  for (const store of core.stores()) for (const { message } of store.specs()) services.add(message.service)
  for (const store of core.stores()) for (const { message } of store.allInstances()) services.add(message.service)
  return [...services].sort().flatMap((service) => instancesOf(core, service))
}

export function instancesOf(core: CoreView, service: ServiceId): readonly InstanceView[] {
  const wanted = wantedNumbers(core, service)
  const views = new Map<string, InstanceView>()
  const latest = latestInstances(core, service)
  for (const record of latest) {
    const { number, live, state, done = false } = record.message
    if (latest.some((other) => hides(core, other, record))) continue
    const isWanted = wanted.has(number)
    if (!live && (!isWanted || (state === 'stopped' && !done))) continue
    if (isGone(core, record) && !done && !isPlacedSomewhere(core, record)) continue
    views.set(`${number} ${record.from}`, instanceView(core, record))
  }
  for (const number of wanted) {
    const isShown = [...views.values()].some((view) => view.number === number)
    if (!isShown) views.set(`${number}`, pendingView(core, service, number))
  }
  return [...views.values()].sort((a, b) => a.number - b.number || (a.node ?? '').localeCompare(b.node ?? ''))
}

/** Whether a copy is the one that people are shown: one that is wanted where it runs, then the later one. */
function hides(core: CoreView, other: SealedRecord<InstanceRecord>, record: SealedRecord<InstanceRecord>): boolean {
  if (other === record || other.message.number !== record.message.number) return false
  const { state, done = false } = other.message
  if (!done && (state !== 'running' || isGone(core, other))) return false
  const [isWanted, isOtherWanted] = [isPlacedSomewhere(core, record), isPlacedSomewhere(core, other)]
  return isWanted === isOtherWanted ? supersedes(claimOf(other), claimOf(record)) : isOtherWanted
}

/** How many there shall be; of a daemon those that a leader has given out, and those that wait for a place. */
function wantedNumbers(core: CoreView, service: ServiceId): ReadonlySet<number> {
  const spec = readSpec(specOf(core, service))
  if (spec === null) return new Set()
  if (spec.kind !== 'daemon') return new Set(Array(spec.replicas).keys())
  const placed = core.stores().flatMap((store) => store.placements(service))
  const given = placed.filter(({ message }) => message.child !== null && message.each !== true)
  const waiting = core.pending().filter((one) => one.service === service)
  return new Set([...given.map(({ message }) => message.number), ...waiting.map(({ number }) => number)])
}

/** Of each instance and node the newest word in any store, without copies that a later order elsewhere replaced. */
function latestInstances(core: CoreView, service: ServiceId): readonly SealedRecord<InstanceRecord>[] {
  const latest = new Map<string, SealedRecord<InstanceRecord>>()
  for (const store of core.stores()) {
    for (const record of store.instances(service)) {
      const key = `${record.message.number} ${record.from}`
      const known = latest.get(key)
      if (known === undefined || isLater(record.message, known.message)) latest.set(key, record)
    }
  }
  return [...latest.values()].filter(isInstance)
}

const claimOf = ({ message, from }: SealedRecord<InstanceRecord>): Claim => ({ ...message, node: from })

const isLater = (a: InstanceRecord, b: InstanceRecord): boolean =>
  (a.incarnation - b.incarnation || a.sequence - b.sequence) > 0

const isGone = (core: CoreView, record: SealedRecord<InstanceRecord>): boolean => {
  const state = core.roster().get(record.from)?.state
  return state === 'dead' || state === 'left'
}

/** Whether the domain nearest to the instance still wants it where it is. */
function isPlacedSomewhere(core: CoreView, record: SealedRecord<InstanceRecord>): boolean {
  const { service, number } = record.message
  const placements = core.stores().flatMap((store) => store.placement(service, number) ?? [])
  const nearest = placements.find((placement) => placement.message.domain === record.message.domain) ?? placements[0]
  return nearest !== undefined && isPlacedHere(nearest, record)
}

function instanceView(core: CoreView, record: SealedRecord<InstanceRecord>): InstanceView {
  const { service, number, domain, endpoint, since, restarts, reason, done = false } = record.message
  const state = done ? 'done' : record.message.state
  const gone = isGone(core, record) && !done
  const port = endpoint?.ports[0]
  return {
    service,
    number,
    state: gone && state !== 'failed' ? 'lost' : state,
    node: record.from,
    name: nameOf(core, record.from) ?? record.message.nodeName ?? null,
    domain,
    endpoint: endpoint === null || port === undefined ? null : `${endpoint.host}:${port.actual}`,
    since: new Date(since).toISOString(),
    restarts,
    reason: gone ? 'its device is gone' : placedReason(core, record) || reason,
  }
}

/** Why it runs where it runs, as the leader that placed it put it; a running instance has nothing else to say. */
function placedReason(core: CoreView, record: SealedRecord<InstanceRecord>): string {
  const { service, number, state } = record.message
  if (state !== 'running') return ''
  const placements = core.stores().flatMap((store) => store.placement(service, number) ?? [])
  const reasons = placements.filter((placement) => isPlacedHere(placement, record)).map(({ message }) => message.reason)
  return [...new Set(reasons)].reverse().join('; ')
}

function pendingView(core: CoreView, service: ServiceId, number: number): InstanceView {
  const pending = core.pending().find((one) => one.service === service && one.number === number)
  const ended = endOf(core, service, number)
  return {
    service,
    number,
    state: ended?.outcome ?? 'pending',
    node: null,
    name: null,
    domain: null,
    endpoint: null,
    since: null,
    restarts: 0,
    reason: pending?.reason ?? ended?.reason ?? 'the leader of its domain is looking for a place',
  }
}

/** How an instance of a job ended, as a leader wrote it down. */
const endOf = (core: CoreView, service: ServiceId, number: number) =>
  core
    .stores()
    .flatMap((store) => store.placement(service, number)?.message ?? [])
    .find(({ outcome }) => outcome !== undefined) ?? null

/** The name of a node where this one knows it: its own cluster's, and those who lead or were met. */
export function nameOf(core: CoreView, node: NodeId): string | null {
  if (node === core.self.node) return core.name
  const inRoster = core.roster().get(node)?.name
  if (inRoster) return inRoster
  const inSummary = core.summaryOf(node)?.name
  if (inSummary !== undefined) return inSummary
  for (const domain of core.leaders().domains()) {
    const announcement = core.leaders().leaderOf(domain)?.announcement
    if (announcement?.node === node && announcement.name !== '') return announcement.name
  }
  return core.statedName(node) || null
}

export function specOf(core: CoreView, service: ServiceId): SealedRecord<SpecRecord> | null {
  const held = core.stores().flatMap((store) => store.spec(service) ?? [])
  const waiting = core
    .unaccepted()
    .filter(
      (record): record is SealedRecord<SpecRecord> =>
        record.message.kind === 'record/spec' && record.message.service === service,
    )
  return [...waiting, ...held].find((record) => record.message.spec !== null) ?? null
}

export function readSpec(record: SealedRecord<SpecRecord> | null): ServiceSpec | null {
  if (record === null || record.message.spec === null) return null
  const decoded = decodeSpec(record.message.spec)
  return decoded.ok ? decoded.value : null
}

/** The spec among what is known of one service. */
export const specIn = (records: readonly SealedRecord[]): ServiceSpec | null => readSpec(records.find(isSpec) ?? null)

export function serviceView(core: CoreView, service: ServiceId): ServiceView | null {
  const record = specOf(core, service)
  const spec = readSpec(record)
  if (record === null || spec === null) return null
  return {
    id: service,
    address: addressOf(service, spec.ports[0]?.declared ?? null),
    domain: record.message.domain,
    accepted: !core.unaccepted().includes(record),
    instances: instancesOf(core, service),
  }
}

export function inspectView(core: CoreView, service: ServiceId): InspectView | null {
  const view = serviceView(core, service)
  const spec = readSpec(specOf(core, service))
  if (view === null || spec === null) return null
  const placements = core
    .stores()
    .flatMap((store: StoreView) => store.placements(service))
    .map(({ message, from }) => ({ ...message, leader: from, specClock: message.specClock.wall }))
    .sort((a, b) => a.number - b.number || compareFences(a.fence, b.fence))
  const record = specOf(core, service)?.message ?? null
  const previous = record?.previous?.clock.wall ?? null
  return {
    ...view,
    rollout: record === null ? null : rolloutView(core, record),
    versions: {
      current: record === null ? NO_VERSION : versionText(record),
      previous: previous === null ? null : new Date(previous).toISOString(),
    },
    wanted: wantedNumbers(core, service).size,
    ready: record === null ? 0 : readyNumbers(core, record, spec).size,
    spec: spec as unknown as Readonly<Record<string, unknown>>,
    placements,
  }
}

/** Versions in the order of their texts. */
export const versionText = (spec: SpecRecord): string => new Date(versionOf(spec).wall).toISOString()
const NO_VERSION = new Date(0).toISOString()

/** What the leader says of the newest version. */
function rolloutView(core: CoreView, spec: SpecRecord): InspectView['rollout'] {
  const found = core.stores().flatMap((store) => store.rollout(spec.service)?.message ?? [])
  const about = found.find(({ version }) => compareClocks(version, versionOf(spec)) === 0)
  return about === undefined || about.state === 'gone' ? null : { state: about.state, reason: about.reason }
}

/** The numbers that run the newest version, with their health check passed, or are done with it. */
function readyNumbers(core: CoreView, record: SpecRecord, spec: ServiceSpec): ReadonlySet<number> {
  const wanted = wantedNumbers(core, record.service)
  const isNew = ({ message }: SealedRecord<InstanceRecord>): boolean =>
    compareClocks(message.specClock, versionOf(record)) >= 0
  const isReady = (one: SealedRecord<InstanceRecord>): boolean =>
    spec.kind === 'job' ? one.message.done === true : isNew(one) && isServing(one.message, spec)
  const ready = latestInstances(core, record.service).filter((one) => !isGone(core, one) || spec.kind === 'job')
  const numbers = ready.filter(isReady).map(({ message }) => message.number)
  const ended = [...wanted].filter((number) => endOf(core, record.service, number)?.outcome === 'done')
  return new Set([...numbers, ...ended].filter((number) => wanted.has(number)))
}

/** The services whose records are here. */
export function* knownServices(core: CoreView): Iterable<ServiceId> {
  for (const store of core.stores()) {
    for (const { message } of store.specs()) if (message.spec !== null) yield message.service
  }
}

/** Everything that is held of a service, in whatever domain. */
export const recordsOf = (core: CoreView, service: ServiceId): readonly SealedRecord[] =>
  core.stores().flatMap((store) => [...store.placements(service), ...store.instances(service)])
