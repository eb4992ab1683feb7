// What the DNS server answers: which questions are ours, and how what is known of a service reads in DNS (RFC 1035,
// 2308, 2782). A name stands for an address of this device, so an answer for it is true on this device only.

import { isAboveNames, type Policy, parseAddress } from './address.ts'
import { unreachable } from './kernel/assert.ts'
import type { ServiceId } from './kernel/ids.ts'

export interface DnsQuestion {
  readonly name: string
  /** As in `A`, `AAAA`, `SRV`. */
  readonly type: string
  /** As in `IN`. */
  readonly class: string
}

/** Response codes (RFC 1035, section 4.1.1). */
export const RCODES = { ok: 0, malformed: 1, failed: 2, noSuchName: 3, notImplemented: 4, refused: 5 } as const
export type Rcode = (typeof RCODES)[keyof typeof RCODES]

export type DnsRecord =
  | { readonly type: 'A' | 'AAAA'; readonly name: string; readonly ttl: number; readonly data: string }
  | { readonly type: 'SRV'; readonly name: string; readonly ttl: number; readonly data: SrvData }

export interface SrvData {
  readonly priority: number
  readonly weight: number
  readonly port: number
  readonly target: string
}

export interface DnsAnswer {
  readonly rcode: Rcode
  readonly records: readonly DnsRecord[]
  /** The zone whose authority says so, for answers that have no record; null where we have none. */
  readonly zone: string | null
  /** For the log, where a person may want to know why; null otherwise. */
  readonly reason: string | null
}

/** What to do with a question. */
export type DnsPlan =
  | { readonly kind: 'answer'; readonly answer: DnsAnswer }
  /** To be looked up: a name of ours, and whether its address is needed or only its instances. */
  | { readonly kind: 'resolve'; readonly name: string; readonly needsAddress: boolean }
  /** Another system's name: for whom it is forwarded to, or to be refused. */
  | { readonly kind: 'foreign' }

/** What looking a name up came to. */
export type DnsOutcome =
  | {
      readonly kind: 'found'
      readonly service: ServiceId
      readonly policy: Policy
      /** The name's addresses on this device; null where it has none, or no instance to lead to. */
      readonly addressV4: string | null
      readonly addressV6: string | null
      /** Those that take calls now, in the order in which a call would try them. */
      readonly instances: readonly { readonly number: number; readonly ports: readonly DnsPort[] }[]
      /** The state of what is known that this was read from; absent where the answer is not to be given again. */
      readonly asOf?: number
    }
  | { readonly kind: 'absent'; readonly reason: string }
  /** Nobody could be asked: that says nothing of the name, so it is no denial. */
  | { readonly kind: 'unanswered'; readonly reason: string }

export interface DnsPort {
  readonly port: number
  readonly protocol: 'tcp' | 'udp'
}

/** Seconds. An address stays with its name; the listener behind it chooses anew for each connection. A guess. */
export const ADDRESS_TTL_S = 5
/**
 * Seconds. Which instances there are changes, and no cache may hold that up for long: the shortest that is not zero.
 */
export const INSTANCE_TTL_S = 1
/** Seconds that a denial may be kept: what is not there now may be deployed any moment. */
export const DENIAL_TTL_S = 1
/** SRV records in one answer; the instances that a call would try first come first. A guess: 64 KiB hold 400. */
export const SRV_RECORDS_MAX = 128

export function planFor(question: DnsQuestion): DnsPlan {
  if (question.class !== 'IN' && question.class !== 'ANY') {
    return { kind: 'answer', answer: refusal(`class ${question.class} of ${question.name}`) }
  }
  const { name } = readServicePrefix(question)
  const parsed = parseAddress(name)
  const zone = zoneOf(name)
  if (!parsed.ok && isAboveNames(name)) return { kind: 'answer', answer: noData(zone) }
  if (!parsed.ok && parsed.error.code === 'not-ours') return { kind: 'foreign' }
  if (!parsed.ok) return { kind: 'answer', answer: denial(zone, parsed.error.problem) }
  const needsAddress = ['A', 'AAAA', 'ANY'].includes(question.type)
  return { kind: 'resolve', name, needsAddress }
}

