// What a running member answers to people and programs: NodeControl, on top of the member's parts.

import { ELECTION_TIMINGS } from '../election/index.ts'
import { addressOf, parseAddress } from '../overlay/address.ts'
import { openForward } from '../overlay/io/forward.ts'
import { type DomainPath, type NodeId, nodeId, parseDomainPath, ROOT, type ServiceId } from '../overlay/kernel/ids.ts'
import { decodeSpec, parseDescriptor, type ServiceSpec, serviceIdOf } from '../placement/index.ts'
import { isSpec, type SealedRecord, type SpecRecord } from '../services-registry/index.ts'
import type {
  DeployView,
  EventView,
  ForwardRequest,
  NodeControl,
  PingView,
  ResolveView,
  ServiceView,
  StatusView,
} from './control.ts'
import type { CoreView } from './core/core-view.ts'
import { CoppiceError } from './errors.ts'
import { withFound } from './found.ts'
import { openExec } from './instance-streams.ts'
import { metricsOf } from './io/metrics.ts'
import { logsOf } from './logs.ts'
import { lostVersionWarning } from './lost-version.ts'
import { membershipAnswers } from './membership-answers.ts'
import { migrate, reach, setIntake } from './moving.ts'
import type { Member } from './node.ts'
import { ownerControl } from './owner-answers.ts'
import { recoverDomain, signRecovery } from './recover.ts'
import { shownOf } from './shown.ts'
import {
  domainViews,
  inspectView,
  instancesOf,
  instanceViews,
  nameOf,
  nodeViews,
  peerViews,
  readSpec,
  serviceView,
  specOf,
  versionText,
  waitingFor,
} from './view.ts'

/**
 * How long a submission may wait for its first answer: a local store at once, a pushed one after a round trip or two.
 */
const ACCEPT_MS_MAX = 2_000
/** How many announcements may be missed before a leader no longer counts as heard. */
const FRESH_ANNOUNCEMENTS = 3
/** What the codes of the registry's refusals mean, for people. */
const REFUSALS: Readonly<Record<string, string>> = {
  'not-owner': 'another operator has a service of that name',
  'no-capability': 'this device may not deploy to its namespace',
  'too-large': 'its descriptor is too large for one record',
  expired: 'this device’s credential has expired',
  older: 'somebody changed it at the same time; try again',
  'outbox-full': 'too many submissions wait already for their domain’s leader',
}

/** Events that a slow listener may be behind; the oldest are dropped then. */
const EVENTS_QUEUED_MAX = 10_000

/** When it was submitted, and what somebody may miss later; nulls where nothing is known or to be said. */
interface Submitted {
  readonly version: string | null
  readonly warning: string | null
}

