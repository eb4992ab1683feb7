// A short name for what an instance runs: two specs with the same id start the same thing, so an instance whose id is
// the wanted one is kept and not started anew. How many replicas there are, and how they rank, changes no instance.

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
export const specIdOf = (spec: ServiceSpec): string => fnv1a64(encodeSpec({ ...spec, ...OF_NO_CONCERN }))

const OFFSET_BASIS = 0xcbf29ce484222325n
const PRIME = 0x100000001b3n

/** FNV-1a, 64 bits (Fowler, Noll, Vo; draft-eastlake-fnv, section 2). */
export function fnv1a64(bytes: Uint8Array): string {
  let hash = OFFSET_BASIS
  for (const byte of bytes) hash = BigInt.asUintN(64, (hash ^ BigInt(byte)) * PRIME)
  return hash.toString(16).padStart(16, '0')
}
