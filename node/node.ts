// A member, running: the core on its host, with the network, the runtimes and the ways in around it. This file only
// puts together; what each part does stands in its own.

import { randomInt } from 'node:crypto'
import { createGate, type GateOptions, type Membership, type MembershipGate } from '../bootstrap/index.ts'
import { ELECTORS_MAX_DEFAULT, isTied } from '../election/index.ts'
import { createNetwork, METERED_NETWORK } from '../overlay/io/libp2p-transport.ts'
import { ListenError } from '../overlay/io/listen-check.ts'
import type { NetworkPort } from '../overlay/io/network.ts'
import type { DomainEvent } from '../overlay/kernel/effect.ts'
import { seededRandom } from '../overlay/kernel/random.ts'
import { createSealer } from '../overlay/wire/envelope.ts'
import { type AuditLog, openAuditLog } from './audit-log.ts'
import { createBelonging } from './belonging.ts'
import { type Admission, type Folder, loadMemory, loadSeeds, nameOfNode, wantedFrom } from './boot.ts'
import { type Core, createCore } from './core/core.ts'
import { coreCodec } from './core/messages.ts'
import { readDevice } from './device.ts'
import { CoppiceError } from './errors.ts'
import { namesHere, takenHere } from './federate/names.ts'
import { type Crossing, createCrossing } from './federate/serve.ts'
import { openCarried } from './federate/submissions.ts'
import { createHost, type Host, type HostPorts } from './host.ts'
import { type ImageOffersOptions, imageOffers } from './image-offers.ts'
import { createInside, isAllowed } from './inside.ts'
import { callerAt, isLoopback } from './io/callers.ts'
import { createClock } from './io/clock.ts'
import { copyMembership } from './io/membership-copy.ts'
import { rememberedListen, rememberListen } from './io/ports.ts'
import { openRegistryFile, type RegistryFile } from './io/registry-file.ts'
import { createRuntimes, type Runtimes } from './io/runtimes.ts'
import { openSecretFile } from './io/secret-file.ts'
import { createLookups, LOOKUP_MS_MAX, type Lookups } from './lookups.ts'
import { createMetering } from './metering.ts'
import { createObservers, type Observers } from './observers.ts'
import type { NodeOptions } from './options.ts'
import { createPaths, type Paths } from './paths.ts'
import { ownerRights } from './policy-answers.ts'
import { openPolicyKeeper, type PolicyKeeper } from './policy-keeper.ts'
import { createQuestions, type Questions } from './questions.ts'
import { createAnswerLogin, createRegistryLogins, type LoginOptions } from './registry-logins.ts'
import { loadScheduler } from './schedulers.ts'
import { createSecrets, type Secrets } from './secrets.ts'
import { checkElectors, pressureOf, whereabouts } from './settings.ts'
import { shownOf } from './shown.ts'
import { createTraffic, type Traffic } from './traffic.ts'
import { knownServices, recordsOf } from './view.ts'
import { resolverAddress } from './virtual-ways.ts'
import { openWaysIn, type WaysIn } from './ways-in.ts'

/**
 * How long a node that stops waits for its successors to take over what it led; the core gives up before, after two
 * or three tenths of a second for each domain on `lan`. A guess: half of what `docker stop` waits.
 */
const HAND_OVER_MS_MAX = 5_000

