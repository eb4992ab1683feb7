// A short name for what an instance runs: two specs with the same id start the same thing, so an instance whose id is
// the wanted one is kept and not started anew. How many replicas there are, and how they rank, changes no instance.

import { oncePerObject } from '../overlay/kernel/memo.ts'
import { encodeSpec, type ServiceSpec, SPEC_DEFAULTS } from './spec.ts'

/** What the leader and callers go by, and a running instance does not: changing it starts nothing anew. */
const OF_NO_CONCERN = {
  replicas: 0,
  priority: 0,
  constraints: [],
  labels: {},
  update: SPEC_DEFAULTS.update,
  disconnect: SPEC_DEFAULTS.disconnect,
  autonomy: SPEC_DEFAULTS.autonomy,
  dependsOn: SPEC_DEFAULTS.dependsOn,
  addresses: SPEC_DEFAULTS.addresses,
  callers: SPEC_DEFAULTS.callers,
} as const satisfies Partial<ServiceSpec>

/**
 * 16 hex digits of FNV-1a over the canonical bytes of what concerns one instance. Not cryptographic: it guards no
 * trust.
 */
export const specIdOf = oncePerObject((spec: ServiceSpec): string => fnv1a64(encodeSpec({ ...spec, ...OF_NO_CONCERN })))

/** The offset basis, 0xcbf29ce484222325, in two halves. */
const OFFSET_BASIS = { high: 0xcbf29ce4, low: 0x84222325 }
/** The prime is 2^40 + this. */
const PRIME_LOW = 0x1b3

/**
 * FNV-1a, 64 bits (Fowler, Noll, Vo; draft-eastlake-fnv, section 2). In halves of 32 bits, whose products with the
 * prime's low part are exact: a BigInt for each byte takes three times as long.
 */
export function fnv1a64(bytes: Uint8Array): string {
  let { high, low } = OFFSET_BASIS
  for (let index = 0; index < bytes.length; index++) {
    const mixed = (low ^ (bytes[index] as number)) >>> 0
    const product = mixed * PRIME_LOW
    low = product >>> 0
    high = (high * PRIME_LOW + Math.floor(product / 2 ** 32) + ((mixed << 8) >>> 0)) >>> 0
  }
  return hexOf(high) + hexOf(low)
}

const hexOf = (half: number): string => half.toString(16).padStart(8, '0')
