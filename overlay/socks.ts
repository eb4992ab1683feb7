// SOCKS5 as bytes (RFC 1928): what a client says, what it is answered, and the header of its datagrams. Only the method
// without a password is offered: whoever reaches loopback is on the device already.

import { unreachable } from './kernel/assert.ts'
import { err, ok, type Result } from './kernel/result.ts'

/** Reply codes (RFC 1928, section 6). */
export const REPLIES = {
  succeeded: 0,
  failed: 1,
  notAllowed: 2,
  hostUnreachable: 4,
  refused: 5,
  commandNotSupported: 7,
  addressNotSupported: 8,
} as const
export type Reply = (typeof REPLIES)[keyof typeof REPLIES]

export interface SocksTarget {
  /** A name, or an IP address in its usual spelling. */
  readonly host: string
  readonly kind: 'name' | 'ipv4' | 'ipv6'
  readonly port: number
}

export interface SocksRequest {
  readonly command: 'connect' | 'udp-associate'
  readonly target: SocksTarget
}

/** What was read, and of how many bytes; null when more have to come. */
export type SocksRead<T, E> = Result<{ readonly value: T; readonly length: number } | null, E>

const VERSION = 5
const NO_AUTHENTICATION = 0
const NO_METHOD = 255
const COMMANDS: Readonly<Record<number, SocksRequest['command']>> = { 1: 'connect', 3: 'udp-associate' }
const IPV4 = 1
const NAME = 3
const IPV6 = 4
const PORT_BYTES = 2

/** The longest request: a name of 255 bytes with what stands around it. */
export const SOCKS_REQUEST_BYTES_MAX = 4 + 1 + 255 + PORT_BYTES

/** Whether the client can do without a password; an error for what is no SOCKS5. */
export function readGreeting(bytes: Uint8Array): SocksRead<boolean, 'not-socks5'> {
  const [version, count] = bytes
  if (version !== undefined && version !== VERSION) return err('not-socks5')
  if (count === undefined || bytes.length < 2 + count) return ok(null)
  return ok({ value: bytes.subarray(2, 2 + count).includes(NO_AUTHENTICATION), length: 2 + count })
}

export const writeMethod = (isAccepted: boolean): Uint8Array =>
  Uint8Array.of(VERSION, isAccepted ? NO_AUTHENTICATION : NO_METHOD)

/** Reads a request; the error is the reply to refuse it with. */
export function readSocksRequest(bytes: Uint8Array): SocksRead<SocksRequest, Reply> {
  const [version, code] = bytes
  if (version !== undefined && version !== VERSION) return err(REPLIES.failed)
  if (code === undefined) return ok(null)
  const target = readTarget(bytes, 3)
  if (!target.ok) return target
  if (target.value === null) return ok(null)
  const command = COMMANDS[code]
  if (command === undefined) return err(REPLIES.commandNotSupported)
  return ok({ value: { command, target: target.value.value }, length: target.value.length })
}

/** A reply with the address where the other side is, or all zeros where that says nothing. */
export function writeReply(reply: Reply, bound: { readonly host: string; readonly port: number } | null): Uint8Array {
  const address = (bound?.host ?? '0.0.0.0').split('.').map(Number)
  return Uint8Array.of(VERSION, reply, 0, IPV4, ...address, ...portBytes(bound?.port ?? 0))
}

export interface SocksDatagram {
  readonly target: SocksTarget
  /** The header as it came; what answers goes back under the same. */
  readonly header: Uint8Array
  readonly datagram: Uint8Array
}

/**
 * A datagram of an association (RFC 1928, section 7); null for what is none, and for fragments, which we do not join.
 */
export function readSocksDatagram(bytes: Uint8Array): SocksDatagram | null {
  const target = readTarget(bytes, 3)
  const [, , fragment] = bytes
  if (!target.ok || target.value === null || fragment !== 0) return null
  const { value, length } = target.value
  return { target: value, header: bytes.slice(0, length), datagram: bytes.slice(length) }
}

/**
 * The `name:port` that a target means; null when it is none of ours. `nameAt` knows the names of this device's virtual
 * addresses.
 */
export function addressFor(target: SocksTarget, nameAt: (address: string) => string | null): string | null {
  switch (target.kind) {
    case 'name':
      return `${target.host}:${target.port}`
    case 'ipv4':
    case 'ipv6': {
      const name = nameAt(target.host.replace(/^::ffff:/, ''))
      return name === null ? null : `${name}:${target.port}`
    }
    default:
      return unreachable(target.kind)
  }
}

/** The reply that comes nearest to why a service was not reached. */
export function replyFor(code: string): Reply {
  switch (code) {
    case 'not-ours':
    case 'not-allowed':
      return REPLIES.notAllowed
    case 'no-such-port':
    case 'dial-failed':
      return REPLIES.refused
    case 'bad-name':
    case 'no-service':
    case 'no-instance':
    case 'unanswered':
    case 'unreachable':
      return REPLIES.hostUnreachable
    default:
      return REPLIES.failed
  }
}

function readTarget(bytes: Uint8Array, at: number): SocksRead<SocksTarget, Reply> {
  const type = bytes[at]
  if (type === undefined) return ok(null)
  const begin = type === NAME ? at + 2 : at + 1
  const length = type === IPV4 ? 4 : type === IPV6 ? 16 : type === NAME ? bytes[at + 1] : null
  if (length === null) return err(REPLIES.addressNotSupported)
  if (length === undefined || bytes.length < begin + length + PORT_BYTES) return ok(null)
  const raw = bytes.subarray(begin, begin + length)
  const port = ((bytes[begin + length] ?? 0) << 8) | (bytes[begin + length + 1] ?? 0)
  const end = begin + length + PORT_BYTES
  if (type === IPV4) return ok({ value: { kind: 'ipv4', host: raw.join('.'), port }, length: end })
  if (type === IPV6) return ok({ value: { kind: 'ipv6', host: printIpv6(raw), port }, length: end })
  // Names of ours are ASCII; anything else is some other system's and will be refused as such.
  return ok({ value: { kind: 'name', host: String.fromCharCode(...raw), port }, length: end })
}

/** As RFC 5952 writes it; addresses that hold one of IPv4 keep its dots. */
function printIpv6(raw: Uint8Array): string {
  const groups = Array.from({ length: 8 }, (_, index) => ((raw[2 * index] ?? 0) << 8) | (raw[2 * index + 1] ?? 0))
  const isMapped = groups.slice(0, 5).every((group) => group === 0) && groups[5] === 0xffff
  if (isMapped) return `::ffff:${raw.subarray(12).join('.')}`
  return new URL(`http://[${groups.map((group) => group.toString(16)).join(':')}]`).hostname.slice(1, -1)
}

const portBytes = (port: number): readonly number[] => [port >> 8, port & 255]
