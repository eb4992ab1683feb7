// What is said to a router by PCP (RFC 6887), the successor of NAT-PMP on the same port: a question of 60 bytes for a
// port, and its answer. Bytes of strangers: what is not understood is null.

const VERSION = 2
const MAP = 1
/** An answer's operation is its question's with this bit (section 7.2). */
const ANSWER = 0x80
const TCP = 6
const HEADER_BYTES = 24
const MAP_BYTES = 60
/** As many as the protocol has room for; whoever shows the same ones again renews, or gives back (section 11.1). */
export const PCP_NONCE_BYTES = 12
/** `::ffff:0:0/96`, which addresses of IPv4 are written in (section 5). */
const MAPPED_IPV4 = Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff)
const ANY_IPV4 = '0.0.0.0'

/** What a router is asked for. */
export interface PcpRequest {
  /** Under which address of IPv4 this device speaks to the router, which refuses another one than it sees. */
  readonly client: string
  readonly nonce: Uint8Array
  readonly internal: number
  readonly external: number
  /** 0 gives the port back. */
  readonly lifetimeS: number
}

/** Asks for a TCP port (sections 7.1 and 11.1). */
export function pcpMapRequest({ client, nonce, internal, external, lifetimeS }: PcpRequest): Uint8Array {
  const bytes = new Uint8Array(MAP_BYTES)
  const view = new DataView(bytes.buffer)
  bytes.set([VERSION, MAP])
  view.setUint32(4, lifetimeS)
  bytes.set(mapped(client), 8)
  bytes.set(nonce.subarray(0, PCP_NONCE_BYTES), HEADER_BYTES)
  view.setUint8(36, TCP)
  view.setUint16(40, internal)
  view.setUint16(42, external)
  bytes.set(mapped(ANY_IPV4), 44)
  return bytes
}

export type PcpAnswer =
  | {
      readonly kind: 'mapped'
      readonly internal: number
      readonly external: number
      readonly host: string
      readonly lifetimeS: number
    }
  /** It speaks PCP, and will not (section 7.4). */
  | { readonly kind: 'refused'; readonly code: number }

/** The answer to a question with this nonce; null for what is none, or maps something else than TCP over IPv4. */
export function readPcpAnswer(bytes: Uint8Array, nonce: Uint8Array): PcpAnswer | null {
  if (bytes.length < HEADER_BYTES || bytes[0] !== VERSION || bytes[1] !== (ANSWER | MAP)) return null
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const code = view.getUint8(3)
  if (code !== 0) return { kind: 'refused', code }
  if (bytes.length < MAP_BYTES || view.getUint8(36) !== TCP) return null
  const isOurs = bytes.subarray(HEADER_BYTES, HEADER_BYTES + PCP_NONCE_BYTES).every((byte, at) => byte === nonce[at])
  const host = bytes.subarray(44, MAP_BYTES)
  if (!isOurs || !MAPPED_IPV4.every((byte, at) => byte === host[at])) return null
  return {
    kind: 'mapped',
    internal: view.getUint16(40),
    external: view.getUint16(42),
    host: host.subarray(MAPPED_IPV4.length).join('.'),
    lifetimeS: view.getUint32(4),
  }
}

const mapped = (ipv4: string): Uint8Array => Uint8Array.of(...MAPPED_IPV4, ...ipv4.split('.').map(Number))
