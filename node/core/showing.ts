// To whom this node's operator shows its services. Who submits one writes it into the spec; when the policy changes,
// who leads the cluster says the specs of its operator anew, as the same versions.

import type { DomainPath } from '../../overlay/kernel/ids.ts'
import type { SignerFacts } from '../../overlay/wire/envelope.ts'
import { decodeSpec, NO_POLICY, type PolicyFile, type ServiceSpec, seersOf } from '../../placement/index.ts'
import { mayDeploy, type SealedRecord, type SpecRecord, type StoreView } from '../../services-registry/index.ts'
import type { CoreEffect } from './effects.ts'

export interface Showing {
  /** For the spec of a service of ours. */
  seenBy(spec: ServiceSpec | null): readonly string[]
  onPolicy(policy: PolicyFile, out: CoreEffect[]): void
}

export function createShowing(
  self: SignerFacts,
  stores: () => readonly StoreView[],
  leads: (domain: DomainPath) => boolean,
): Showing {
  let policy: PolicyFile = NO_POLICY
  const seenBy = (spec: ServiceSpec | null): readonly string[] =>
    spec === null ? [] : seersOf(policy, spec, self.operator)

  /** The spec, where it shows itself to others than it should. */
  const outdated = ({ message, signer }: SealedRecord<SpecRecord>): ServiceSpec | null => {
    if (message.spec === null || signer.operator !== self.operator || !mayDeploy(self, message.service)) return null
    const read = decodeSpec(message.spec)
    return read.ok && seenBy(read.value).join() !== (message.seenBy ?? []).join() ? read.value : null
  }

  return {
    seenBy,
    onPolicy: (next, out) => {
      policy = next
      if (!leads(self.domain)) return
      for (const record of stores().flatMap((store) => [...store.specs()])) {
        const spec = outdated(record)
        if (spec === null) continue
        const { domain, service } = record.message
        out.push({ kind: 'again', input: { kind: 'submit', domain, service, spec, isScale: true } })
      }
    },
  }
}
