// How programs on this device get in: the HTTP and SOCKS5 proxies, the DNS server, and an address for each name. All of
// them hand what comes to the same `connect`.

import { isIP } from 'node:net'
import type { ServiceAddress } from '../overlay/address.ts'
import type { DnsOutcome } from '../overlay/dns.ts'
import type { Upstream } from '../overlay/io/dns-forward.ts'
import { type DnsServerOptions, openDnsServer } from '../overlay/io/dns-server.ts'
import { openHttpProxy } from '../overlay/io/http-proxy.ts'
import { openSocksServer } from '../overlay/io/socks-server.ts'
import type { ConnectProblem, Listener } from '../overlay/io/way-in.ts'
import type { NodeId, ServiceId } from '../overlay/kernel/ids.ts'
import type { VirtualNetwork } from '../overlay/virtual-address.ts'
import type { ServiceSpec } from '../placement/index.ts'
import type { StatusView } from './control.ts'
import type { Core } from './core/core.ts'
import { CoppiceError } from './errors.ts'
import { ownResolver } from './io/own-resolver.ts'
import { openVirtualNetwork } from './io/virtual-network.ts'
import type { NodeOptions } from './options.ts'
import type { Traffic } from './traffic.ts'
import { openVirtual, resolverAddress, type VirtualWays } from './virtual-ways.ts'

const LOOPBACK = '127.0.0.1'
const DNS_PORT = 53

export interface WaysIn {
  /** Where each of them listens; null where it is turned off. */
  readonly proxies: StatusView['proxies']
  /** Looks at the known services again. */
  readonly refresh: () => void
  /** The address of a name on this device, listened on by the time it resolves. */
  virtualAddressOf(service: ServiceId, address: ServiceAddress, spec: ServiceSpec | null): Promise<string | null>
  close(): Promise<void>
}

export interface WaysInOptions {
  readonly node: NodeOptions
  readonly core: Core
  readonly self: NodeId
  readonly traffic: Traffic
  readonly notice: (code: string, detail: string) => void
}

/** Opens all that the options ask for. Rejects with CoppiceError `port-in-use`; what was open is closed again then. */
export async function openWaysIn({ node, core, self, traffic, notice }: WaysInOptions): Promise<WaysIn> {
  const { connect } = traffic
  const onProblem = ({ code, sentence }: ConnectProblem): void => notice(code, sentence)
  const network = node.virtualNetwork ? await openVirtualNetwork() : null
  const networks: readonly VirtualNetwork[] =
    network === null ? ['127.30'] : network.hasIpv6 ? ['10.30', 'fdff'] : ['10.30']
  const virtual =
    node.virtualListeners === false ? null : openVirtual({ core, self, networks, holder: network, connect, notice })
  const forwardTo = node.dnsForward === undefined ? null : readUpstream(node.dnsForward)
  const opened: Listener[] = []
  /** Counts how often something may have changed that answers are made from. */
  let changes = 0
  const asOf = (): number => changes
  const resolve: DnsServerOptions['resolve'] = (name, needsAddress, signal) =>
    lookUpName(traffic, virtual, { name, needsAddress, asOf }, signal)
  const close = async (): Promise<void> => {
    await Promise.all([...opened.map((listener) => listener.close()), virtual?.close()])
    await network?.close()
  }
  const open = async (wanted: number | null | undefined, way: Way, start: (port: number) => Promise<Listener>) => {
    if (wanted === null) return null
    const listener = await start(wanted ?? 0).catch((problem) => Promise.reject(portInUse(way, wanted ?? 0, problem)))
    opened.push(listener)
    return `${way.scheme}${listener.host}:${listener.port}`
  }
  try {
    const http = await open(node.httpProxyPort, HTTP, (port) =>
      openHttpProxy({
        port,
        connect,
        onRefused: (address, refusal) => notice('call-failed', `${address}: ${refusal.sentence}`),
      }),
    )
    const nameAt = (address: string): string | null => virtual?.nameAt(address) ?? null
    const socks = await open(node.socksPort, SOCKS, (port) => openSocksServer({ port, connect, nameAt, onProblem }))
    const dns = await open(node.dnsPort, DNS, (port) =>
      openDnsServer({
        host: LOOPBACK,
        port,
        resolve,
        asOf,
        forwardTo,
        onReason: (name, reason) => notice('name-not-answered', `${name}: ${reason}`),
      }),
    )
    if (node.virtualNetwork) {
      const upstream = forwardTo ?? (await ownResolver())
      opened.push(
        await openDnsServer({
          host: resolverAddress(self),
          port: DNS_PORT,
          resolve,
          asOf,
          forwardTo: upstream,
          onReason: (name, reason) => notice('name-not-answered', `${name}: ${reason}`),
        }),
      )
    }
    return {
      proxies: { http, socks, dns },
      refresh: () => {
        changes += 1
        virtual?.refresh()
      },
      virtualAddressOf: async (service, address, spec) =>
        spec === null ? null : ((await virtual?.ensure(service, address, spec))?.v4 ?? null),
      close,
    }
  } catch (problem) {
    await close()
    throw problem
  }
}

