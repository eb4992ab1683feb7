// Virtual addresses that a descriptor asks for: one per way of choosing an instance, and one per instance, each in
// IPv4 and IPv6.

import { type Field, honoured, orOpen } from './descriptor-field.ts'
import { checkKeys } from './descriptor-keys.ts'
import { fieldOf, isObject, isOpen, type Place, refuse, show } from './descriptor-report.ts'
import type { ServiceSpec } from './spec.ts'

type Addresses = ServiceSpec['addresses']
type InstanceAddress = Addresses['instances'][number]

const INSTANCES_MAX = 64
const NUMBER_MAX = 9_999

const IPV4 = '(?:25[0-5]|2[0-4]\\d|1?\\d?\\d)(?:\\.(?:25[0-5]|2[0-4]\\d|1?\\d?\\d)){3}'
const IS_IPV4 = new RegExp(`^${IPV4}$`)
const IPV6 = '[0-9a-fA-F:]*:[0-9a-fA-F:.]*'

const v4 = (about: string): Field<string | null> =>
  honoured(about, orOpen({ type: 'string', pattern: `^\\s*${IPV4}\\s*$` }), (place, key) =>
    readIp(place, key, (text) => IS_IPV4.test(text), 'an IPv4 address, e.g. "10.30.0.1"'),
  )
const v6 = (about: string): Field<string | null> =>
  honoured(about, orOpen({ type: 'string', pattern: `^\\s*${IPV6}\\s*$` }), (place, key) =>
    readIp(place, key, isIpv6, 'an IPv6 address, e.g. "fdff::1"'),
  )

const ADDRESS_KEYS = {
  rr_ip: v4('Answers with each instance in turn.'),
  rr_ip_v6: v6('Answers with each instance in turn.'),
  closest_ip: v4('Answers with the instance that is nearest to the caller.'),
  closest_ip_v6: v6('Answers with the instance that is nearest to the caller.'),
  instances: honoured(
    'Addresses of single instances: {number, address, address_v6}, {from, to, start}, or one text each.',
    orOpen({ type: 'array', maxItems: INSTANCES_MAX, items: { type: ['string', 'object'] } }),
    readInstances,
  ),
}
type AddressKey = keyof typeof ADDRESS_KEYS

/** `{rr_ip, closest_ip, rr_ip_v6, closest_ip_v6, instances}`. */
export const addresses = (about: string): Field<Addresses> => {
  const properties = Object.fromEntries(
    Object.entries(ADDRESS_KEYS).map(([key, field]) => [key, { description: field.about, ...field.schema }]),
  )
  return honoured(about, orOpen({ type: 'object', properties }), readAddresses)
}

function readAddresses(place: Place, key: string): Addresses {
  const raw = place.raw[key]
  const path = fieldOf(place, key)
  if (!isOpen(raw) && !isObject(raw))
    refuse(place.report, path, `${show(raw)} holds no addresses`, '{"rr_ip": "10.30.0.1"}')
  const inner: Place = { report: place.report, path, raw: isObject(raw) ? raw : {} }
  checkKeys(inner, 'addresses', ADDRESS_KEYS)
  const single = (name: Exclude<AddressKey, 'instances'>): string | null => ADDRESS_KEYS[name].read(inner, name)
  return {
    roundRobin: single('rr_ip'),
    closest: single('closest_ip'),
    roundRobinV6: single('rr_ip_v6'),
    closestV6: single('closest_ip_v6'),
    instances: ADDRESS_KEYS.instances.read(inner, 'instances'),
  }
}

function readIp(place: Place, key: string, isIp: (text: string) => boolean, expected: string): string | null {
  const raw = place.raw[key]
  if (isOpen(raw)) return null
  const text = typeof raw === 'string' ? raw.trim().toLowerCase() : ''
  if (isIp(text)) return text
  refuse(place.report, fieldOf(place, key), `${show(raw)} is no address`, expected)
  return null
}

/** As the URL standard reads it (WHATWG URL, "IPv6 parser"). */
const isIpv6 = (text: string): boolean => /^[0-9a-f:.]{2,45}$/.test(text) && URL.canParse(`http://[${text}]/`)

const INSTANCE_EXPECTED =
  '{"number": 0, "address": "10.30.0.2", "address_v6": "fdff::2"}, {"from": 0, "to": 3, "start": "10.30.0.2"}'

function readInstances(place: Place, key: string): readonly InstanceAddress[] {
  const raw = place.raw[key]
  if (isOpen(raw)) return []
  const field = fieldOf(place, key)
  if (!Array.isArray(raw)) {
    refuse(place.report, field, `${show(raw)} is no list of addresses`, `a list of ${INSTANCE_EXPECTED}`)
    return []
  }
  const found = raw.flatMap((item, index) => {
    const one = isObject(item) ? item : { number: index, address: item }
    const instances = 'from' in one ? rangeOf(one) : oneOf(one)
    if (instances === null) refuse(place.report, `${field}[${index}]`, `${show(item)} is no address`, INSTANCE_EXPECTED)
    return instances ?? []
  })
  if (found.length > INSTANCES_MAX)
    refuse(place.report, field, `names ${found.length} addresses`, `at most ${INSTANCES_MAX}`)
  return found.slice(0, INSTANCES_MAX)
}

/** Also Oakestra's own names, as its API shows them. */
function oneOf(raw: Readonly<Record<string, unknown>>): readonly InstanceAddress[] | null {
  const number = wholeOf(raw.number ?? raw.instance_number)
  const address = ipOf(raw.address ?? raw.instance_ip, (text) => IS_IPV4.test(text))
  const addressV6 = ipOf(raw.address_v6 ?? raw.instance_ip_v6, isIpv6)
  if (number === null || address === undefined || addressV6 === undefined) return null
  return address === null && addressV6 === null ? null : [{ number, address, addressV6 }]
}

/** Instances `from` to `to`, counting up from the address `start`. */
function rangeOf(raw: Readonly<Record<string, unknown>>): readonly InstanceAddress[] | null {
  const from = wholeOf(raw.from)
  const to = wholeOf(raw.to ?? raw.from)
  const start = ipOf(raw.start, (text) => IS_IPV4.test(text))
  if (from === null || to === null || to < from || to - from >= INSTANCES_MAX || typeof start !== 'string') return null
  const base = start.split('.').reduce((sum, octet) => sum * 256 + Number(octet), 0)
  const last = base + to - from
  if (last > 0xff_ff_ff_ff) return null
  return Array.from({ length: to - from + 1 }, (_, index) => ({
    number: from + index,
    address: [24, 16, 8, 0].map((shift) => ((base + index) >>> shift) & 255).join('.'),
    addressV6: null,
  }))
}

const wholeOf = (raw: unknown): number | null => {
  const value = typeof raw === 'string' && /^\d{1,4}$/.test(raw) ? Number(raw) : raw
  return typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= NUMBER_MAX ? value : null
}

/** Null where nothing is said, undefined where it is no address. */
function ipOf(raw: unknown, isIp: (text: string) => boolean): string | null | undefined {
  if (isOpen(raw)) return null
  const text = typeof raw === 'string' ? raw.trim().toLowerCase() : ''
  return isIp(text) ? text : undefined
}
