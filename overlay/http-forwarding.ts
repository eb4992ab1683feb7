// What an HTTP proxy decides before it carries anything: whom a request is for, whether that is one of our names, and
// which header fields stop here (RFC 9110, section 7; RFC 9112, section 3.2).

import { type AddressProblem, parseAddress } from './address.ts'
import { unreachable } from './kernel/assert.ts'
import { err, ok, type Result } from './kernel/result.ts'

/** Whom a request is for. */
export interface HttpTarget {
  /** `name:port`, to be resolved. */
  readonly address: string
  /** What stands in the request line towards the service; empty for CONNECT. */
  readonly path: string
}

/** Why a request is not carried: an HTTP status, a stable code and a sentence. */
export interface HttpRefusal {
  readonly status: number
  readonly code: string
  readonly sentence: string
}

const HTTP_PORT = 80
const FORM = 'http://app.ns.svc.ns.0.rr.local:8080/'

/**
 * Reads a request's target: absolute form (what a client that knows of the proxy sends), or origin form with a Host
 * that is one of our names. Names that are not ours are refused: this is a way to services, not an open proxy.
 */
export function readTarget(requestTarget: string, host: string | undefined): Result<HttpTarget, HttpRefusal> {
  if (requestTarget.startsWith('/') || requestTarget === '*') {
    if (host === undefined) return refuse(400, 'no-host', `the request names no host; expected ${FORM}`)
    return withAddress(host, HTTP_PORT, requestTarget)
  }
  const url = URL.parse(requestTarget)
  if (url === null) return refuse(400, 'malformed', `"${requestTarget}" is no URL; expected ${FORM}`)
  if (url.protocol !== 'http:') {
    return refuse(
      400,
      'not-http',
      `only http: is carried here, not ${url.protocol} (Coppice encrypts between nodes itself)`,
    )
  }
  return withAddress(url.host, HTTP_PORT, `${url.pathname}${url.search}`)
}

/** Reads the target of a CONNECT request: always `name:port`. */
export function readConnectTarget(requestTarget: string): Result<HttpTarget, HttpRefusal> {
  if (/:[0-9]+$/.test(requestTarget)) return withAddress(requestTarget, null, '')
  return refuse(400, 'malformed', `CONNECT takes name:port; got "${requestTarget}"`)
}

function withAddress(authority: string, defaultPort: number | null, path: string): Result<HttpTarget, HttpRefusal> {
  const parsed = parseAddress(authority)
  if (!parsed.ok) return err(addressRefusal(parsed.error))
  const address = parsed.value.port === null && defaultPort !== null ? `${authority}:${defaultPort}` : authority
  return ok({ address: address.toLowerCase(), path })
}

/**
 * A name of ours that does not parse is like one that does not exist; another system's name is none of our business.
 */
export function addressRefusal({ code, problem }: AddressProblem): HttpRefusal {
  switch (code) {
    case 'not-ours':
      return { status: 403, code, sentence: problem }
    case 'malformed':
      return { status: 404, code, sentence: problem }
    default:
      return unreachable(code)
  }
}

const refuse = (status: number, code: string, sentence: string): Result<never, HttpRefusal> =>
  err({ status, code, sentence })

/** Fields that concern one connection only (RFC 9110, section 7.6.1), besides those that `Connection` names. */
const HOP_BY_HOP: ReadonlySet<string> = new Set([
  'connection',
  'proxy-connection',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authorization',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
])

export type HeaderFields = readonly (readonly [name: string, value: string])[]

/** Pairs up Node's flat list of raw header fields. */
export const headerFields = (raw: readonly string[]): HeaderFields =>
  raw.flatMap((name, index) => (index % 2 === 0 ? [[name, raw[index + 1] ?? ''] as const] : []))

/** The fields that are passed on, in their order and spelling. */
export function endToEndFields(fields: HeaderFields): HeaderFields {
  const named = fields
    .filter(([name]) => name.toLowerCase() === 'connection')
    .flatMap(([, value]) => value.split(',').map((token) => token.trim().toLowerCase()))
  const stopped = new Set([...HOP_BY_HOP, ...named])
  return fields.filter(([name]) => !stopped.has(name.toLowerCase()))
}

/** The fields of a request that asks for another protocol (WebSocket): this one hop-by-hop pair goes on. */
export function upgradeFields(fields: HeaderFields): HeaderFields {
  const upgrade = fields.find(([name]) => name.toLowerCase() === 'upgrade')?.[1] ?? ''
  return [...endToEndFields(fields), ['Connection', 'Upgrade'], ['Upgrade', upgrade]]
}