export function createControl(member: Member): NodeControl {
  const { core, gate, host, options, network } = member
  const { view } = core
  const shown = shownOf(view)

  const status = (): StatusView => {
    const waits = waitingFor(view)
    const freshMs = FRESH_ANNOUNCEMENTS * ELECTION_TIMINGS[options.preset ?? 'lan'].announceMs
    return {
      node: view.self.node,
      name: view.name,
      federation: gate.federation,
      domain: view.self.domain,
      incarnation: view.incarnation,
      ready: waits.length === 0,
      waitingFor: waits,
      intake: view.intake(),
      pressure: view.summaryOf(view.self.node)?.pressure ?? 0,
      addresses: network.addresses(),
      reach: network.reach(),
      proxies: member.ways.proxies,
      domains: domainViews(view, performance.now(), freshMs),
      peers: peerViews(view, member.paths, member.names),
      counters: { ...Object.fromEntries(member.counters), ...network.counters() },
    }
  }

  /**
   * What this node knows, and of a service whose records it does not hold what those say now who do: a change that is
   * made to what was true a minute ago would take back what came since.
   */
  const knowing = async (service: ServiceId): Promise<CoreView> => {
    if (specOf(shown, service) !== null) return shown
    const { records } = await member.lookUp(service, member.stopping, true)
    return records === null ? shown : withFound(shown, records)
  }

  const orFail = <T>(id: string, found: T | null): T => {
    if (found !== null) return found
    const hint = '`coppice ps` lists those that this node knows.'
    throw new CoppiceError('no-such-service', `there is no service "${id}"`, hint)
  }

  const serviceOrFail = async (id: string): Promise<ServiceView> =>
    orFail(id, serviceView(await knowing(id as ServiceId), id as ServiceId))

  /** Rejects when a holder of the domain's records refused it; without an answer so far it stays in the outbox. */
  const submit = async (
    domain: DomainPath,
    service: ServiceId,
    spec: ServiceSpec | null,
    isScale = false,
  ): Promise<Submitted> => {
    const known = await knowing(service)
    const held = specOf(known, service)
    const rollout = known.stores().flatMap((store) => store.rollout(service) ?? [])[0] ?? null
    const before = specOf(view, service)
    let refusal: string | null = null
    const stop = member.onEvent(({ name, fields }) => {
      if (fields.key !== `spec/${service}`) return
      if (name === 'submission-answered') refusal = fields.refusal as string | null
      // By the store of this node itself.
      if (name === 'record-refused' && (fields.from ?? view.self.node) === view.self.node) refusal = String(fields.code)
    })
    host.input({ kind: 'submit', domain, service, spec, held, rollout, isScale })
    const isOwn = (record: SealedRecord<SpecRecord>): boolean => record.message.service === service
    const own = view.unaccepted().filter(isSpec).find(isOwn) ?? specOf(view, service)
    const isHolder = view.stores().some((store) => store.domain === domain)
    const isDone = (): boolean => {
      if (refusal !== null) return true
      const now = specOf(view, service)
      const isTaken = spec === null ? now === null : now !== null && now !== before
      return (isTaken || !isHolder) && !view.unaccepted().some((record) => record.message.service === service)
    }
    await settled(member, isDone, ACCEPT_MS_MAX)
    stop()
    if (refusal !== null) throw submissionRefused(service, refusal)
    if (own === null) return { version: null, warning: null }
    const warning = spec === null || isScale ? null : lostVersionWarning(spec, { held, rollout }, own)
    return { version: versionText(own.message), warning }
  }

  /** The service as it is known after a submission; news of it may still be on its way here. */
  const submitted = async (domain: DomainPath, service: ServiceId, { ports }: ServiceSpec): Promise<ServiceView> => {
    const now = await knowing(service)
    const address = addressOf(service, ports[0]?.declared ?? null)
    return (
      serviceView(now, service) ?? {
        id: service,
        address,
        domain,
        accepted: true,
        instances: instancesOf(now, service),
      }
    )
  }

  const changeSpec = async (
    id: string,
    change: (spec: ServiceSpec, record: SpecRecord) => ServiceSpec | null,
    isScale = false,
  ): Promise<ServiceView> => {
    const record = orFail(id, specOf(await knowing(id as ServiceId), id as ServiceId))
    const spec = orFail(id, readSpec(record))
    const { domain, service } = record.message
    await submit(domain, service, change(spec, record.message), isScale)
    return submitted(domain, service, spec)
  }

  const deploy = async (text: string, { domain }: { readonly domain: string | null }): Promise<DeployView> => {
    const parsed = parseDescriptor(text)
    if (!parsed.valid) {
      const list = parsed.errors.map(({ field, problem, expected }) => `${field}: ${problem}; expected ${expected}`)
      throw new CoppiceError(
        'invalid-descriptor',
        list.join('\n'),
        '`coppice validate FILE` shows each error by itself.',
      )
    }
    const into = readDomain(domain)
    const versions: Submitted[] = []
    for (const spec of parsed.services) versions.push(await submit(into, serviceIdOf(spec), spec))
    const services = await Promise.all(
      parsed.services.map(async (spec, index) => ({
        ...(await submitted(into, serviceIdOf(spec), spec)),
        ...versions[index],
      })),
    )
    return { services, warnings: parsed.warnings }
  }

  const resolve = async (address: string, signal: AbortSignal): Promise<ResolveView> => {
    const { service, address: parsed, spec, order, reason } = await member.traffic.resolve(address, signal)
    const endpoints = order.map(({ number, node, nodeName }) => ({
      number,
      node,
      name: nameOf(view, node) ?? nodeName,
      path: node === view.self.node ? ('local' as const) : (member.paths.get(node)?.path ?? null),
      rttMs: node === view.self.node ? 0 : view.roundTripMs(node),
    }))
    const virtualAddress = await member.ways.virtualAddressOf(service, parsed, spec)
    return { service, policy: parsed.policy, endpoints, virtualAddress, reason }
  }

  const ping = async (who: string, signal: AbortSignal): Promise<PingView> => {
    const node = findNode(member, who)
    try {
      if (!view.roster().has(node)) await reach(member, node)
      const rttMs = await network.ping(node, signal)
      const path = member.paths.get(node) ?? null
      return { node, name: nameOf(view, node), path: path?.path ?? null, via: path?.via ?? null, rttMs }
    } catch (problem) {
      const detail = problem instanceof Error ? problem.message : String(problem)
      throw new CoppiceError(
        'unreachable',
        `${who} does not answer: ${detail}`,
        '`coppice status` shows who is connected and how.',
      )
    }
  }

  return {
    status,
    nodes: () => nodeViews(view),
    instances: () => instanceViews(shown),
    deploy,
    services: (ids) => Promise.all(ids.map(serviceOrFail)),
    inspect: async (id) => orFail(id, inspectView(await knowing(id as ServiceId), id as ServiceId)),
    remove: (service) => changeSpec(service, () => null),
    scale: (service, replicas) => changeSpec(service, (spec) => scaled(spec, replicas), true),
    rollback: (service) => changeSpec(service, previousOf),
    migrate: async (id, number, to) => {
      const service = id as ServiceId
      return migrate(member, await knowing(service), service, number, to)
    },
    intake: (who, set) => setIntake(member, findNode(member, who), set),
    resolve,
    ...ownerControl(member, { knowing, findNode: (who) => findNode(member, who) }),
    ...membershipAnswers(member, (who) => findNode(member, who)),
    signRecovery: (domain) => signRecovery(member, domain),
    recover: (domain, order) => recoverDomain(member, domain, order),
    ping,
    events: (signal) => eventsOf(member, signal),
    logs: (request, signal) => logsOf(member, knowing, request, signal),
    exec: async (target, signal) => openExec(member, await knowing(target.service as ServiceId), target, signal),
    forward: (request, signal) => forward(member, request, signal),
    metrics: () => metricsOf(member),
  }
}