export interface Member {
  readonly folder: Folder
  readonly membership: Membership
  readonly gate: MembershipGate
  readonly core: Core
  readonly host: Host
  readonly network: NetworkPort
  readonly runtimes: Runtimes
  readonly registries: RegistryFile
  readonly policy: PolicyKeeper
  readonly secrets: Secrets
  readonly audit: AuditLog
  readonly crossing: Crossing
  readonly traffic: Traffic
  readonly ways: WaysIn
  readonly options: NodeOptions
  /** How the network reaches each connected peer, and what it calls itself. */
  readonly paths: Paths['paths']
  readonly names: Paths['names']
  readonly counters: ReadonlyMap<string, number>
  /** All that is known of a service, here or by asking its leaders. */
  lookUp: Lookups['lookUp']
  /** What other nodes are asked to do. */
  readonly questions: Questions
  /** Aborts when the node stops. */
  readonly stopping: AbortSignal
  /** Tells people of something that happened at the edge of the node. */
  notice(code: string, detail: string): void
  /** Tells of each event, and each time that something may have changed; returns how to stop listening. */
  onEvent(listener: (event: DomainEvent, at: number) => void): () => void
  onSettled(listener: () => void): () => void
  /** Resolves when the device is to go on in another federation: with its next start, which is due now. */
  readonly leaving: Promise<void>
  /** Resolves once it is so, or when the signal aborts. */
  until(isSo: () => boolean, signal: AbortSignal): Promise<void>
  /** Leads nothing any more, where somebody else can take over in time. */
  handOver(): Promise<void>
  stop(): Promise<void>
}

/** Starts a member. Rejects with CoppiceError; whatever was opened is closed again then. */
export async function startMember(admission: Admission, options: NodeOptions): Promise<Member> {
  const closers: (() => Promise<void>)[] = [() => admission.folder.disk.close()]
  try {
    checkElectors(options)
    return await assemble(admission, options, closers)
  } catch (problem) {
    for (const close of closers.reverse()) await close().catch(() => undefined)
    if (!(problem instanceof ListenError)) throw problem
    throw new CoppiceError(
      'port-in-use',
      problem.message,
      'Stop what listens there, or give another address with --listen.',
    )
  }
}

