// How programs on this device get in: the HTTP proxy, and a loopback address for each service.

import { addressOf } from '../overlay/address.ts'
import { openHttpProxy } from '../overlay/io/http-proxy.ts'
import { openVirtualListeners, type VirtualListeners } from '../overlay/io/virtual-listeners.ts'
import type { Listener } from '../overlay/io/way-in.ts'
import type { NodeId, ServiceId } from '../overlay/kernel/ids.ts'
import { allocateVirtualAddress, createVirtualAddresses } from '../overlay/virtual-address.ts'
import type { Core } from './core/core.ts'
import { CoppiceError } from './errors.ts'
import type { Traffic } from './traffic.ts'
import { knownServices, readSpec, specOf } from './view.ts'

/** Services that get a loopback address of their own; the others are reached through the proxy. */
const VIRTUAL_SERVICES_MAX = 1_000

/** The HTTP proxy on loopback. Rejects with CoppiceError `port-in-use`. */
export async function openProxy(
  port: number,
  connect: Traffic['connect'],
  onRefused: (address: string, sentence: string) => void,
): Promise<Listener> {
  try {
    return await openHttpProxy({ port, connect, onRefused: (address, refusal) => onRefused(address, refusal.sentence) })
  } catch (problem) {
    const detail = problem instanceof Error ? problem.message : String(problem)
    throw new CoppiceError(
      'port-in-use',
      `the HTTP proxy cannot listen on port ${port}: ${detail}`,
      'Choose another with --http-proxy.',
    )
  }
}

export interface VirtualWays {
  readonly refresh: () => void
  addressOf(service: ServiceId): string | null
  close(): Promise<void>
}

/** A loopback address for each known service, while it is known. */
export function openVirtual(
  core: Core,
  self: NodeId,
  traffic: Traffic,
  notice: (code: string, detail: string) => void,
): VirtualWays {
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
        ports: (readSpec(specOf(core.view, service))?.ports ?? [])
          .filter((port) => port.protocol === 'tcp')
          .map((port) => port.declared),
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
