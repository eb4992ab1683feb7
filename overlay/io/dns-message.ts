// DNS messages: bytes to what is asked, and what is answered to bytes. Bounds and EDNS (RFC 6891) are here, what an
// answer says is in overlay/dns.ts.

import { type Answer, decode, encode, type OptAnswer, type Packet } from 'dns-packet'
import { DENIAL_TTL_S, type DnsAnswer, type DnsQuestion, type DnsRecord, RCODES, type Rcode } from '../dns.ts'

/** A UDP message without EDNS (RFC 1035, section 2.3.4). */
const PLAIN_BYTES_MAX = 512
/** What we send over UDP at most, and say so: no path of today fragments it (DNS Flag Day 2020). */
export const EDNS_BYTES_MAX = 1_232
const HEADER_BYTES = 12

const AUTHORITATIVE = 1 << 10
const TRUNCATED = 1 << 9
const RECURSION_DESIRED = 1 << 8
const RECURSION_AVAILABLE = 1 << 7
/** The upper bits of the extended code 16, BADVERS (RFC 6891, section 9). */
const BAD_VERSION_UPPER = 1

export interface DnsQuery {
  readonly id: number
  readonly question: DnsQuestion
  /** What the asker takes over UDP. */
  readonly bytesMax: number
  readonly recursionDesired: boolean
  readonly hasEdns: boolean
}

export type DnsRequest =
  | { readonly kind: 'query'; readonly query: DnsQuery }
  /** Bytes to be answered with these: wrong, or beyond what is done here. */
  | { readonly kind: 'refused'; readonly answer: Uint8Array }
  /** No question at all; an answer might go on for ever. */
  | { readonly kind: 'dropped' }

/** Never throws. */
export function readRequest(bytes: Buffer): DnsRequest {
  if (bytes.length < HEADER_BYTES || (bytes[2] ?? 0) >= 0x80) return { kind: 'dropped' }
  const id = bytes.readUInt16BE(0)
  // The operation's code is in bits 1 to 4 of the third byte; only 0, a query, is known.
  if ((((bytes[2] ?? 0) >> 3) & 15) !== 0) return { kind: 'refused', answer: bare(id, RCODES.notImplemented) }
  let packet: Packet
  try {
    packet = decode(bytes)
  } catch {
    return { kind: 'refused', answer: bare(id, RCODES.malformed) }
  }
  const [question, second] = packet.questions ?? []
  if (question === undefined || second !== undefined) return { kind: 'refused', answer: bare(id, RCODES.malformed) }
  const edns = packet.additionals?.find((record): record is OptAnswer => record.type === 'OPT')
  const { name, type, class: kind = 'IN' } = question
  const query: DnsQuery = {
    id,
    question: { name, type, class: kind },
    bytesMax: Math.min(EDNS_BYTES_MAX, Math.max(PLAIN_BYTES_MAX, edns?.udpPayloadSize ?? 0)),
    recursionDesired: ((bytes[2] ?? 0) & 1) === 1,
    hasEdns: edns !== undefined,
  }
  if (edns !== undefined && edns.ednsVersion !== 0) {
    return { kind: 'refused', answer: written(query, 0, { extendedRcode: BAD_VERSION_UPPER }) }
  }
  return { kind: 'query', query }
}

export interface WriteOptions {
  /** Null where the transport has no bound of its own (TCP). */
  readonly bytesMax: number | null
  /** Whether other systems' names are forwarded. */
  readonly recursionAvailable: boolean
}

/** What does not fit is left out, and the answer says so: the asker comes again over TCP (RFC 1035, section 4.2.1). */
export function writeAnswer(query: DnsQuery, answer: DnsAnswer, options: WriteOptions): Uint8Array {
  const isOurs = answer.rcode === RCODES.ok || answer.rcode === RCODES.noSuchName
  const flags = (isOurs ? AUTHORITATIVE : 0) | (options.recursionAvailable ? RECURSION_AVAILABLE : 0) | answer.rcode
  const whole = written(query, flags, {
    answers: answer.records.map(asAnswer),
    authorities: answer.zone === null ? [] : [authorityOf(answer.zone)],
  })
  if (options.bytesMax === null || whole.length <= options.bytesMax) return whole
  return written(query, flags | TRUNCATED, {})
}

/** The answer where nothing of the question could be read. */
const bare = (id: number, rcode: Rcode): Uint8Array => encode({ id, type: 'response', flags: rcode })

interface Sections {
  readonly answers?: Answer[]
  readonly authorities?: Answer[]
  readonly extendedRcode?: number
}

function written(query: DnsQuery, flags: number, { answers = [], authorities = [], extendedRcode = 0 }: Sections) {
  const { name, type, class: kind } = query.question
  const edns: OptAnswer = {
    type: 'OPT',
    name: '.',
    udpPayloadSize: EDNS_BYTES_MAX,
    extendedRcode,
    ednsVersion: 0,
    flags: 0,
    flag_do: false,
    options: [],
  }
  return encode({
    id: query.id,
    type: 'response',
    flags: flags | (query.recursionDesired ? RECURSION_DESIRED : 0),
    questions: [{ name, type: type as 'A', class: kind as 'IN' }],
    answers,
    authorities,
    additionals: query.hasEdns ? [edns] : [],
  })
}

const asAnswer = (record: DnsRecord): Answer => ({ ...record, class: 'IN' })

/** Says how long a denial may be kept (RFC 2308, section 5). */
const authorityOf = (zone: string): Answer => ({
  type: 'SOA',
  name: zone,
  ttl: DENIAL_TTL_S,
  data: {
    mname: `coppice.${zone}`,
    rname: `operator.coppice.${zone}`,
    serial: 1,
    refresh: DENIAL_TTL_S,
    retry: DENIAL_TTL_S,
    expire: DENIAL_TTL_S,
    minimum: DENIAL_TTL_S,
  },
})
