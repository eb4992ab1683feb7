// A member, running: the core on its host, with the network, the runtimes and the ways in around it. This file only puts together;
// what each part does stands in its own.

import { randomInt } from 'node:crypto'
import { createGate, type Membership, type MembershipGate } from '../bootstrap/index.ts'
import { addressOf } from '../overlay/address.ts'
import { openHttpProxy } from '../overlay/io/http-proxy.ts'
import { createNetwork } from '../overlay/io/libp2p-transport.ts'
import { ListenError } from '../overlay/io/listen-check.ts'
import type { NetworkPort } from '../overlay/io/network.ts'
import { openVirtualListeners, type VirtualListeners } from '../overlay/io/virtual-listeners.ts'
import type { Listener } from '../overlay/io/way-in.ts'
import type { DomainEvent } from '../overlay/kernel/effect.ts'
import { type NodeId, nodeId, type ServiceId } from '../overlay/kernel/ids.ts'
import { seededRandom } from '../overlay/kernel/random.ts'
import { allocateVirtualAddress, createVirtualAddresses } from '../overlay/virtual-address.ts'
import { createSealer } from '../overlay/wire/envelope.ts'
import { createHostProbe } from '../placement/io/host-summary.ts'
import { createLoopDelayMonitor } from '../placement/io/loop-delay.ts'
import { type Admission, type Folder, loadMemory, loadSeeds, nameOfNode } from './boot.ts'
import { type Core, createCore } from './core/core.ts'
import type { ResolvedService, WantedNode } from './core/effects.ts'
import { coreCodec } from './core/messages.ts'
import { CoppiceError } from './errors.ts'
import { createHost, type Host, type HostPorts } from './host.ts'
import { createClock } from './io/clock.ts'
import { createRuntimes, type Runtimes } from './io/runtimes.ts'
import { rememberedListen, rememberListen } from './io/ports.ts'
import type { NodeOptions } from './options.ts'
import { createTraffic, type Traffic } from './traffic.ts'
import { knownServices, type PathView, readSpec, recordsOf, specOf } from './view.ts'

/** How often the device is read (the pace of summaries is the core's), and how long a lookup may take. Guesses. */
const READING_MS = 5_000
const LOOKUP_MS_MAX = 5_000
/** How long a node that stops waits for its successors to take over what it led. */
const HAND_OVER_MS_MAX = 500
/** Services that get a loopback address of their own; the others are reached through the proxy. */
const VIRTUAL_SERVICES_MAX = 1_000

export interface Member {
  readonly folder: Folder
  readonly membership: Membership
  readonly gate: MembershipGate
  readonly core: Core
  readonly host: Host
  readonly network: NetworkPort
  readonly runtimes: Runtimes
  readonly traffic: Traffic
  readonly proxy: Listener | null
  readonly options: NodeOptions
  /** How the network reaches each connected peer, and what it calls itself. */
  readonly paths: ReadonlyMap<NodeId, PathView>
  readonly names: ReadonlyMap<NodeId, string>
  readonly counters: ReadonlyMap<string, number>
  virtualAddressOf(service: ServiceId): string | null
  /** Tells people of something that happened at the edge of the node. */
  notice(code: string, detail: string): void
  /** Tells of each event, and each time that something may have changed; returns how to stop listening. */
  onEvent(listener: (event: DomainEvent, at: number) => void): () => void
  onSettled(listener: () => void): () => void
  stop(): Promise<void>
}

interface Listeners {
  readonly events: Set<(event: DomainEvent, at: number) => void>
  readonly settled: Set<() => void>
}

/** Starts a member. Rejects with CoppiceError; whatever was opened is closed again then. */
export async function startMember(admission: Admission, options: NodeOptions): Promise<Member> {
  const closers: (() => Promise<void>)[] = [() => admission.folder.disk.close()]
  try {
    return await assemble(admission, options, closers)
  } catch (problem) {
    for (const close of closers.reverse()) await close().catch(() => undefined)
    if (!(problem instanceof ListenError)) throw problem
    throw new CoppiceError('port-in-use', problem.message, 'Stop what listens there, or give another address with --listen.')
  }
}

