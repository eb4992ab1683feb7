// Carries calls: a name becomes an order of instances, the first that can be reached gets the bytes, and the others are
// tried only as long as none were sent. The same file serves the other end: it dials the instance that a tunnel is for.

import type { Duplex } from 'node:stream'
import { isAddressOf, parseAddress, type ServiceAddress } from '../overlay/address.ts'
import { ANY_CALLER, namespaceOf, whyNotCall } from '../overlay/callers.ts'
import { type Candidate, type ChoiceMemory, choose, noMemory } from '../overlay/choose.ts'
import { within } from '../overlay/io/deadline.ts'
import type { NetworkPort, TunnelHandler, TunnelHeader } from '../overlay/io/network.ts'
import type { Call, Connect, ConnectProblem, Origin } from '../overlay/io/way-in.ts'
import type { DomainPath, InstanceKey, NodeId, OperatorId, ServiceId } from '../overlay/kernel/ids.ts'
import { instanceKey, splitInstanceKey } from '../overlay/kernel/ids.ts'
import type { Random } from '../overlay/kernel/random.ts'
import { err, ok, type Result } from '../overlay/kernel/result.ts'
import type { TunnelFailure, TunnelRefusal } from '../overlay/tunnel.ts'
import type { ServiceSpec } from '../placement/index.ts'
import type { SealedRecord } from '../services-registry/index.ts'
import type { ResolvedService } from './core/effects.ts'
import { endpointOn, endpointsOf, type LiveEndpoint } from './endpoints.ts'
import { CoppiceError } from './errors.ts'
import { dialInstance } from './io/dial-instance.ts'
import { createPreparing } from './preparing.ts'
import { specIn } from './view.ts'

/**
 * How long one instance may take to be connected to before the next is tried. A guess: a dial over a relay takes 0.3 s.
 */
const DIAL_MS_MAX = 3_000
/** How long a node that could not be reached is tried last: about as long as its cluster takes to notice. A guess. */
const SHUNNED_MS = 2_000
const SHUNNED_MAX = 1_000
/** Names whose turn in the round robin is remembered; the longest unused goes first. */
const TURNS_MAX = 10_000

export interface TrafficOptions {
  readonly self: NodeId
  readonly network: () => NetworkPort
  /** All that is known of a service, here or by asking. */
  readonly lookUp: (service: ServiceId, signal: AbortSignal) => Promise<ResolvedService>
  /** The services known here, for the short form of a name. */
  readonly known: () => Iterable<ServiceId>
  readonly rttMs: (node: NodeId) => number | null
  readonly isGone: (node: NodeId) => boolean
  readonly isConnected: (node: NodeId) => boolean
  /** Find out where a node is; resolves when that is known, or when the signal aborts. */
  readonly reach: (node: NodeId, domain: DomainPath, signal: AbortSignal) => Promise<void>
  /** This node's own instances of a service. */
  readonly local: (service: ServiceId) => readonly SealedRecord[]
  /** Tunnels that are for an instance itself and not for a port of it: its log, a program in it. */
  readonly inside: TunnelHandler
  /** A tunnel from another device got through to an instance of this one. */
  readonly onServed: (key: InstanceKey, stream: Duplex) => void
  /** Whether the people of an operator may call a service that runs here, whatever its descriptor says. */
  readonly mayReach: (caller: OperatorId, service: ServiceId) => boolean
  /** The instance of this device that a call comes from; null for a person, or a program that nobody here started. */
  readonly callerAt: (from: Origin, protocol: Call['protocol']) => Promise<InstanceKey | null>
  readonly random: Random
}

export interface Resolution {
  readonly service: ServiceId
  readonly address: ServiceAddress
  /** Null where it cannot be read. */
  readonly spec: ServiceSpec | null
  readonly order: readonly LiveEndpoint[]
  readonly reason: string | null
}

export interface Traffic {
  /** The instances that a name means now, in the order in which a call would try them. Rejects with CoppiceError. */
  resolve(address: string, signal: AbortSignal): Promise<Resolution>
  /**
   * The same for programs, which want no exception: `unanswered` where nobody could be asked, `no-service` where there
   * is none.
   */
  find(address: string, signal: AbortSignal): Promise<Result<Resolution, ConnectProblem>>
  /** Bytes to an instance of the service that a name means. */
  readonly connect: Connect
  /** A tunnel to a node of that cluster, which is found and connected to first where it has to be. */
  tunnelTo(
    node: NodeId,
    domain: DomainPath,
    header: TunnelHeader,
    signal: AbortSignal,
    caller?: Duplex | null,
  ): Promise<Result<Duplex, TunnelFailure>>
  /** The serving end of tunnels. */
  readonly serve: TunnelHandler
}

/** Who looks for a service, and whether it is going to call it. */
interface Finding {
  readonly caller: InstanceKey | null
  readonly isCall: boolean
}
const LOOKING: Finding = { caller: null, isCall: false }

