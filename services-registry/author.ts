// Makes the next version of a record such that everyone will take it for later than what is known now.

import type { ServiceId } from '../overlay/kernel/ids.ts'
import type { UnixMillis } from '../overlay/kernel/time.ts'
import type { SignerFacts } from '../overlay/wire/envelope.ts'
import type { Clock, SealedRecord, SpecRecord } from './record.ts'
import { compareClocks, SPEC_BYTES_MAX } from './record.ts'
import { claimOf, isTombstone, tick } from './version.ts'

export interface NextSpec {
  /** The store that the service belongs to. */
  readonly domain: SpecRecord['domain']
  readonly service: ServiceId
  /** The canonical spec; null removes the service. */
  readonly spec: Uint8Array | null
  /** Who signs. */
  readonly signer: Pick<SignerFacts, 'operator' | 'node'>
  /** The latest version known, from the store's view or a lookup. */
  readonly held: SealedRecord<SpecRecord> | null
  /** The store's clock; CLOCK_ZERO where this node does not hold the store. */
  readonly clock: Clock
  readonly wall: UnixMillis
  /** The version that it goes on with, where it does not begin one. */
  readonly version?: Clock | null
  /** The version to go back to, where there is one. */
  readonly previous?: SpecRecord['previous'] | null
  /** Other operators that are told of it. Default: nobody. */
  readonly seenBy?: readonly string[]
}

/**
 * A spec that follows on what is held: a later clock, and the claim to the name carried on while the service lives.
 * Without knowledge of the held version (none was found) it may turn out older than what holders know, and is refused
 * as `older`.
 */
export function authorSpec(next: NextSpec): SpecRecord {
  const { domain, service, spec, signer, held, seenBy = [] } = next
  const last = held !== null && compareClocks(held.message.clock, next.clock) > 0 ? held.message.clock : next.clock
  const clock = tick(last, next.wall, signer.node)
  const isOurs = held !== null && held.signer.operator === signer.operator && !isTombstone(held)
  const claimed = isOurs ? claimOf(held.message) : clock
  const { version = null, previous = null } = spec === null || !isOurs ? {} : next
  const fits = previous !== null && (spec?.length ?? 0) + previous.spec.length <= SPEC_BYTES_MAX
  return {
    kind: 'record/spec',
    domain,
    service,
    clock,
    spec,
    claimed,
    ...(version !== null && { version }),
    ...(fits && { previous }),
    ...(seenBy.length > 0 && { seenBy }),
  }
}