async function assemble(
  { folder, membership, isFounding }: Admission,
  options: NodeOptions,
  closers: (() => Promise<void>)[],
): Promise<Member> {
  const { dataDir, disk, nodeKey, operatorKey } = folder
  const { domain, federation } = membership
  const { preset = 'lan', labels = {}, relay = false } = options
  const name = nameOfNode(options)
  const self = nodeKey.node
  const listeners: Listeners = { events: new Set(), settled: new Set() }
  const counters = new Map<string, number>()
  const paths = new Map<NodeId, PathView>()
  const names = new Map<NodeId, string>()
  const count = (what: string): void => void counters.set(what, (counters.get(what) ?? 0) + 1)
  const tell = (event: DomainEvent): void => {
    for (const listener of [...listeners.events]) listener(event, Date.now())
  }
  const notice = (code: string, detail: string): void => {
    count(code)
    tell({ name: code, level: 'info', fields: { detail } })
  }

  // The gate, the network and the core refer to each other; what comes in before all of them stand is dropped and comes again.
  let host: Host | null = null
  let network: NetworkPort | null = null
  const gate = await createGate({
    membership,
    store: disk,
    nodeKey,
    operatorKey,
    name,
    wall: Date.now,
    onNotice: notice,
    onCharterChanged: (_view, chain) => {
      host?.input({ kind: 'charter', chain })
      for (const peer of network?.connectedPeers() ?? []) {
        if (!gate.isRevoked(peer)) continue
        host?.input({ kind: 'revoked', node: peer })
        void network?.cut(peer)
      }
    },
  })
  const sealer = createSealer(coreCodec, federation, gate, gate)
  const clock = createClock()
  const random = seededRandom(randomInt(2 ** 47))
  const memory = await loadMemory(disk, domain, sealer)
  const seeds = wantedFrom(await loadSeeds(disk), self)
  const core = createCore(
    { self: gate.facts, name, preset, isRelay: relay, labels, seeds, isFounding },
    memory,
    { now: clock.now(), wall: clock.wall(), random },
  )

  const runtimes = await createRuntimes({
    dataDir,
    self,
    wanted: options.runtimes ?? null,
    onInput: (input) => host?.input(input),
    onWarning: (text) => notice('runtime-warning', text),
  })
  closers.push(() => runtimes.stop())

  const resolving = new Map<number, (answer: ResolvedService) => void>()
  let requests = 0
  const lookUp = (service: ServiceId, signal: AbortSignal): Promise<ResolvedService> =>
    new Promise((resolve) => {
      const requestId = ++requests
      const bounded = AbortSignal.any([signal, AbortSignal.timeout(LOOKUP_MS_MAX)])
      const onAbort = (): void => {
        resolving.delete(requestId)
        resolve({ service, records: null, reason: `nobody answered where ${service} is` })
      }
      bounded.addEventListener('abort', onAbort, { once: true })
      resolving.set(requestId, (answer) => {
        resolving.delete(requestId)
        bounded.removeEventListener('abort', onAbort)
        resolve(answer)
      })
      host?.input({ kind: 'resolve', requestId, service })
    })

  const traffic = createTraffic({
    self,
    network: () => network as NetworkPort,
    lookUp,
    known: () => knownServices(core.view),
    rttMs: (node) => core.view.roundTripMs(node),
    isGone: (node) => ['dead', 'left'].includes(core.view.roster().get(node)?.state ?? ''),
    isConnected: (node) => core.view.isConnected(node),
    reach: (node, inDomain, signal) => {
      host?.input({ kind: 'reach', peer: node, domain: inDomain })
      return untilSettled(listeners, () => core.view.isConnected(node), signal)
    },
    local: (service) => recordsOf(core.view, service),
    logs: (service, number, logOptions) => runtimes.logs(service, number, logOptions),
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
    relay,
    events: {
      onMessage: (bytes, deliveredBy, topic) => host?.receive(bytes, deliveredBy, topic),
      onConnected: (peer) => {
        paths.set(peer.peer, { path: peer.path, via: peer.via })
        names.set(peer.peer, peer.name)
        host?.input({ kind: 'connected', peer: peer.peer, facts: peer.facts })
      },
      onDisconnected: (peer) => {
        paths.delete(peer)
        host?.input({ kind: 'disconnected', peer })
      },
      onRoundTrip: (peer, ms) => host?.input({ kind: 'round-trip', peer, ms }),
      onNotice: notice,
    },
  })
  const opened = network
  closers.push(() => opened.stop())
  await rememberListen(disk, options.listen, opened.addresses())

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
        opened.fetchCredential(hash, from, AbortSignal.timeout(LOOKUP_MS_MAX)).then(done, () => done(false))
      },
    },
    runtimes,
    listener: {
      onEvent: tell,
      onResolved: (requestId, answer) => resolving.get(requestId)?.(answer),
      onDropped: (problem, detail, deliveredBy) => {
        count(`dropped-${problem}`)
        tell({ name: 'message-dropped', level: 'debug', fields: { problem, detail, deliveredBy } })
      },
      onSettled: () => {
        for (const listener of [...listeners.settled]) listener()
      },
      onCharter: (chain) => {
        gate.offerCharter(chain).catch((problem: unknown) => notice('charter-refused', String(problem)))
      },
    },
  }
  host = createHost({ self, federation, core, sealer, ports })
  const running = host
  running.input({ kind: 'addresses', addresses: opened.addresses() })
  running.input({ kind: 'start' })
  closers.push(readDevice(dataDir, running))
  await runtimes.start()

  const connect = traffic.connect
  const proxyPort = options.httpProxyPort === undefined ? 0 : options.httpProxyPort
  const proxy = proxyPort === null ? null : await openProxy(proxyPort, connect, (address, sentence) => notice('call-failed', `${address}: ${sentence}`))
  if (proxy !== null) closers.push(() => proxy.close())
  const virtual = options.virtualListeners === false ? null : openVirtual(core, self, traffic, notice)
  if (virtual !== null) {
    listeners.settled.add(virtual.refresh)
    closers.push(() => virtual.close())
  }

  return {
    folder,
    membership,
    gate,
    core,
    host: running,
    network: opened,
    runtimes,
    traffic,
    proxy,
    options,
    paths,
    names,
    counters,
    virtualAddressOf: (service) => virtual?.addressOf(service) ?? null,
    notice,
    onEvent: (listener) => subscribe(listeners.events, listener),
    onSettled: (listener) => subscribe(listeners.settled, listener),
    stop: async () => {
      await handOver(running, core, listeners)
      running.stop()
      listeners.settled.clear()
      for (const close of closers.reverse()) await close().catch(() => undefined)
    },
  }
}

