// Carries calls: a name becomes an order of instances, the first that can be reached gets the bytes, and the others are
// tried only as long as none were sent. The same file serves the other end: it dials the instance that a tunnel is for.

import { connect as dialTcp } from 'node:net'
import type { Duplex } from 'node:stream'
import { isAddressOf, parseAddress, type ServiceAddress } from '../overlay/address.ts'
import { type Candidate, type ChoiceMemory, choose, noMemory } from '../overlay/choose.ts'
import type { NetworkPort, TunnelHandler, TunnelHeader } from '../overlay/io/network.ts'
import type { ConnectProblem } from '../overlay/io/way-in.ts'
import type { DomainPath, NodeId, ServiceId } from '../overlay/kernel/ids.ts'
import { instanceKey } from '../overlay/kernel/ids.ts'
import { err, ok, type Result } from '../overlay/kernel/result.ts'
import type { TunnelRefusal } from '../overlay/tunnel.ts'
import type { SealedRecord } from '../services-registry/index.ts'
import type { ResolvedService } from './core/effects.ts'
import { endpointsOf, type LiveEndpoint } from './endpoints.ts'
import { CoppiceError } from './errors.ts'

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
}

export interface Resolution {
  readonly service: ServiceId
  readonly address: ServiceAddress
  readonly order: readonly LiveEndpoint[]
  readonly reason: string | null
}

export interface Traffic {
  /** The instances that a name means now, in the order in which a call would try them. Rejects with CoppiceError. */
  resolve(address: string, signal: AbortSignal): Promise<Resolution>
  /** Bytes to an instance of the service that a name means. */
  connect(address: string, signal: AbortSignal): Promise<Result<Duplex, ConnectProblem>>
  /** A tunnel to a node of that cluster, which is found and connected to first where it has to be. */
  tunnelTo(
    node: NodeId,
    domain: DomainPath,
    header: TunnelHeader,
    signal: AbortSignal,
  ): Promise<Result<Duplex, TunnelRefusal>>
  /** The serving end of tunnels. */
  readonly serve: TunnelHandler
}