type InstanceHeader = Extract<TunnelHeader, { readonly kind: 'instance' }>
type ServeInstance = (
  header: Extract<TunnelHeader, { readonly kind: 'instance' }>,
  signal: AbortSignal,
) => Promise<Result<Duplex, TunnelRefusal>>

/** Refusals that say more than that no instance was reached, where all of them say the same. */
const TELLING: readonly string[] = ['no-such-port', 'not-allowed', 'limit']

export function createTraffic(options: TrafficOptions): Traffic {
  const turns = new Map<string, ChoiceMemory>()
  const openTo = new Map<string, number>()
  const shunnedUntil = new Map<NodeId, number>()
  const prepare = createPreparing({
    ...options,
    prepare: (node, signal) => options.network().prepare(node, signal),
  })

  const serviceOf = (address: ServiceAddress): ServiceId | null => {
    if (address.service.kind === 'full') return address.service.id
    for (const service of options.known()) if (isAddressOf(address, service)) return service
    return null
  }

  /** Advances the caller's turn only for calls, not for looking. */
  const inOrder = (
    service: ServiceId,
    endpoints: readonly LiveEndpoint[],
    address: ServiceAddress,
    { caller, isCall }: Finding,
  ): readonly LiveEndpoint[] => {
    const turn = `${service} ${address.policy} ${caller ?? ''}`
    const candidates = endpoints.map((one): Candidate & LiveEndpoint => ({
      ...one,
      rttMs: options.rttMs(one.node),
      isLocal: one.node === options.self,
      openTunnels: openTo.get(copyKey(one)) ?? 0,
    }))
    const calling = { caller: `${options.self} ${caller ?? ''}`, random: options.random }
    const { order, memory } = choose(address, candidates, turns.get(turn) ?? noMemory, calling)
    if (isCall) remember(turn, memory)
    const found = order as readonly (Candidate & LiveEndpoint)[]
    const isShunned = ({ node }: LiveEndpoint): boolean => (shunnedUntil.get(node) ?? 0) > performance.now()
    return [...found.filter((one) => !isShunned(one)), ...found.filter(isShunned)]
  }

  const shun = (node: NodeId): void => {
    shunnedUntil.delete(node)
    shunnedUntil.set(node, performance.now() + SHUNNED_MS)
    const oldest = shunnedUntil.keys().next().value
    if (shunnedUntil.size > SHUNNED_MAX && oldest !== undefined) shunnedUntil.delete(oldest)
  }

  const remember = (turn: string, memory: ChoiceMemory): void => {
    turns.delete(turn)
    turns.set(turn, memory)
    const oldest = turns.keys().next().value
    if (turns.size > TURNS_MAX && oldest !== undefined) turns.delete(oldest)
  }

  const find = async (
    text: string,
    finding: Finding,
    signal: AbortSignal,
  ): Promise<Result<Resolution, ConnectProblem>> => {
    const parsed = parseAddress(text)
    if (!parsed.ok) {
      const code = parsed.error.code === 'not-ours' ? 'not-ours' : 'bad-name'
      return err({ code, sentence: parsed.error.problem })
    }
    const address = parsed.value
    const service = serviceOf(address)
    if (service === null) return err({ code: 'no-service', sentence: `no service answers to ${text}` })
    const { records, reason, isAbsent } = await options.lookUp(service, signal)
    if (records === null) {
      return err({
        code: isAbsent ? 'no-service' : 'unanswered',
        sentence: reason ?? `there is no service ${service}`,
      })
    }
    const spec = specIn(records)
    const caller = finding.caller === null ? '' : namespaceOf(splitInstanceKey(finding.caller).service)
    const forbidden = whyNotCall(caller, service, spec?.callers ?? [])
    if (forbidden !== null) return err({ code: 'not-allowed', sentence: forbidden })
    const order = inOrder(service, endpointsOf(records, options.isGone), address, finding)
    if (order.length === 0 && finding.isCall) prepare(records)
    return ok({ service, address, spec, order, reason: order.length > 0 ? null : whyNone(service, address, records) })
  }

  const dial = async (
    one: LiveEndpoint,
    port: number,
    { protocol, caller: stream }: Call,
    caller: InstanceKey | null,
    signal: AbortSignal,
  ): Promise<Result<Duplex, TunnelFailure>> => {
    if (one.node === options.self) {
      const patience = within(DIAL_MS_MAX, signal)
      return dialInstance(one, port, protocol, patience.signal).finally(patience.end)
    }
    const { service, number, node, domain } = one
    const callerNamespace = caller === null ? '' : namespaceOf(splitInstanceKey(caller).service)
    const header = { kind: 'instance', service, number, port, protocol, callerNamespace } as const
    return tunnelTo(node, domain, header, signal, stream)
  }

  /** Counts a tunnel for as long as it is open. */
  const counted = (one: LiveEndpoint, tunnel: Duplex): void => {
    const key = copyKey(one)
    openTo.set(key, (openTo.get(key) ?? 0) + 1)
    tunnel.once('close', () => {
      const left = (openTo.get(key) ?? 1) - 1
      if (left === 0) openTo.delete(key)
      else openTo.set(key, left)
    })
  }

  const tunnelTo: Traffic['tunnelTo'] = async (node, domain, header, signal, caller = null) => {
    const patience = within(DIAL_MS_MAX, signal)
    try {
      if (!options.isConnected(node)) await options.reach(node, domain, patience.signal)
      return await options.network().openTunnel(node, header, patience.signal, caller)
    } finally {
      patience.end()
    }
  }

  const connect: Connect = async (text, signal, call) => {
    const { protocol, from } = call
    const caller = from === null ? null : await options.callerAt(from, protocol)
    const found = await find(text, { caller, isCall: true }, signal)
    if (!found.ok) return found
    const { service, address, order, reason } = found.value
    if (reason !== null) return err({ code: 'no-instance', sentence: reason })
    const failures: string[] = []
    const codes = new Set<string>()
    for (const one of order) {
      const first = one.endpoint.ports.find((port) => port.protocol === protocol)
      const opened = await dial(one, address.port ?? first?.declared ?? 0, call, caller, signal)
      if (opened.ok) {
        counted(one, opened.value)
        return opened
      }
      if (['unreachable', 'dial-failed', 'lost'].includes(opened.error.code)) shun(one.node)
      codes.add(opened.error.code)
      failures.push(`#${one.number} on ${one.node}: ${opened.error.detail} (${opened.error.code})`)
      if (signal.aborted || opened.error.code === 'lost') break
    }
    const [only = ''] = codes
    const code = codes.size === 1 && TELLING.includes(only) ? only : 'unreachable'
    return err({ code, sentence: `no instance of ${service} could be reached: ${failures.join('; ')}` })
  }

  const serveInstance: ServeInstance = async (header, signal) => {
    const { service, number, port, protocol, callerNamespace } = header
    const forbidden = await whyNotServe(callerNamespace, service, signal)
    if (forbidden !== null) return err({ code: 'not-allowed', detail: forbidden })
    // Who called may not know yet that it runs elsewhere too: until it stops here it is served here.
    const one = endpointOn(options.local(service), options.self, number)
    if (one === undefined) return err(notRunning(header))
    return dialInstance(one, port, protocol, signal)
  }

  /** People of another operator call what its descriptor opens to all, or the policy to them. */
  const isStranger = async (
    caller: OperatorId,
    { service, callerNamespace }: InstanceHeader,
    signal: AbortSignal,
  ): Promise<boolean> => {
    if (callerNamespace !== '' || options.mayReach(caller, service)) return false
    const { records } = await options.lookUp(service, signal)
    return specIn(records ?? [])?.callers.includes(ANY_CALLER) !== true
  }

  /** The descriptor is looked up only for callers that it has to allow. */
  const whyNotServe = async (caller: string, service: ServiceId, signal: AbortSignal): Promise<string | null> => {
    if (whyNotCall(caller, service, []) === null) return null
    const { records } = await options.lookUp(service, signal)
    return whyNotCall(caller, service, specIn(records ?? [])?.callers ?? [])
  }

  return {
    resolve: async (address, signal) => {
      const found = await find(address, LOOKING, signal)
      if (found.ok) return found.value
      throw new CoppiceError(
        found.error.code,
        found.error.sentence,
        'Compare it with the address that `coppice ps` or `coppice inspect` shows.',
      )
    },
    find: (address, signal) => find(address, LOOKING, signal),
    connect,
    tunnelTo,
    serve: async (from, facts, header, signal) => {
      if (header.kind !== 'instance') return await options.inside(from, facts, header, signal)
      if (await isStranger(facts.operator, header, signal)) return err(notRunning(header))
      const served = await serveInstance(header, signal)
      if (served.ok) options.onServed(instanceKey(header.service, header.number), served.value)
      return served
    },
  }
}

/** To those who may not call it, it is not here. */
const notRunning = ({ service, number }: InstanceHeader): TunnelRefusal => ({
  code: 'not-running',
  detail: `${instanceKey(service, number)} does not run here`,
})

/** Which copy of an instance: during a migration two have one number. */
const copyKey = ({ service, number, node }: LiveEndpoint): string => `${service} ${number} ${node}`

function whyNone(service: ServiceId, { instance, policy }: ServiceAddress, records: readonly SealedRecord[]): string {
  const states = records.flatMap(({ message }) =>
    message.kind === 'record/instance' && message.live ? [`#${message.number} is ${message.state}`] : [],
  )
  const which = policy === 'instance' ? `instance ${instance} of ${service}` : `any instance of ${service}`
  return `there is no address to give for ${which}: ${states.length === 0 ? 'none runs' : states.join(', ')}`
}