function subscribe<T>(set: Set<T>, listener: T): () => void {
  set.add(listener)
  return () => void set.delete(listener)
}

/** Resolves once it is so, or when the signal aborts. */
function untilSettled(listeners: Listeners, isSo: () => boolean, signal: AbortSignal): Promise<void> {
  if (isSo() || signal.aborted) return Promise.resolve()
  return new Promise((resolve) => {
    const end = (): void => {
      listeners.settled.delete(look)
      signal.removeEventListener('abort', end)
      resolve()
    }
    const look = (): void => {
      if (isSo()) end()
    }
    listeners.settled.add(look)
    signal.addEventListener('abort', end, { once: true })
  })
}

/** Leads nothing when it goes, where somebody else can take over. */
async function handOver(host: Host, core: Core, listeners: Listeners): Promise<void> {
  const leadsNothing = (): boolean => core.view.seats().every((seat) => seat.fence === null)
  if (leadsNothing() || core.view.roster().size <= 1) return
  host.input({ kind: 'hand-over' })
  await untilSettled(listeners, leadsNothing, AbortSignal.timeout(HAND_OVER_MS_MAX))
}

/** Reads the device again and again, and how late this process runs. */
function readDevice(dataDir: string, host: Host): () => Promise<void> {
  const probe = createHostProbe({ dataDir })
  const loop = createLoopDelayMonitor()
  let timer: NodeJS.Timeout | null = null
  let isStopped = false
  const read = async (): Promise<void> => {
    const reading = await probe.read()
    if (isStopped) return
    host.input({ kind: 'reading', reading, loopDelayMs: loop.read().p99Ms })
    timer = setTimeout(() => void read(), READING_MS)
    timer.unref()
  }
  void read()
  return async () => {
    isStopped = true
    if (timer !== null) clearTimeout(timer)
    loop.stop()
  }
}

async function openProxy(port: number, connect: Traffic['connect'], onRefused: (address: string, sentence: string) => void): Promise<Listener> {
  try {
    return await openHttpProxy({ port, connect, onRefused: (address, refusal) => onRefused(address, refusal.sentence) })
  } catch (problem) {
    const detail = problem instanceof Error ? problem.message : String(problem)
    throw new CoppiceError('port-in-use', `the HTTP proxy cannot listen on port ${port}: ${detail}`, 'Choose another with --http-proxy.')
  }
}

interface VirtualWays {
  readonly refresh: () => void
  addressOf(service: ServiceId): string | null
  close(): Promise<void>
}

/** A loopback address for each known service, while it is known. */
function openVirtual(core: Core, self: NodeId, traffic: Traffic, notice: (code: string, detail: string) => void): VirtualWays {
  const table = createVirtualAddresses([], self)
  const listeners: VirtualListeners = openVirtualListeners({
    connect: traffic.connect,
    onProblem: ({ code, sentence }) => notice(code, sentence),
  })
  let shown = ''
  return {
    refresh: () => {
      const services = [...new Set(knownServices(core.view))].sort().slice(0, VIRTUAL_SERVICES_MAX)
      const wanted = services.map((service) => ({
        name: addressOf(service),
        host: allocateVirtualAddress(table, service).address,
        ports: (readSpec(specOf(core.view, service))?.ports ?? []).filter((port) => port.protocol === 'tcp').map((port) => port.declared),
      }))
      const now = JSON.stringify(wanted)
      if (now === shown) return
      shown = now
      void listeners.set(wanted)
    },
    addressOf: (service) => {
      const index = table.byService.get(service)
      const { address } = index === undefined ? { address: null } : allocateVirtualAddress(table, service)
      return address !== null && listeners.open().some((open) => open.startsWith(`${address}:`)) ? address : null
    },
    close: () => listeners.close(),
  }
}

/** Multiaddrs as peers to be connected to: whoever stands behind `/p2p/`. */
function wantedFrom(addresses: readonly string[], self: NodeId): readonly WantedNode[] {
  const byPeer = new Map<NodeId, string[]>()
  for (const address of addresses) {
    const peer = nodeId(address.slice(address.lastIndexOf('/p2p/') + '/p2p/'.length))
    if (address.includes('/p2p/') && peer !== self) byPeer.set(peer, [...(byPeer.get(peer) ?? []), address])
  }
  return [...byPeer].map(([peer, known]) => ({ peer, addresses: known }))
}

