// What devices say on the local network to find each other: a question for a tag, and an answer with the addresses of
// whoever has it. The form is that of libp2p's mDNS (libp2p/specs, discovery/mdns.md) in DNS messages (RFC 6762).

import { type Answer, decode, encode, type Packet } from 'dns-packet'

/** Texts of an answer: 8 addresses of up to 255 bytes stay far below a datagram's 64 KiB, and mostly in one frame. */
const ADDRESSES_MAX = 8
/** One text of a TXT record (RFC 6763, section 6.1). */
const TEXT_BYTES_MAX = 255
const PREFIX = 'dnsaddr='
const TTL_S = 120

export type LanMessage =
  | { readonly kind: 'question' }
  /** Multiaddrs of one device, each with `/p2p/<id>`; never empty. */
  | { readonly kind: 'answer'; readonly peer: string; readonly addresses: readonly string[] }

export const lanQuestion = (tag: string): Uint8Array =>
  encode({ type: 'query', questions: [{ name: tag, type: 'PTR' }] })

/** `name` is a label of 1 to 63 characters that nobody else uses. */
export function lanAnswer(tag: string, name: string, addresses: readonly string[]): Uint8Array {
  const own = `${name}.${tag}`
  const texts = addresses
    .map((address) => `${PREFIX}${address}`)
    .filter((text) => text.length <= TEXT_BYTES_MAX)
    .slice(0, ADDRESSES_MAX)
  const answers: Answer[] = [
    { name: tag, type: 'PTR', ttl: TTL_S, data: own },
    ...texts.map((data): Answer => ({ name: own, type: 'TXT', ttl: TTL_S, data })),
  ]
  return encode({ type: 'response', flags: 1 << 10, answers })
}

/** Null for what is about something else, or makes no sense. Never throws. */
export function readLanMessage(bytes: Uint8Array, tag: string): LanMessage | null {
  const packet = packetIn(bytes)
  if (packet === null) return null
  if (packet.type === 'query') return packet.questions?.[0]?.name === tag ? { kind: 'question' } : null
  const { answers = [], additionals = [] } = packet
  if (!answers.some(({ type, name }) => type === 'PTR' && name === tag)) return null
  const said = [...answers, ...additionals]
    .flatMap((answer) => (answer.type === 'TXT' ? [answer.data].flat() : []))
    .map(String)
    .filter((text) => text.startsWith(PREFIX))
    .map((text) => text.slice(PREFIX.length))
  const peer = /\/p2p\/(\w+)$/.exec(said[0] ?? '')?.[1]
  if (peer === undefined) return null
  const addresses = said.filter((address) => address.endsWith(`/p2p/${peer}`)).slice(0, ADDRESSES_MAX)
  return { kind: 'answer', peer, addresses }
}

function packetIn(bytes: Uint8Array): Packet | null {
  try {
    return decode(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength))
  } catch {
    return null
  }
}
