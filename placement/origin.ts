// Whose service it is that a leader orders, as the worker believes it: by the signature under what was submitted, or by
// the word of a leader of the worker's own operator. A leader of another operator that shows nothing speaks for nobody.

import type { OperatorId } from '../overlay/kernel/ids.ts'
import type { Opened } from '../overlay/wire/envelope.ts'
import { type Clock, compareClocks, type SpecRecord } from '../services-registry/record.ts'
import { compareBytes } from '../services-registry/version.ts'
import type { StoreView } from '../services-registry/view.ts'
import type { AskMessage } from './messages.ts'

/** Stands for the specification in an ask that carries what was submitted. */
export const IN_ORIGIN = new Uint8Array()

/** The specification that a submission has under a clock: its own, or that of the version before. */
export function specInOrigin({ spec, previous }: SpecRecord, clock: Clock): Uint8Array | null {
  return previous !== undefined && compareClocks(previous.clock, clock) === 0 ? previous.spec : spec
}

/** What an ask is about. */
export function specBytesOf({ spec, specClock, origin }: AskMessage): Uint8Array {
  if (spec.length > 0 || origin === undefined) return spec
  return specInOrigin(origin.message, specClock) ?? spec
}

/** Who is asked: whose node it is, and the records that it holds itself. */
interface Asked {
  /** Null for a node that does not say; it takes everybody at their word. */
  readonly operator: OperatorId | null
  readonly store: Pick<StoreView, 'spec'>
}

/**
 * The operator of a service that is asked for; null where nobody showed whose it is. A leader that hands an ask on says
 * no more than it was shown itself.
 */
export function ownerOfAsk({ operator, store }: Asked, { message, signer }: Opened<AskMessage>): OperatorId | null {
  const { service, origin } = message
  const record = origin ?? store.spec(service)
  const bytes = specBytesOf(message)
  const submitted = record === null || record.message.service !== service ? [] : specsIn(record.message)
  if (record !== null && submitted.some((one) => compareBytes(one, bytes) === 0)) return record.signer.operator
  return operator === null || signer.operator === operator ? (message.operator ?? null) : null
}

const specsIn = ({ spec, previous }: SpecRecord): readonly Uint8Array[] =>
  [spec, previous?.spec].filter((one) => one !== null && one !== undefined)