async function assemble(
  { folder, membership, isFounding }: Admission,
  options: NodeOptions,
  closers: (() => Promise<void>)[],
): Promise<Member> {
  const { dataDir, disk, nodeKey, operatorKey } = folder
  const { domain, federation } = membership
  const { preset = 'lan', electors: electorsMax = ELECTORS_MAX_DEFAULT, autonomy = 'automatic' } = options
  const { labels = {} } = options
  const name = nameOfNode(options)
  const self = nodeKey.node
  const observers = createObservers()
  const { notice } = observers

  // The gate, the network and the core refer to each other; what comes in before all of them stand is dropped and comes
  // again.
  let host: Host | null = null
  let network: NetworkPort | null = null
  let policy: PolicyKeeper | null = null
  let surveyed: NonNullable<GateOptions['takenNames']> = async () => []
  const belonging = createBelonging({
    gate: () => gate,
    network: () => network,
    input: (input) => host?.input(input),
    notice,
  })
  closers.push(async () => belonging.stop())
  const { paths, names, events } = createPaths({
    belonging,
    tell: observers.tell,
    input: (input) => host?.input(input),
  })
  const gate = await createGate({
    membership,
    store: disk,
    nodeKey,
    operatorKey,
    name,
    wall: Date.now,
    onNotice: notice,
    takenNames: (asked) => surveyed(asked),
    onCharterChanged: (view, news) => {
      belonging.onCharterChanged(view, news)
      policy?.onCharter()
    },
  })
  const sealer = createSealer(coreCodec, federation, gate, gate)
  const clock = createClock()
  const random = seededRandom(randomInt(2 ** 47))
  const audit = await openAuditLog(disk, sealer, Date.now)
  const memory = await loadMemory(disk, domain, sealer)
  const seeds = wantedFrom(await loadSeeds(disk, self, memory.members), self)
  // Also a founder whose first start came to nothing, or that lost its memory before it met anybody: who else should
  // begin?
  const isAlone = !isTied(memory.election) && seeds.length === 0
  const scheduler = await loadScheduler(options.scheduler, (detail) =>
    observers.tell({ name: 'scheduler-failed', level: 'warn', fields: { detail } }),
  )
  closers.push(() => scheduler.close())
  const core = createCore(
    {
      self: gate.facts,
      name,
      preset,
      electorsMax,
      autonomy,
      labels,
      placing: { scheduler: scheduler.plugin, pressure: pressureOf(options), ...whereabouts(options) },
      seeds,
      isFounding: isFounding || isAlone,
    },
    memory,
    {
      now: clock.now(),
      wall: clock.wall(),
      random,
    },
  )

  const offering: ImageOffersOptions = {
    domain,
    members: () =>
      [...core.view.roster()].flatMap(([node, { state }]) => (node !== self && state === 'alive' ? [node] : [])),
    rttMs: (node) => core.view.roundTripMs(node),
    nameOf: (node) => names.get(node) ?? null,
    traffic: () => traffic,
  }
  const registries = await openRegistryFile(dataDir)
  const keeper = await openPolicyKeeper({ store: disk, gate, operatorKey, wall: Date.now, onNotice: notice })
  policy = keeper
  const lookups = createLookups((input) => host?.input(input))
  const logins: LoginOptions = {
    core: core.view,
    file: registries,
    lookUp: lookups.lookUp,
    traffic: () => traffic,
  }
  const secrets = createSecrets({ ...logins, file: await openSecretFile(dataDir), nodeKey, wall: Date.now })
  const metering = createMetering({
    stats: (key) => runtimes.stats(key),
    now: clock.now,
    input: (input) => host?.input(input),
  })
  closers.push(async () => metering.stop())
  const runtimes = await createRuntimes({
    secrets: secrets.source,
    dataDir,
    self,
    resolver: options.virtualNetwork ? resolverAddress(self) : null,
    wanted: options.runtimes ?? null,
    imageOffers: (image, have, signal) => imageOffers(offering, image, have, signal),
    registryLogins: createRegistryLogins(logins),
    onInput: (input) => {
      metering.onInput(input)
      host?.input(input)
    },
    onWarning: (text) => notice('runtime-warning', text),
  })
  closers.push(() => runtimes.stop())

  const { promise: leaving, resolve: leave } = Promise.withResolvers<void>()
  const nameSources = { view: core.view, federation, secrets: secrets.list, policy: keeper.current }
  surveyed = (asked) => takenHere(asked, nameSources, lookups.lookUp, stopping.signal)
  const crossing = createCrossing({
    view: core.view,
    disk,
    membership,
    charter: gate.charter,
    names: () => namesHere(nameSources),
    wall: Date.now,
    leave,
  })
  const rights = ownerRights(core.view, keeper)
  const stopping = new AbortController()
  const questions = createQuestions((input) => host?.input(input))
  const traffic = createTraffic({
    self,
    network: () => network as NetworkPort,
    lookUp: lookups.lookUp,
    known: () => knownServices(shownOf(core.view)),
    rttMs: (node) => core.view.roundTripMs(node),
    isGone: (node) => ['dead', 'left'].includes(core.view.roster().get(node)?.state ?? ''),
    isConnected: (node) => core.view.isConnected(node),
    reach: (node, inDomain, signal) => {
      host?.input({ kind: 'reach', peer: node, domain: inDomain })
      return observers.until(() => core.view.isConnected(node) || core.view.addressesOf(node).length > 0, signal)
    },
    local: (service) => recordsOf(core.view, service),
    inside: createInside({
      runtimes,
      login: createAnswerLogin(logins),
      secret: secrets.serve,
      federate: crossing.serve,
      ...rights,
    }),
    onServed: metering.onTunnel,
    mayReach: (caller, service) => isAllowed(rights, 'reach', caller, service),
    callerAt: async (from, protocol) =>
      (isLoopback(from) ? null : await runtimes.instanceAt(from.address)) ?? callerAt(dataDir, from, protocol),
    random,
  })

  const listen = await rememberedListen(disk, options.listen)
  network = await createNetwork({
    privateKey: nodeKey.privateKey,
    federation,
    gate,
    tunnels: traffic.serve,
    listen,
    announce: options.announce ?? [],
    mdns: options.mdns ?? true,
    portForwarding: options.portForwarding ?? true,
    ...(options.relay === undefined ? {} : { relay: options.relay }),
    ...(preset === 'metered' ? METERED_NETWORK : {}),
    events: {
      ...events,
      onConnected: (peer) => {
        events.onConnected(peer)
        // After the core has heard of it: what is handed over goes on a tunnel.
        secrets.onConnected(peer.facts).catch((problem: unknown) => notice('secrets-not-handed-over', String(problem)))
      },
      onMessage: (bytes, deliveredBy, topic) => host?.receive(bytes, deliveredBy, topic),
      onReachChanged: () => {
        if (network !== null && host !== null) tellReach(host, network)
      },
      onRoundTrip: (peer, ms) => host?.input({ kind: 'round-trip', peer, ms }),
      onNotice: notice,
    },
  })
  const opened = network
  closers.push(() => opened.stop())
  await rememberListen(disk, options.listen, opened.addresses())
  await copyMembership(dataDir, disk, domain)

  const ports: HostPorts = {
    clock,
    random,
    disk,
    network: {
      send: opened.send,
      publish: opened.publish,
      follow: opened.follow,
      want: opened.want,
      fetchCredential: (hash, from, done) => {
        opened
          .fetchCredential(hash, from, AbortSignal.timeout(LOOKUP_MS_MAX))
          .then(belonging.onCredential(done), () => done(false))
      },
    },
    runtimes: metering.before(runtimes),
    listener: {
      onEvent: observers.tell,
      onResolved: lookups.onResolved,
      onAnswered: questions.onAnswered,
      onDropped: (problem, detail, deliveredBy) => {
        observers.count(`dropped-${problem}`)
        observers.tell({ name: 'message-dropped', level: 'debug', fields: { problem, detail, deliveredBy } })
      },
      onSettled: observers.settled,
      onCharter: belonging.onCharter,
      onPolicy: keeper.offer,
      onAudit: audit.note,
    },
  }
  host = createHost({ self, federation, core, sealer, ports })
  const running = host
  keeper.tellFrom(running.input)
  closers.push(async () => running.stop())
  tellReach(running, opened)
  running.input({ kind: 'start', operators: gate.charter().operators.length })
  closers.push(readDevice(dataDir, running))
  await runtimes.start()

  const ways = await openWaysIn({ node: options, core, self, traffic, notice })
  closers.push(() => ways.close())
  observers.onSettled(ways.refresh)
  observers.onSettled(await openCarried(disk, core.view, running.input))

  return {
    folder,
    membership,
    gate,
    core,
    host: running,
    network: opened,
    runtimes,
    registries,
    policy: keeper,
    secrets,
    audit,
    crossing,
    traffic,
    ways,
    options,
    paths,
    names,
    counters: observers.counters,
    lookUp: lookups.lookUp,
    questions,
    stopping: stopping.signal,
    notice,
    onEvent: observers.onEvent,
    onSettled: observers.onSettled,
    leaving,
    until: observers.until,
    handOver: async () => {
      await metering.settle()
      await handOver(running, core, observers)
    },
    stop: async () => {
      stopping.abort()
      running.stop()
      observers.close()
      for (const close of closers.reverse()) await close().catch(() => undefined)
    },
  }
}

const tellReach = (host: Host, network: NetworkPort): void =>
  host.input({ kind: 'addresses', addresses: network.addresses(), isRelay: network.reach().isRelay })

/** Leads nothing when it goes, where somebody else can take over; until then all connections stay open. */
async function handOver(host: Host, core: Core, observers: Observers): Promise<void> {
  host.input({ kind: 'hand-over' })
  await observers.until(core.view.isHandedOver, AbortSignal.timeout(HAND_OVER_MS_MAX))
}