interface Way {
  readonly name: string
  readonly scheme: string
  /** The word of `coppice up` that chooses its port. */
  readonly word: string
}
const HTTP: Way = { name: 'the HTTP proxy', scheme: 'http://', word: '--http-proxy' }
/** `socks5h` is what curl and others call SOCKS5 with the names left to the proxy. */
const SOCKS: Way = { name: 'the SOCKS5 proxy', scheme: 'socks5h://', word: '--socks' }
const DNS: Way = { name: 'the DNS server', scheme: '', word: '--dns' }

function portInUse({ name, word }: Way, port: number, problem: unknown): CoppiceError {
  const detail = problem instanceof Error ? problem.message : String(problem)
  return new CoppiceError('port-in-use', `${name} cannot listen on port ${port}: ${detail}`, `Choose another: ${word}.`)
}

/** An address only where there is an instance to lead to: a program should hear at once that there is none. */
async function lookUpName(
  traffic: Traffic,
  virtual: VirtualWays | null,
  { name, needsAddress, asOf }: { readonly name: string; readonly needsAddress: boolean; readonly asOf: () => number },
  signal: AbortSignal,
): Promise<DnsOutcome> {
  const found = await traffic.find(name, signal)
  // Whatever changes from here on is not in the answer.
  const foundAsOf = asOf()
  if (!found.ok) {
    const { code, sentence } = found.error
    return { kind: code === 'unanswered' ? 'unanswered' : 'absent', reason: sentence }
  }
  const { service, address, spec, order } = found.value
  const isWanted = needsAddress && order.length > 0 && virtual !== null && spec !== null
  const addresses = isWanted ? await virtual.ensure(service, address, spec) : null
  return {
    kind: 'found',
    service,
    policy: address.policy,
    addressV4: addresses?.v4 ?? null,
    addressV6: addresses?.v6 ?? null,
    instances: order.map(({ number, endpoint }) => ({
      number,
      ports: endpoint.ports.map(({ declared, protocol }) => ({ port: declared, protocol })),
    })),
    asOf: foundAsOf,
  }
}

/** `192.0.2.1`, `192.0.2.1:5353`, `2001:db8::1` or `[2001:db8::1]:5353`. Throws CoppiceError `wrong-option`. */
export function readUpstream(text: string): Upstream {
  if (isIP(text) !== 0) return { host: text, port: DNS_PORT }
  const match = /^(?:\[(.+)\]|([0-9.]+)):([0-9]{1,5})$/.exec(text)
  const host = match?.[1] ?? match?.[2] ?? ''
  const port = Number(match?.[3] ?? 0)
  if (isIP(host) !== 0 && port >= 1 && port <= 65_535) return { host, port }
  throw new CoppiceError(
    'wrong-option',
    `"${text}" is no resolver`,
    'Give an IP address, as in --dns-forward 192.0.2.1.',
  )
}