function scaled(spec: ServiceSpec, replicas: number): ServiceSpec {
  if (spec.kind !== 'daemon') return { ...spec, replicas }
  const problem = 'a daemon runs once on every matching device and has no number of replicas'
  throw new CoppiceError('not-scalable', problem, 'Its constraints say which devices match.')
}

/** What a service ran before its newest version, in as many copies as there are now. */
function previousOf(spec: ServiceSpec, { service, previous }: SpecRecord): ServiceSpec {
  const decoded = previous === undefined ? null : decodeSpec(previous.spec)
  if (decoded?.ok) return { ...decoded.value, replicas: spec.replicas }
  const problem = `no earlier version of ${service} is known`
  throw new CoppiceError('no-previous-version', problem, '`coppice deploy` the descriptor that you want instead.')
}

function readDomain(domain: string | null): DomainPath {
  if (domain === null) return ROOT
  const parsed = parseDomainPath(domain)
  if (parsed.ok) return parsed.value
  throw new CoppiceError('bad-domain', parsed.error, 'Leave --domain out to let the whole federation place it.')
}

/** A libp2p PeerId of an Ed25519 key: the multihash of 36 bytes in base58. */
const NODE_ID = /^12D3KooW[1-9A-HJ-NP-Za-km-z]{44}$/

