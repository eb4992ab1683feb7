// The names that services are called by: `app.appns.svc.svcns.instance.policy.local[:port]`, or `svc.app.internal`
// for short. Whoever mistypes one is told which label is wrong and what belongs there (DESIGN section 10).

import type { ServiceId } from './kernel/ids.ts'
import { err, ok, type Result } from './kernel/result.ts'

/** How one of several instances is chosen; `choose.ts` tells what each means. */
export type Policy = 'rr' | 'closest' | 'instance' | 'random' | 'least' | 'sticky'

const POLICIES: readonly Policy[] = ['rr', 'closest', 'instance', 'random', 'least', 'sticky']

export interface ServiceAddress {
  /** The short form names a service of whatever namespaces: whoever resolves it finds the one that matches. */
  readonly service:
    | { readonly kind: 'full'; readonly id: ServiceId }
    | { readonly kind: 'short'; readonly name: string; readonly app: string }
  /**
   * The number in the instance's place, null for `any`. Only the policy `instance` heeds it; it is never null there.
   */
  readonly instance: number | null
  readonly policy: Policy
  readonly port: number | null
}

export interface AddressProblem {
  /** `not-ours`: a name of another naming system; `malformed`: ours and wrong. */
  readonly code: 'not-ours' | 'malformed'
  /** The label that is wrong; null when it is not about one label. */
  readonly label: string | null
  /** A sentence that says what is wrong and what is expected. */
  readonly problem: string
}

/** A name in DNS has at most 253 characters (RFC 1035, section 2.3.4), each label 63. */
export const ADDRESS_CHARS_MAX = 253
export const INSTANCE_NUMBER_MAX = 999_999_999

/** Labels of the full form, the suffix included. */
const FULL_LABELS = 7
const SUFFIXES: readonly string[] = ['local', 'internal']
const FULL_FORM = 'app.appns.svc.svcns.instance.policy.local'
const SHORT_FORM = 'svc.app.internal'
const LABEL_NAMES = ['application', 'application namespace', 'service', 'service namespace'] as const
const labelPattern = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/
const numberPattern = /^(0|[1-9][0-9]{0,8})$/

/** Reads an address, in any case, with or without a port and the trailing dot of DNS. */
export function parseAddress(text: string): Result<ServiceAddress, AddressProblem> {
  const colon = text.lastIndexOf(':')
  const port = colon < 0 ? ok(null) : parsePort(text.slice(colon + 1))
  if (!port.ok) return port
  const name = (colon < 0 ? text : text.slice(0, colon)).toLowerCase().replace(/\.$/, '')
  if (name.length > ADDRESS_CHARS_MAX) {
    return malformed(null, `the name has ${name.length} characters; a name has at most ${ADDRESS_CHARS_MAX}`)
  }
  const labels = name.split('.')
  const suffix = labels.at(-1) ?? ''
  if (labels.length < 2 || !SUFFIXES.includes(suffix)) {
    const problem = `"${name}" is no service address: one ends in ".local" or ".internal", as ${FULL_FORM} does`
    return err({ code: 'not-ours', label: suffix, problem })
  }
  const wrong = labels.findIndex((label) => !labelPattern.test(label))
  if (wrong >= 0) return malformed(labels[wrong] ?? '', labelProblem(labels[wrong] ?? '', wrong, labels.length))
  if (labels.length === 3 && suffix === 'internal') return ok(shortAddress(labels, port.value))
  if (labels.length === FULL_LABELS) return fullAddress(labels, port.value)
  const problem = `"${name}" has ${labels.length} labels; expected the 7 of ${FULL_FORM} or the 3 of ${SHORT_FORM}`
  return malformed(null, problem)
}

/** Writes an address so that `parseAddress` reads the same again; the short form always ends in `.internal`. */
export function printAddress(address: ServiceAddress, suffix: 'local' | 'internal' = 'local'): string {
  const port = address.port === null ? '' : `:${address.port}`
  const { service } = address
  if (service.kind === 'short') return `${service.name}.${service.app}.internal${port}`
  return `${service.id}.${address.instance ?? 'any'}.${address.policy}.${suffix}${port}`
}

