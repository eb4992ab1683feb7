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
  type VirtualNetwork,
} from '../overlay/virtual-address.ts'
import type { ServiceSpec } from '../placement/index.ts'
import type { Core } from './core/core.ts'
import { knownServices, readSpec, specOf } from './view.ts'

/** Services that get a loopback address before anybody asks. */
const KNOWN_NAMES_MAX = 1_000
const WHY_NOT = 'another name has it, or it is in no network of this node (10.30.0.0/16 takes --virtual-network)'
/** Names that were asked for and keep their listeners; the one that was asked for longest ago goes first. */
const ASKED_NAMES_MAX = 1_000

export interface VirtualWays {
  /** Looks at the known services again. */
  readonly refresh: () => void
  /** The address of a name, listened on by the time it resolves; null when it cannot be. */
  ensure(service: ServiceId, address: ServiceAddress, spec: ServiceSpec): Promise<string | null>
  /** The name that an address of ours stands for, without a port. */
  nameAt(address: string): string | null
  close(): Promise<void>
}

export function openVirtual(
  core: Core,
  self: NodeId,
  network: VirtualNetwork,
  connect: Connect,
  notice: (code: string, detail: string) => void,
): VirtualWays {
  const table = createVirtualAddresses([], self, network)
  /** The addresses that descriptors ask for, by name, and those that were not to be had. */
  const claimed = new Map<string, string>()
  const refused = new Set<string>()
  const listeners = openVirtualListeners({ connect, onProblem: ({ code, sentence }) => notice(code, sentence) })
  const asked = new Map<string, { readonly spec: ServiceSpec; readonly wanted: VirtualListener }>()
  let openHosts: ReadonlySet<string> = new Set()
  let shown = ''
  let setting: Promise<void> = Promise.resolve()

  const wantedOf = (name: string, spec: ServiceSpec | null): VirtualListener => ({
    name,
    host: allocateVirtualAddress(table, name).address,
    ports: (spec?.ports ?? []).map(({ declared, protocol }) => ({ port: declared, protocol })),
  })

  /** The names to which the SLA of a service gives an address, with that address. */
  const claim = (service: ServiceId, spec: ServiceSpec): readonly VirtualListener[] =>
    askedAddresses(service, spec).flatMap(({ name, address }) => {
      const isHad = claimVirtualAddress(table, name, address, (holder) => claimed.has(holder))
      if (isHad) claimed.set(name, address)
      else if (!refused.has(`${name} ${address}`)) {
        refused.add(`${name} ${address}`)
        notice('address-not-honoured', `${address} of ${name}: ${WHY_NOT}`)
      }
      return isHad ? [wantedOf(name, spec)] : []
    })

  const refresh = (): void => {
    const services = [...new Set(knownServices(core.view))].sort().slice(0, KNOWN_NAMES_MAX)
    const specs = services.map((service) => ({ service, spec: readSpec(specOf(core.view, service)) }))
    for (const name of [...claimed.keys()])
      if (!specs.some(({ service }) => isNameOf(name, service))) claimed.delete(name)
    // Those first that were asked for: they may take an address from a name that only happened to have it.
    const pinned = specs.flatMap(({ service, spec }) => (spec ? claim(service, spec) : []))
    const isPinned = new Set(pinned.map(({ name }) => name))
    const unasked = specs.filter(({ service }) => !isPinned.has(addressOf(service)))
    const plain = [...pinned, ...unasked.map(({ service, spec }) => wantedOf(addressOf(service), spec))]
    const others = [...asked.values()].map(({ wanted }) => wanted)
    const isPlain = new Set(plain.map(({ name }) => name))
    const all = [...plain, ...others.filter(({ name }) => !isPlain.has(name))]
    const now = JSON.stringify(all)
    if (now === shown) return
    shown = now
    setting = listeners.set(all).then(() => {
      openHosts = new Set(listeners.open().map((open) => open.slice(0, open.lastIndexOf(':'))))
    })
  }

  return {
    refresh,
    ensure: async (service, address, spec) => {
      const name = canonicalName(service, address)
      const known = asked.get(name)
      // A question that is asked again and again costs no more than this.
      if (known?.spec === spec && openHosts.has(known.wanted.host)) return known.wanted.host
      const wanted = wantedOf(name, spec)
      asked.delete(name)
      asked.set(name, { spec, wanted })
      const oldest = asked.keys().next().value
      if (asked.size > ASKED_NAMES_MAX && oldest !== undefined) asked.delete(oldest)
      refresh()
      await setting
      return openHosts.has(wanted.host) ? wanted.host : null
    },
    nameAt: (address) => nameAt(table, address),
    close: () => listeners.close(),
  }
}

const isNameOf = (name: string, service: ServiceId): boolean => name.startsWith(`${service}.`)

/** What `addresses` of an SLA asks for, as names of ours. IPv6 is left out: listeners have no network for it. */
function askedAddresses(service: ServiceId, { addresses }: ServiceSpec) {
  const { roundRobin, closest, instances } = addresses
  const wanted: readonly (readonly [Pick<ServiceAddress, 'policy' | 'instance'>, string | null])[] = [
    [{ policy: 'rr', instance: 0 }, roundRobin],
    [{ policy: 'closest', instance: 0 }, closest],
    ...instances.map(({ number, address }) => [{ policy: 'instance', instance: number }, address] as const),
  ]
  return wanted.flatMap(([how, address]) => (address === null ? [] : [{ name: canonicalName(service, how), address }]))
}