/** A node by its id, its name, or a beginning of its id that only it has. */
function findNode(member: Member, who: string): NodeId {
  const { view } = member.core
  const known = new Set<NodeId>([...view.roster().keys(), ...member.paths.keys()])
  for (const domain of view.leaders().domains()) {
    const node = view.leaders().nodeOf(domain)
    if (node !== null) known.add(node)
  }
  const named = [...known].filter((node) => node === who || (nameOf(view, node) ?? member.names.get(node)) === who)
  const begun = [...known].filter((node) => node.startsWith(who))
  // Clusters may use the same names: those that are met come first.
  const elsewhere = [...view.ownElsewhere()].filter((node) => view.statedName(node) === who)
  const found = [named, begun, elsewhere].find((nodes) => nodes.length > 0) ?? []
  const [only] = found
  if (only !== undefined && found.length === 1) return only
  // A revocation may name a node that nobody here has met.
  if (found.length === 0 && NODE_ID.test(who)) return nodeId(who)
  const problem = found.length === 0 ? `this node knows no node "${who}"` : `"${who}" could be ${found.length} nodes`
  throw new CoppiceError('no-such-node', problem, '`coppice nodes` and `coppice status` show names and ids.')
}

const submissionRefused = (service: ServiceId, code: string): CoppiceError =>
  new CoppiceError(code, `${service} was refused: ${REFUSALS[code] ?? code}`, 'Nothing was changed.')

/** Resolves once it is so, at the latest after `msMax`. */
function settled(member: Member, isSo: () => boolean, msMax: number): Promise<void> {
  if (isSo()) return Promise.resolve()
  return new Promise((resolve) => {
    const end = (): void => {
      clearTimeout(timer)
      stop()
      resolve()
    }
    const timer = setTimeout(end, msMax)
    const stop = member.onSettled(() => {
      if (isSo()) end()
    })
  })
}

async function* eventsOf(member: Member, signal: AbortSignal): AsyncIterable<EventView> {
  const queue: EventView[] = []
  let wake: () => void = () => undefined
  const stop = member.onEvent(({ name, level, domain, fields }, at) => {
    if (queue.length >= EVENTS_QUEUED_MAX) queue.shift()
    queue.push({ at: new Date(at).toISOString(), name, level, domain: domain ?? null, fields })
    wake()
  })
  const onAbort = (): void => wake()
  signal.addEventListener('abort', onAbort)
  try {
    for (;;) {
      // What happened before the end is told: of a node that stops, that it handed over.
      for (let next = queue.shift(); next !== undefined; next = queue.shift()) yield next
      if (signal.aborted) return
      await new Promise<void>((resolve) => {
        wake = resolve
        if (signal.aborted || queue.length > 0) resolve()
      })
    }
  } finally {
    signal.removeEventListener('abort', onAbort)
    stop()
  }
}

async function forward(member: Member, request: ForwardRequest, signal: AbortSignal) {
  const { address, localPort, protocol } = request
  const parsed = parseAddress(address)
  if (!parsed.ok) throw new CoppiceError('bad-address', parsed.error.problem, 'As in app.ns.svc.ns.0.rr.local:8080.')
  const onProblem = ({ code, sentence }: { readonly code: string; readonly sentence: string }): void =>
    member.notice(code, sentence)
  try {
    return await openForward({
      address,
      localPort,
      protocol,
      connect: member.traffic.connect,
      onProblem,
      signal,
    })
  } catch (problem) {
    const detail = problem instanceof Error ? problem.message : String(problem)
    throw new CoppiceError(
      'port-in-use',
      `port ${localPort} cannot be listened on: ${detail}`,
      'Name another, or leave it out for a free one.',
    )
  }
}