/**
 * The one name, without a port, of all that mean the same: only the policy `instance` heeds a number. The short form is
 * resolved first.
 */
export function canonicalName(service: ServiceId, { policy, instance }: Pick<ServiceAddress, 'policy' | 'instance'>) {
  const heeded = policy === 'instance' ? instance : 0
  return printAddress({ service: { kind: 'full', id: service }, instance: heeded, policy, port: null })
}

/** The address that people are shown for a service: `<service>.0.rr.local`, as in DESIGN section 1. */
export const addressOf = (service: ServiceId, port: number | null = null): string =>
  printAddress({ service: { kind: 'full', id: service }, instance: 0, policy: 'rr', port })

/** Whether an address means this service. */
export function isAddressOf(address: ServiceAddress, service: ServiceId): boolean {
  if (address.service.kind === 'full') return address.service.id === service
  const [app, , name] = service.split('.')
  return address.service.app === app && address.service.name === name
}

/**
 * Whether names of ours may stand below this one: `local`, `rr.local`, `0.rr.local` and so on. In DNS such a name
 * exists and has nothing to give; a resolver that was told that it does not may deny all below it (RFC 8020).
 */
export function isAboveNames(name: string): boolean {
  const labels = name.toLowerCase().replace(/\.$/, '').split('.')
  const suffix = labels.at(-1) ?? ''
  if (!SUFFIXES.includes(suffix)) return false
  if (labels.length === 1) return true
  if (labels.length === 2 && suffix === 'internal') return labelPattern.test(labels[0] ?? '')
  const missing = FULL_LABELS - labels.length
  if (missing <= 0) return false
  // What is missing on the left may be anything; an instance that the policy takes, for a policy that stands alone.
  const filled = [...Array.from({ length: missing }, (_, index) => (index === 4 ? '0' : 'x')), ...labels]
  return parseAddress(filled.join('.')).ok
}

function parsePort(text: string): Result<number, AddressProblem> {
  const port = /^[0-9]{1,5}$/.test(text) ? Number(text) : 0
  if (port >= 1 && port <= 65_535) return ok(port)
  return malformed(null, `"${text}" is no port; expected a number from 1 to 65535 after the colon`)
}

const shortAddress = ([name = '', app = '']: readonly string[], port: number | null): ServiceAddress => ({
  service: { kind: 'short', name, app },
  instance: null,
  policy: 'rr',
  port,
})

function fullAddress(labels: readonly string[], port: number | null): Result<ServiceAddress, AddressProblem> {
  const [instanceLabel = '', policyLabel = ''] = labels.slice(4)
  const policy = POLICIES.find((known) => known === policyLabel)
  if (policy === undefined) return err(policyProblem(policyLabel))
  if (instanceLabel !== 'any' && !(numberPattern.test(instanceLabel) && Number(instanceLabel) <= INSTANCE_NUMBER_MAX)) {
    const expected = `a number from 0 to ${INSTANCE_NUMBER_MAX}, or "any"`
    return malformed(instanceLabel, `"${instanceLabel}" stands in the instance's place; expected ${expected}`)
  }
  const instance = instanceLabel === 'any' ? null : Number(instanceLabel)
  if (policy === 'instance' && instance === null) {
    return malformed('any', 'the policy "instance" calls one instance; expected its number instead of "any"')
  }
  return ok({ service: { kind: 'full', id: labels.slice(0, 4).join('.') as ServiceId }, instance, policy, port })
}

function policyProblem(label: string): AddressProblem {
  const offered = POLICIES.map((policy) => `"${policy}"`).join(', ')
  return { code: 'malformed', label, problem: `"${label}" is no policy; expected one of ${offered}` }
}

function labelProblem(label: string, index: number, count: number): string {
  const place = count === FULL_LABELS ? LABEL_NAMES[index] : undefined
  const where = place === undefined ? `label ${index + 1}` : `the ${place} (label ${index + 1})`
  const what = label === '' ? `${where} is empty` : `${where} is "${label}"`
  return `${what}; expected 1 to 63 of a-z, 0-9 and "-", with no "-" at either end`
}

const malformed = (label: string | null, problem: string): Result<never, AddressProblem> =>
  err({ code: 'malformed', label, problem })
