// To whom this node's operator shows its services. Who submits one writes it into the spec; when the policy changes,
// one device of the operator in each cluster says the specs of its operator anew, as the same versions: who leads, or
// where the leader is another operator's, the elector of ours with the lowest id.

import type { LeaderBookView } from '../../election/index.ts'
import type { DomainPath, NodeId } from '../../overlay/kernel/ids.ts'
import type { SignerFacts } from '../../overlay/wire/envelope.ts'
import { decodeSpec, NO_POLICY, type PolicyFile, type ServiceSpec, seersOf } from '../../placement/index.ts'
import { mayDeploy, type SealedRecord, type SpecRecord, type StoreView } from '../../services-registry/index.ts'
import type { CoreEffect } from './effects.ts'

export interface ShowingOptions {
  readonly self: SignerFacts
  readonly stores: () => readonly StoreView[]
  readonly leads: (domain: DomainPath) => boolean
  readonly book: LeaderBookView
  readonly connected: () => ReadonlyMap<NodeId, SignerFacts>
}

export interface Showing {
  /** For the spec of a service of ours that is submitted here. */
  seenBy(spec: ServiceSpec | null): readonly string[]
  onPolicy(policy: PolicyFile, out: CoreEffect[]): void
  /** Another one leads a domain, or this node does. */
  onLeader(domain: DomainPath, out: CoreEffect[]): void
}

export function createShowing({ self, stores, leads, book, connected }: ShowingOptions): Showing {
  let policy: PolicyFile = NO_POLICY
  /** Whether the specs were not looked at here since the policy changed: nobody may have been there to do it. */
  let isDue = false
  /** Whether specs were said here by the policy of before. What came of it is taken back here, whoever leads. */
  let hasSaid = false
  const seersBy = (spec: ServiceSpec | null): readonly string[] =>
    spec === null ? [] : seersOf(policy, spec, self.operator)

  const speaks = (): boolean => {
    if (leads(self.domain)) return true
    const known = book.leaderOf(self.domain)
    if (known === null || known.opened.signer.operator === self.operator) return false
    const ours = [self, ...connected().values()].filter(
      ({ operator, domain }) => operator === self.operator && domain === self.domain,
    )
    const electors = ours.filter(({ node }) => known.announcement.electors.includes(node))
    return (electors.length > 0 ? electors : ours).every(({ node }) => node >= self.node)
  }

  /** The spec, where it shows itself to others than it should. */
  const outdated = ({ message, signer }: SealedRecord<SpecRecord>): ServiceSpec | null => {
    if (message.spec === null || signer.operator !== self.operator || !mayDeploy(self, message.service)) return null
    const read = decodeSpec(message.spec)
    return read.ok && seersBy(read.value).join() !== (message.seenBy ?? []).join() ? read.value : null
  }

  const sayAnew = (out: CoreEffect[]): void => {
    isDue = false
    for (const record of stores().flatMap((store) => [...store.specs()])) {
      const spec = outdated(record)
      if (spec === null) continue
      const { domain, service } = record.message
      out.push({ kind: 'again', input: { kind: 'submit', domain, service, spec, isScale: true } })
    }
  }

  return {
    seenBy: (spec) => {
      hasSaid = true
      return seersBy(spec)
    },
    onPolicy: (next, out) => {
      policy = next
      isDue = true
      if (!hasSaid && !speaks()) return
      hasSaid = false
      sayAnew(out)
    },
    onLeader: (domain, out) => {
      if (domain === self.domain && isDue && speaks()) sayAnew(out)
    },
  }
}
