// What two nodes behind NATs tell each other over a relay before they dial each other at the same moment: the addresses
// under which members see the port that each will dial from, and whether that mapping is the same for everybody.

import { err, ok, type Result } from './kernel/result.ts'
import { encodeCbor } from './wire/cbor.ts'
import { decodeBounded } from './wire/codec.ts'

/** An offer and its answer have at most this many bytes. */
export const PUNCH_BYTES_MAX = 1_024
const ADDRESS_CHARS_MAX = 64
const EXCUSE_CHARS_MAX = 200

export interface PunchOffer {
  /** An IP address and a port as members see them. */
  readonly host: string
  readonly port: number
  /** Whether two members saw the same; null where only one could be asked. */
  readonly isSteady: boolean | null
}

export const encodeOffer = ({ host, port, isSteady }: PunchOffer): Uint8Array => encodeCbor({ host, port, isSteady })

/** What is said instead of an offer. */
export const encodeExcuse = (reason: string): Uint8Array => encodeCbor({ excuse: reason.slice(0, EXCUSE_CHARS_MAX) })

export function decodeOffer(bytes: Uint8Array): Result<PunchOffer, string> {
  const raw = decodeBounded(bytes)
  if (!raw.ok || typeof raw.value !== 'object' || raw.value === null) return err('not an offer')
  const { host, port, isSteady, excuse } = raw.value as Readonly<Record<string, unknown>>
  if (typeof excuse === 'string') return err(excuse.slice(0, EXCUSE_CHARS_MAX))
  if (typeof host !== 'string' || host.length > ADDRESS_CHARS_MAX || !/^[0-9a-f.:]+$/i.test(host)) {
    return err('host: expected an IP address')
  }
  if (typeof port !== 'number' || !Number.isInteger(port) || port < 1 || port > 65_535) {
    return err('port: expected 1 to 65535')
  }
  if (isSteady !== null && typeof isSteady !== 'boolean') return err('isSteady: expected true, false or null')
  return ok({ host, port, isSteady })
}

export const isIpv6 = (host: string): boolean => host.includes(':')

/** Why two nodes did not come together, for people. */
export function whyNotPunched(own: PunchOffer, theirs: PunchOffer): string {
  const unsteady = [own.isSteady === false ? 'on this side' : '', theirs.isSteady === false ? 'on its side' : '']
  const where = unsteady.filter((side) => side !== '').join(' and ')
  if (where === '') return 'no connection came about when both sides dialled at once; a firewall in between drops it'
  return `the NAT ${where} gives each destination another port (symmetric), which the other side cannot know`
}