export const refusal = (reason: string): DnsAnswer => ({ rcode: RCODES.refused, records: [], zone: null, reason })

/**
 * Whether an answer may be given again until something changes. Addresses stay with their names; the order of
 * instances follows calls and round trips, and a denial's reason is told each time.
 */
export const isLasting = ({ type }: DnsQuestion, { records }: DnsAnswer): boolean => type === 'A' && records.length > 0

/** Turns what was found into the answer to a question that `planFor` had looked up. */
export function answerTo(question: DnsQuestion, outcome: DnsOutcome): DnsAnswer {
  const zone = zoneOf(question.name)
  switch (outcome.kind) {
    case 'absent':
      return denial(zone, outcome.reason)
    case 'unanswered':
      return { rcode: RCODES.failed, records: [], zone: null, reason: outcome.reason }
    case 'found': {
      const records = recordsFor(question, outcome)
      return records.length === 0 ? noData(zone) : { rcode: RCODES.ok, records, zone: null, reason: null }
    }
    default:
      return unreachable(outcome)
  }
}

type Found = Extract<DnsOutcome, { readonly kind: 'found' }>

function recordsFor(question: DnsQuestion, found: Found): readonly DnsRecord[] {
  const { name, type } = question
  const address = (kind: 'A' | 'AAAA', data: string | null): readonly DnsRecord[] =>
    data === null ? [] : [{ type: kind, name, ttl: ADDRESS_TTL_S, data }]
  switch (type) {
    case 'A':
      return address('A', found.addressV4)
    case 'AAAA':
      return address('AAAA', found.addressV6)
    case 'ANY':
      return [...address('A', found.addressV4), ...address('AAAA', found.addressV6)]
    case 'SRV':
      return srvRecords(question, found)
    default:
      return []
  }
}

/**
 * One record per instance and port, whose target is the name of that instance. Where the order of the instances means
 * something it is their priority; where any is as good as another they share one.
 */
function srvRecords(question: DnsQuestion, { service, policy, instances }: Found): readonly DnsRecord[] {
  const { port: wantedPort, protocol } = readServicePrefix(question)
  const isOrdered = policy === 'closest' || policy === 'least' || policy === 'sticky'
  const records = instances.flatMap(({ number, ports }, index) =>
    ports
      .filter((one) => (protocol === null || one.protocol === protocol) && (wantedPort ?? one.port) === one.port)
      .map(({ port }): DnsRecord => {
        const target = `${service}.${number}.instance.${zoneOf(question.name)}`
        const data = { priority: isOrdered ? index : 0, weight: 1, port, target }
        return { type: 'SRV', name: question.name, ttl: INSTANCE_TTL_S, data }
      }),
  )
  return records.slice(0, SRV_RECORDS_MAX)
}

interface ServicePrefix {
  /** The name without the prefix. */
  readonly name: string
  readonly protocol: 'tcp' | 'udp' | null
  readonly port: number | null
}

/**
 * `_8080._tcp.` before a name narrows an SRV question down (RFC 2782 has a service's name in the first place; ports
 * have none here, so it is their number). Elsewhere such labels belong to no name of ours.
 */
function readServicePrefix({ name, type }: DnsQuestion): ServicePrefix {
  const plain = name.replace(/\.$/, '')
  const match = type === 'SRV' ? /^_([0-9]{1,5})\._(tcp|udp)\.(.+)$/i.exec(plain) : null
  if (match === null) return { name: plain, protocol: null, port: null }
  const [, port, protocol, rest = ''] = match
  return { name: rest, protocol: protocol?.toLowerCase() === 'udp' ? 'udp' : 'tcp', port: Number(port) }
}

const zoneOf = (name: string): string => name.toLowerCase().replace(/\.$/, '').split('.').at(-1) ?? ''

const noData = (zone: string): DnsAnswer => ({ rcode: RCODES.ok, records: [], zone, reason: null })

const denial = (zone: string, reason: string): DnsAnswer => ({ rcode: RCODES.noSuchName, records: [], zone, reason })
