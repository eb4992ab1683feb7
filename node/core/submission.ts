// What a person asks for, as the record that everyone will take for later than what there is.

import type { ServiceId } from '../../overlay/kernel/ids.ts'
import type { UnixMillis } from '../../overlay/kernel/time.ts'
import type { SignerFacts } from '../../overlay/wire/envelope.ts'
import { encodeSpec, nextVersion } from '../../placement/index.ts'
import {
  authorSpec,
  CLOCK_ZERO,
  type SealedRecord,
  type SpecRecord,
  type StoreState,
} from '../../services-registry/index.ts'
import type { CoreInput } from './effects.ts'

export interface SubmissionContext {
  readonly self: SignerFacts
  /** The store of the domain; null where this node does not hold it. */
  readonly store: StoreState | null
  /** An earlier submission that no holder has taken in so far. */
  readonly waiting: SealedRecord<SpecRecord> | null
  readonly wall: UnixMillis
  /** Other operators that are told of it. */
  readonly seenBy: readonly string[]
}

export function authorSubmission(
  input: Extract<CoreInput, { readonly kind: 'submit' }>,
  { self, store, waiting, wall, seenBy }: SubmissionContext,
): SpecRecord {
  const { domain, service, isScale = false } = input
  const spec = input.spec === null ? null : encodeSpec(input.spec)
  const held = newestIn(store, service) ?? waiting ?? input.held ?? null
  const rollout = store?.view.rollout(service) ?? input.rollout ?? null
  const clock = store?.clock ?? CLOCK_ZERO
  const next =
    input.spec === null ? {} : nextVersion(held?.message ?? null, rollout?.message ?? null, input.spec, isScale)
  return authorSpec({ domain, service, spec, signer: self, held, clock, wall, seenBy, ...next })
}

/** A submission that is still being written is later than what is held. */
function newestIn(store: StoreState | null, service: ServiceId): SealedRecord<SpecRecord> | null {
  const settling = [...(store?.settling.values() ?? [])].find(({ record }) => record.message.service === service)
  return settling?.record ?? store?.view.spec(service) ?? null
}
