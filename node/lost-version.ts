// A spec record carries the version before it, to go back to, where both fit in one record. Where they do not, whoever
// deploys is told: nobody else will notice before the day on which it is needed.

import { nextVersion, type ServiceSpec } from '../placement/index.ts'
import { type RolloutRecord, type SealedRecord, SPEC_BYTES_MAX, type SpecRecord } from '../services-registry/record.ts'

/** What is known of a service when a new version of it is submitted. */
export interface KnownVersion {
  readonly held: SealedRecord<SpecRecord> | null
  readonly rollout: SealedRecord<RolloutRecord> | null
}

/** Says that there is nothing to go back to although there was an earlier version; null where that is not so. */
export function lostVersionWarning(
  spec: ServiceSpec,
  { held, rollout }: KnownVersion,
  submitted: SealedRecord<SpecRecord>,
): string | null {
  if (held?.signer.operator !== submitted.signer.operator) return null
  const { previous } = nextVersion(held.message, rollout?.message ?? null, spec, false)
  if (previous === null || submitted.message.previous !== undefined) return null
  return (
    `there will be nothing to roll back to: the version before does not fit beside this one ` +
    `(together they have more than ${SPEC_BYTES_MAX / 1_000} kB)`
  )
}
