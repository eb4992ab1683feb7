// A loopback address for each name that is called on this device: the plain name of every known service as soon as it
// is known, any other (a policy, an instance, a service of elsewhere) when somebody asks for it.

import { addressOf, canonicalName, type ServiceAddress } from '../overlay/address.ts'
import { openVirtualListeners, type VirtualListener } from '../overlay/io/virtual-listeners.ts'
import type { Connect } from '../overlay/io/way-in.ts'
import type { NodeId, ServiceId } from '../overlay/kernel/ids.ts'
import {
  allocateVirtualAddress,
  claimVirtualAddress,
  createVirtualAddresses,
  nameAt,
  type VirtualAddresses,
  type VirtualNetwork,
} from '../overlay/virtual-address.ts'
import type { ServiceSpec } from '../placement/index.ts'
import type { Core } from './core/core.ts'
import type { OpenNetwork } from './io/virtual-network.ts'
import { shownOf } from './shown.ts'
import { knownServices, readSpec, specOf } from './view.ts'

/** Services that get a loopback address before anybody asks. */
const KNOWN_NAMES_MAX = 1_000
const WHY_NOT =
  'another name has it, or it is in no network of this node (10.30.0.0/16 and fdff::/112 take --virtual-network)'
/** Names that were asked for and keep their listeners; the one that was asked for longest ago goes first. */
const ASKED_NAMES_MAX = 1_000

/** Stands for the node's DNS server in the table of names; no name of a service looks like it. */
const RESOLVER = 'resolver'

/** Where containers of this node find its DNS server in the virtual network: another one for each node of a device. */
export const resolverAddress = (self: NodeId): string =>
  allocateVirtualAddress(createVirtualAddresses([], self, '10.30'), RESOLVER).address

/** The addresses of one name on this device; null where it has none. */
export interface NameAddresses {
  readonly v4: string | null
  readonly v6: string | null
}

export interface VirtualWays {
  /** Looks at the known services again. */
  readonly refresh: () => void
  /** The addresses of a name, listened on by the time it resolves. */
  ensure(service: ServiceId, address: ServiceAddress, spec: ServiceSpec): Promise<NameAddresses>
  /** The name that an address of ours stands for, without a port. */
  nameAt(address: string): string | null
  close(): Promise<void>
}

/** The addresses of one network, and those of them that descriptors ask for, by name. */
interface Family {
  readonly table: VirtualAddresses
  readonly claimed: Map<string, string>
}

interface Named {
  readonly name: string
  readonly spec: ServiceSpec | null
}

export interface VirtualSetup {
  readonly core: Core
  readonly self: NodeId
  /** The first is that of IPv4. */
  readonly networks: readonly VirtualNetwork[]
  /** What makes addresses of IPv6 such that they can be listened on; null where there are none. */
  readonly holder: Pick<OpenNetwork, 'hold' | 'keep'> | null
  readonly connect: Connect
  readonly notice: (code: string, detail: string) => void
}

