// What two nodes behind NATs tell each other over a relay before they dial each other at the same moment: the addresses
// under which members see the port that each will dial from, and whether that mapping is the same for everybody.

import type { NodeId } from './kernel/ids.ts'
import { err, ok, type Result } from './kernel/result.ts'
import { isNotDirectCode, NoDirectPath, type NotDirectCode } from './not-direct.ts'
import { encodeCbor } from './wire/cbor.ts'
import { decodeBounded } from './wire/codec.ts'

/** An offer and its answer have at most this many bytes. */
export const PUNCH_BYTES_MAX = 1_024
const ADDRESS_CHARS_MAX = 64

export interface PunchOffer {
  /** An IP address and a port as members see them. */
  readonly host: string
  readonly port: number
  /** Whether two members saw the same; null where only one could be asked. */
  readonly isSteady: boolean | null
}

export const encodeOffer = ({ host, port, isSteady }: PunchOffer): Uint8Array => encodeCbor({ host, port, isSteady })

/** What is said instead of an offer. */
export const encodeExcuse = (code: NotDirectCode): Uint8Array => encodeCbor({ excuse: code })

/** The offer, or why there is none: the other side's excuse, or that it made no sense. */
export function decodeOffer(bytes: Uint8Array): Result<PunchOffer, NotDirectCode> {
  const raw = decodeBounded(bytes)
  if (!raw.ok || typeof raw.value !== 'object' || raw.value === null) return err('unreadable')
  const { host, port, isSteady, excuse } = raw.value as Readonly<Record<string, unknown>>
  if (isNotDirectCode(excuse)) return err(excuse)
  const isAddress = typeof host === 'string' && host.length <= ADDRESS_CHARS_MAX && /^[0-9a-f.:]+$/i.test(host)
  const isPort = typeof port === 'number' && Number.isInteger(port) && port >= 1 && port <= 65_535
  if (!isAddress || !isPort || (isSteady !== null && typeof isSteady !== 'boolean')) return err('unreadable')
  return ok({ host, port, isSteady })
}

export const isIpv6 = (host: string): boolean => host.includes(':')

/** What runs at once, begun by others or by this node; each holds a port and three sockets. A guess. */
export const PUNCHES_AT_ONCE_MAX = 32

/**
 * Why a peer that begins is not answered now; null where it is. Where both begin at once, the one with the lower id
 * goes on and the other answers it; otherwise each would send the other away.
 */
export function whyNotAnswered(
  self: NodeId,
  peer: NodeId,
  { asking, answering }: { readonly asking: ReadonlySet<NodeId>; readonly answering: ReadonlySet<NodeId> },
): NotDirectCode | null {
  if (answering.has(peer) || (asking.has(peer) && self < peer)) return 'trying'
  return asking.size + answering.size >= PUNCHES_AT_ONCE_MAX ? 'busy' : null
}

/** How many members are asked how they see one port: two tell whether it is the same for all. */
const OBSERVERS_MAX = 2

/**
 * Of the members that could look at a port, the likeliest first, those to ask: over IPv4 where there are such, because
 * most devices have it, or as the other side was seen. Where none is of that family it is for others to say that it is
 * in vain.
 */
export function chooseObservers<T extends { readonly peer: NodeId; readonly host: string }>(
  observers: readonly T[],
  theirs: PunchOffer | null,
): readonly T[] {
  const wantsIpv6 = theirs === null ? observers.every(({ host }) => isIpv6(host)) : isIpv6(theirs.host)
  const fitting = observers.filter(({ host }) => isIpv6(host) === wantsIpv6)
  const all = fitting.length > 0 ? fitting : observers.filter(({ host }) => isIpv6(host) !== wantsIpv6)
  const ofEach = all.filter(({ peer }, index) => all.findIndex((other) => other.peer === peer) === index)
  return ofEach.slice(0, OBSERVERS_MAX)
}

/** Why it would be in vain to dial at all; null where it may succeed. */
export function whyInVain(own: PunchOffer, theirs: PunchOffer): NoDirectPath | null {
  if (isIpv6(own.host) !== isIpv6(theirs.host)) return new NoDirectPath('address-family', { isFinal: true })
  return own.isSteady === false && theirs.isSteady === false ? whyNotPunched(own, theirs) : null
}

/** Why two nodes did not come together. */
export function whyNotPunched(own: PunchOffer, theirs: PunchOffer): NoDirectPath {
  if (own.isSteady === false && theirs.isSteady === false) {
    const sentence = 'the NATs on both sides give each destination another port (symmetric), which nobody can know'
    return new NoDirectPath('symmetric-nat', { sentence, isFinal: true })
  }
  if (own.isSteady === false) return new NoDirectPath('symmetric-nat')
  return theirs.isSteady === false ? new NoDirectPath('symmetric-nat', { side: 'other' }) : new NoDirectPath('blocked')
}