export function createTraffic(options: TrafficOptions): Traffic {
  const turns = new Map<string, ChoiceMemory>()
  const shunnedUntil = new Map<NodeId, number>()

  const serviceOf = (address: ServiceAddress): ServiceId | null => {
    if (address.service.kind === 'full') return address.service.id
    for (const service of options.known()) if (isAddressOf(address, service)) return service
    return null
  }

  /** Advances the round robin only for calls, not for looking. */
  const inOrder = (
    endpoints: readonly LiveEndpoint[],
    address: ServiceAddress,
    turn: string,
    isCall: boolean,
  ): readonly LiveEndpoint[] => {
    const candidates = endpoints.map((one): Candidate & LiveEndpoint => ({
      ...one,
      rttMs: options.rttMs(one.node),
      isLocal: one.node === options.self,
    }))
    const { order, memory } = choose(address, candidates, turns.get(turn) ?? noMemory)
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
    isCall: boolean,
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
    const { records, reason } = await options.lookUp(service, signal)
    if (records === null) return err({ code: 'no-service', sentence: reason ?? `there is no service ${service}` })
    const order = inOrder(endpointsOf(records, options.isGone), address, `${service} ${address.policy}`, isCall)
    return ok({ service, address, order, reason: order.length > 0 ? null : whyNone(service, address, records) })
  }

  const openTo = async (
    one: LiveEndpoint,
    port: number,
    signal: AbortSignal,
  ): Promise<Result<Duplex, TunnelRefusal>> => {
    if (one.node === options.self)
      return dialInstance(one, port, AbortSignal.any([signal, AbortSignal.timeout(DIAL_MS_MAX)]))
    const { service, number, node, domain } = one
    return tunnelTo(
      node,
      domain,
      { kind: 'instance', service, number, port, protocol: 'tcp', callerNamespace: '' },
      signal,
    )
  }

  const tunnelTo: Traffic['tunnelTo'] = async (node, domain, header, signal) => {
    const bounded = AbortSignal.any([signal, AbortSignal.timeout(DIAL_MS_MAX)])
    if (!options.isConnected(node)) await options.reach(node, domain, bounded)
    return options.network().openTunnel(node, header, bounded)
  }

  return {
    resolve: async (address, signal) => {
      const found = await find(address, false, signal)
      if (found.ok) return found.value
      throw new CoppiceError(
        found.error.code,
        found.error.sentence,
        'Compare it with the address that `coppice ps` or `coppice inspect` shows.',
      )
    },
    connect: async (text, signal) => {
      const found = await find(text, true, signal)
      if (!found.ok) return found
      const { service, address, order, reason } = found.value
      if (reason !== null) return err({ code: 'no-instance', sentence: reason })
      const failures: string[] = []
      for (const one of order) {
        const port = address.port ?? one.endpoint.ports[0]?.declared ?? 0
        const opened = await openTo(one, port, signal)
        if (opened.ok) return opened
        if (['unreachable', 'dial-failed'].includes(opened.error.code)) shun(one.node)
        failures.push(`#${one.number} on ${one.node}: ${opened.error.detail} (${opened.error.code})`)
        if (signal.aborted) break
      }
      return err({
        code: 'unreachable',
        sentence: `no instance of ${service} could be reached: ${failures.join('; ')}`,
      })
    },
    tunnelTo,
    serve: async (from, facts, header, signal) => {
      if (header.kind !== 'instance') return await options.inside(from, facts, header, signal)
      if (header.protocol !== 'tcp') return err({ code: 'not-allowed', detail: 'only tcp is carried so far' })
      const own = options.local(header.service)
      const one = endpointsOf(own, () => false).find(
        (candidate) => candidate.number === header.number && candidate.node === options.self,
      )
      const key = instanceKey(header.service, header.number)
      if (one === undefined) return err({ code: 'not-running', detail: `${key} does not run here` })
      return dialInstance(one, header.port, signal)
    },
  }
}

function whyNone(service: ServiceId, { instance, policy }: ServiceAddress, records: readonly SealedRecord[]): string {
  const states = records.flatMap(({ message }) =>
    message.kind === 'record/instance' && message.live ? [`#${message.number} is ${message.state}`] : [],
  )
  const which = policy === 'instance' ? `instance ${instance} of ${service}` : `any instance of ${service}`
  return `there is no address to give for ${which}: ${states.length === 0 ? 'none runs' : states.join(', ')}`
}

/** Connects to an instance on this device. */
function dialInstance(
  one: LiveEndpoint,
  declared: number,
  signal: AbortSignal,
): Promise<Result<Duplex, TunnelRefusal>> {
  const port = one.endpoint.ports.find((candidate) => candidate.declared === declared && candidate.protocol === 'tcp')
  if (port === undefined) {
    const offered = one.endpoint.ports.map((candidate) => candidate.declared).join(', ')
    const detail = `${one.service} declares no tcp port ${declared}; it has ${offered === '' ? 'none' : offered}`
    return Promise.resolve(err({ code: 'no-such-port', detail }))
  }
  return new Promise((resolve) => {
    const socket = dialTcp({ host: one.endpoint.host, port: port.actual, allowHalfOpen: true, noDelay: true })
    const give = (result: Result<Duplex, TunnelRefusal>): void => {
      signal.removeEventListener('abort', onAbort)
      socket.removeListener('error', onError)
      resolve(result)
    }
    const onAbort = (): void => {
      socket.destroy()
      give(err({ code: 'dial-failed', detail: 'it did not answer in time' }))
    }
    const onError = (problem: Error): void => give(err({ code: 'dial-failed', detail: problem.message }))
    socket.once('error', onError)
    socket.once('connect', () => give(ok(socket)))
    signal.addEventListener('abort', onAbort, { once: true })
  })
}