export function openVirtual({ core, self, networks, holder, connect, notice }: VirtualSetup): VirtualWays {
  const families = networks.map((network) => familyOf(network, self))
  /** The addresses that were not to be had: said once. */
  const refused = new Set<string>()
  const listeners = openVirtualListeners({ connect, onProblem: ({ code, sentence }) => notice(code, sentence) })
  const asked = new Map<string, Named & { readonly hosts: readonly string[] }>()
  let openHosts: ReadonlySet<string> = new Set()
  let shown = ''
  /** The revision of the specs at the last look. */
  let lookedAt = -1
  let setting: Promise<void> = Promise.resolve()

  const hostsOf = (name: string): readonly string[] =>
    families.map(({ table }) => allocateVirtualAddress(table, name).address)
  const wantedOf = ({ name, spec }: Named): readonly VirtualListener[] => {
    const ports = (spec?.ports ?? []).map(({ declared, protocol }) => ({ port: declared, protocol }))
    return hostsOf(name).map((host) => ({ name, host, ports }))
  }

  /** Whether a name got the address that the SLA of its service gives it. */
  const claim = (name: string, address: string): boolean => {
    const isHad = families.some(({ table, claimed }) => {
      const isOurs = claimVirtualAddress(table, name, address, (holder) => claimed.has(holder))
      if (isOurs) claimed.set(name, address)
      return isOurs
    })
    if (!isHad && !refused.has(`${name} ${address}`)) {
      refused.add(`${name} ${address}`)
      notice('address-not-honoured', `${address} of ${name}: ${WHY_NOT}`)
    }
    return isHad
  }

  const listenOn = async (all: readonly VirtualListener[]): Promise<void> => {
    const ipv6 = [...new Set(all.flatMap(({ host }) => (host.includes(':') ? [host] : [])))]
    await holder?.hold(ipv6)
    await listeners.set(all)
    await holder?.keep(ipv6)
  }

  const look = (): void => {
    lookedAt = core.view.specRevision()
    const services = [...new Set(knownServices(shownOf(core.view)))].sort().slice(0, KNOWN_NAMES_MAX)
    const specs = services.map((service) => ({ service, spec: readSpec(specOf(core.view, service)) }))
    for (const { claimed } of families) {
      for (const name of [...claimed.keys()]) {
        if (name !== RESOLVER && !specs.some(({ service }) => isNameOf(name, service))) claimed.delete(name)
      }
    }
    // Those first that were asked for: they may take an address from a name that only happened to have it.
    const pinned = specs.flatMap(({ service, spec }) =>
      spec === null
        ? []
        : askedAddresses(service, spec).flatMap(({ name, address }) => (claim(name, address) ? [{ name, spec }] : [])),
    )
    const plain = specs.map(({ service, spec }) => ({ name: addressOf(service), spec }))
    const named = new Map([...asked.values(), ...plain, ...pinned].map((one): [string, Named] => [one.name, one]))
    const all = [...named.values()].flatMap(wantedOf)
    const now = JSON.stringify(all)
    if (now === shown) return
    shown = now
    // One after the other: what a later change holds, an earlier one must not give up.
    setting = setting
      .then(() => listenOn(all))
      .then(() => {
        openHosts = new Set(listeners.open().map((open) => open.slice(0, open.lastIndexOf(':'))))
      })
  }

  const addressesOf = (hosts: readonly string[]): NameAddresses => {
    const [v4, v6] = hosts.map((host) => (openHosts.has(host) ? host : null))
    return { v4: v4 ?? null, v6: v6 ?? null }
  }

  return {
    refresh: () => {
      // Asked after every input, a heartbeat too.
      if (core.view.specRevision() !== lookedAt) look()
    },
    ensure: async (service, address, spec) => {
      const name = canonicalName(service, address)
      const known = asked.get(name)
      // A question that is asked again and again costs no more than this.
      if (known?.spec === spec && known.hosts.every((host) => openHosts.has(host))) return addressesOf(known.hosts)
      const hosts = hostsOf(name)
      asked.delete(name)
      asked.set(name, { name, spec, hosts })
      const oldest = asked.keys().next().value
      if (asked.size > ASKED_NAMES_MAX && oldest !== undefined) asked.delete(oldest)
      look()
      await setting
      return addressesOf(hostsOf(name))
    },
    nameAt: (address) => {
      for (const { table } of families) {
        const name = nameAt(table, address)
        if (name !== null) return name
      }
      return null
    },
    close: () => listeners.close(),
  }
}

function familyOf(network: VirtualNetwork, self: NodeId): Family {
  const table = createVirtualAddresses([], self, network)
  const claimed = new Map<string, string>()
  // The first to have an address keeps it: the one that containers were told never moves.
  if (network === '10.30') claimed.set(RESOLVER, allocateVirtualAddress(table, RESOLVER).address)
  return { table, claimed }
}

const isNameOf = (name: string, service: ServiceId): boolean => name.startsWith(`${service}.`)

/** What `addresses` of an SLA asks for, as names of ours. */
function askedAddresses(service: ServiceId, { addresses }: ServiceSpec) {
  const { roundRobin, closest, roundRobinV6, closestV6, instances } = addresses
  const wanted: readonly (readonly [Pick<ServiceAddress, 'policy' | 'instance'>, string | null])[] = [
    [{ policy: 'rr', instance: 0 }, roundRobin],
    [{ policy: 'rr', instance: 0 }, roundRobinV6],
    [{ policy: 'closest', instance: 0 }, closest],
    [{ policy: 'closest', instance: 0 }, closestV6],
    ...instances.flatMap(({ number, address, addressV6 }) =>
      [address, addressV6].map((one) => [{ policy: 'instance' as const, instance: number }, one] as const),
    ),
  ]
  return wanted.flatMap(([how, address]) => (address === null ? [] : [{ name: canonicalName(service, how), address }]))
}
