// Who could say who leads a domain: a leader in another part of the tree is known to whoever leads the domain above.

import { chainOf, type DomainPath, type NodeId } from '../../overlay/kernel/ids.ts'
import type { CoreEffect } from './effects.ts'

/** Asks for the newest proof of a domain's leader, at whatever fence. */
const NEWEST = { epoch: 0, term: 0 }

/** Asks the nearest leader above the domain that is known and another node; nothing where there is none. */
export function askWhoLeads(
  domain: DomainPath,
  self: NodeId,
  nodeOf: (domain: DomainPath) => NodeId | null,
  out: CoreEffect[],
): void {
  const guide = chainOf(domain)
    .map(nodeOf)
    .find((node) => node !== null && node !== self)
  if (guide) out.push({ kind: 'send', to: guide, message: { kind: 'election/proof-wanted', domain, ...NEWEST } })
}
