// The names of things. Each kind of name is its own type, so that a node's id never lands where a domain's is meant;
// all of them are plain strings on the wire.

import { err, ok, type Result } from './result.ts'

declare const brand: unique symbol
type Brand<T, Name extends string> = T & { readonly [brand]: Name }

/** The libp2p PeerId of a node as a string, e.g. `12D3KooW…` (Ed25519, base58btc). */
export type NodeId = Brand<string, 'NodeId'>
/** The multibase (base64url, `u…`) Ed25519 public key of an operator. */
export type OperatorId = Brand<string, 'OperatorId'>
/** Hex SHA-256 of the charter's genesis entry. */
export type FederationId = Brand<string, 'FederationId'>
/** A place in the tree: `/` is the root, `/berlin` or `/eu/berlin` a cluster. */
export type DomainPath = Brand<string, 'DomainPath'>
/** A child of a domain: a node in a cluster, a domain (starts with `/`) anywhere above. Electors are children. */
export type ChildId = NodeId | DomainPath
/** `app.appns.svc.svcns`, lower case: the first four labels of a service's address. */
export type ServiceId = Brand<string, 'ServiceId'>
/** `<ServiceId>#<number>`: one running copy of a service. */
export type InstanceKey = Brand<string, 'InstanceKey'>

export const ROOT = '/' as DomainPath

/** Limits of a domain path: at most 8 segments of at most 63 characters. */
export const DOMAIN_DEPTH_MAX = 8
const segmentPattern = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/

export const nodeId = (text: string): NodeId => text as NodeId
export const serviceId = (text: string): ServiceId => text as ServiceId
export const instanceKey = (service: ServiceId, number: number): InstanceKey => `${service}#${number}` as InstanceKey

/** The service and the number that an instance key was made of. */
export function splitInstanceKey(key: InstanceKey): { readonly service: ServiceId; readonly number: number } {
  const cut = key.lastIndexOf('#')
  return { service: key.slice(0, cut) as ServiceId, number: Number(key.slice(cut + 1)) }
}

/** Reads a domain path; the error is a sentence that says which segment is wrong. */
export function parseDomainPath(text: string): Result<DomainPath, string> {
  if (text === '/') return ok(ROOT)
  if (!text.startsWith('/')) return err(`a domain path starts with "/", as in "/berlin"; got "${text}"`)
  const segments = text.slice(1).split('/')
  if (segments.length > DOMAIN_DEPTH_MAX) return err(`a domain path has at most ${DOMAIN_DEPTH_MAX} segments`)
  const bad = segments.find((segment) => !segmentPattern.test(segment))
  if (bad === undefined) return ok(text as DomainPath)
  return err(`"${bad}" is no domain name: use 1 to 63 of a-z, 0-9 and "-", as in "/berlin"`)
}

/** The domain above, or null for the root; of what is no path, the root, so that every chain ends. */
export function parentOf(domain: DomainPath): DomainPath | null {
  if (domain === ROOT) return null
  const cut = domain.lastIndexOf('/')
  return (cut <= 0 ? '/' : domain.slice(0, cut)) as DomainPath
}

/** The domain and all above it, lowest first: `/eu/berlin`, `/eu`, `/`. */
export function chainOf(domain: DomainPath): readonly DomainPath[] {
  const parent = parentOf(domain)
  return parent === null ? [domain] : [domain, ...chainOf(parent)]
}

/** Whether `inner` is `outer` or lies below it. */
export const isWithin = (inner: DomainPath, outer: DomainPath): boolean =>
  inner === outer || outer === ROOT || inner.startsWith(`${outer}/`)

/** The child of `domain` on the way down to `cluster`; for the cluster itself, the node. */
export function childTowards(domain: DomainPath, cluster: DomainPath, node: NodeId): ChildId {
  if (domain === cluster) return node
  const rest = cluster.slice(domain === ROOT ? 1 : domain.length + 1)
  const segment = rest.split('/')[0]
  return `${domain === ROOT ? '' : domain}/${segment}` as DomainPath
}

export const isDomain = (child: ChildId): child is DomainPath => child.startsWith('/')
