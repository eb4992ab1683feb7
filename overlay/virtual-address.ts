// An address of this device's own for each name that somebody here calls: 127.30.x.y, handed out by this node alone and
// remembered, so that two policies of one service do not share one. It means nothing anywhere else, so nobody has to
// agree on it.

import { hashText } from './membership/watchers.ts'

/**
 * The first two bytes of the addresses x.y.0.1 to x.y.255.254, or fdff::1 to fdff::fffe, which are unique local (RFC
 * 4193) and those that descriptors use. On loopback no route and no privilege is needed (RFC 1122, 3.2.1.3 g), but IPv6
 * has one address there only; containers reach only the others, which take routes on the device.
 */
export type VirtualNetwork = '127.30' | '10.30' | 'fdff'
const FIRST = 1
const LAST = 65_534
/**
 * How many services may have an address at once; at the limit the one that was not called for longest gives up its
 * own.
 */
export const VIRTUAL_ADDRESSES_MAX = LAST - FIRST + 1

export interface VirtualAddress {
  /** A name without its port, as `canonicalName` of address.ts writes it. */
  readonly name: string
  /** Dotted, e.g. `127.30.4.17`. */
  readonly address: string
}

/** Owned by the node and updated in place; both maps hold the same pairs, the first in the order of last use. */
export interface VirtualAddresses {
  readonly network: VirtualNetwork
  /** What tells this node from others on the same device: they should not all want the same address. */
  readonly salt: string
  readonly byName: Map<string, number>
  readonly byIndex: Map<number, string>
}

export interface Allocation {
  readonly address: string
  /** Whether the table is another than before and `listVirtualAddresses` has to be kept again. */
  readonly isNew: boolean
  /** Whose address this was until now, when all were taken. */
  readonly evicted: string | null
}

/**
 * The table as it was kept, longest unused first; entries that are no such address, or twice the same, are passed
 * over.
 */
export function createVirtualAddresses(
  kept: readonly VirtualAddress[],
  salt = '',
  network: VirtualNetwork = '127.30',
): VirtualAddresses {
  const table: VirtualAddresses = { network, salt, byName: new Map(), byIndex: new Map() }
  for (const { name, address } of kept) {
    const index = parseVirtualAddress(address, network)
    if (index === null || table.byIndex.has(index) || table.byName.has(name)) continue
    table.byName.set(name, index)
    table.byIndex.set(index, name)
  }
  return table
}

/** What to keep across restarts, longest unused first. */
export const listVirtualAddresses = (table: VirtualAddresses): readonly VirtualAddress[] =>
  [...table.byName].map(([name, index]) => ({ name, address: formatVirtualAddress(index, table.network) }))

/** The service's address, now used; a new one where it has none. */
export function allocateVirtualAddress(table: VirtualAddresses, name: string): Allocation {
  const known = table.byName.get(name)
  if (known !== undefined) {
    // Setting it anew moves it to the end of the map: the end that was used last.
    table.byName.delete(name)
    table.byName.set(name, known)
    return { address: formatVirtualAddress(known, table.network), isNew: false, evicted: null }
  }
  const evicted = table.byName.size >= VIRTUAL_ADDRESSES_MAX ? evictOldest(table) : null
  const index = freeIndex(table, name)
  table.byName.set(name, index)
  table.byIndex.set(index, name)
  return { address: formatVirtualAddress(index, table.network), isNew: true, evicted }
}

/**
 * Gives a name the address that was asked for it; false where that is no address of ours, or another name's that was
 * asked for as well. A name that only happened to have it gets another one when it is next used.
 */
export function claimVirtualAddress(
  table: VirtualAddresses,
  name: string,
  address: string,
  isClaimed: (name: string) => boolean,
): boolean {
  const index = parseVirtualAddress(address, table.network)
  if (index === null) return false
  const holder = table.byIndex.get(index)
  if (holder === name) return true
  if (holder !== undefined && isClaimed(holder)) return false
  if (holder !== undefined) releaseVirtualAddress(table, holder)
  releaseVirtualAddress(table, name)
  table.byName.set(name, index)
  table.byIndex.set(index, name)
  return true
}

/** Gives an address back; true when there was one. */
export function releaseVirtualAddress(table: VirtualAddresses, name: string): boolean {
  const index = table.byName.get(name)
  if (index === undefined) return false
  table.byIndex.delete(index)
  return table.byName.delete(name)
}

/** Whose address this is; null for nobody's and for what is none of ours. */
export function nameAt(table: VirtualAddresses, address: string): string | null {
  const index = parseVirtualAddress(address, table.network)
  return index === null ? null : (table.byIndex.get(index) ?? null)
}

export const formatVirtualAddress = (index: number, network: VirtualNetwork = '127.30'): string =>
  network === 'fdff' ? `fdff::${index.toString(16)}` : `${network}.${index >> 8}.${index & 255}`

/** The place of an address in its network, from 1 to 65534; null for any other text. */
export function parseVirtualAddress(text: string, network: VirtualNetwork = '127.30'): number | null {
  if (network === 'fdff') {
    const index = Number.parseInt(/^fdff::([1-9a-f][0-9a-f]{0,3})$/.exec(text)?.[1] ?? '0', 16)
    return index < FIRST || index > LAST ? null : index
  }
  if (!text.startsWith(`${network}.`)) return null
  const match = /^(0|[1-9][0-9]{0,2})\.(0|[1-9][0-9]{0,2})$/.exec(text.slice(network.length + 1))
  const [high, low] = [Number(match?.[1] ?? 256), Number(match?.[2] ?? 256)]
  const index = high * 256 + low
  return high > 255 || low > 255 || index < FIRST || index > LAST ? null : index
}

/** Starts at the hash of node and service: so it gets the same address again even where the table was lost. */
function freeIndex(table: VirtualAddresses, name: string): number {
  let index = FIRST + (hashText(`${table.salt}${name}`, 0) % VIRTUAL_ADDRESSES_MAX)
  while (table.byIndex.has(index)) index = index === LAST ? FIRST : index + 1
  return index
}

function evictOldest(table: VirtualAddresses): string | null {
  const oldest = table.byName.keys().next()
  if (oldest.done) return null
  releaseVirtualAddress(table, oldest.value)
  return oldest.value
}
