// Who is told of a service: its operator, whomever that operator names in the spec, and whoever runs it. To all others
// it is a name that nobody has. Holders of a store have its records all the same, and go by this when they answer.

import { isDomain, isWithin, type OperatorId } from '../overlay/kernel/ids.ts'
import type { SignerFacts } from '../overlay/wire/envelope.ts'
import type { SealedRecord } from './record.ts'
import { isInstance, isPlacement, isSpec } from './version.ts'

/** Who asks, as its credential has it. */
export type Asker = Pick<SignerFacts, 'node' | 'operator' | 'domain'>

/** In `seenBy`: every operator. */
export const ANY_OPERATOR = '*'
/** In `seenBy`: that one not. */
export const NOT_OPERATOR = '!'

/** Whether somebody may see a service, by what is known of it. */
export const maySee = (records: readonly SealedRecord[], asker: Asker): boolean =>
  records.some((record) => letsSee(record, asker))

function letsSee(record: SealedRecord, { node, operator, domain }: Asker): boolean {
  if (isSpec(record)) return record.signer.operator === operator || isAmong(record.message.seenBy ?? [], operator)
  if (isInstance(record)) return record.message.live && record.signer.operator === operator
  if (!isPlacement(record)) return false
  const { child } = record.message
  if (child === null) return false
  return isDomain(child) ? isWithin(domain, child) : child === node
}

function isAmong(seenBy: readonly string[], operator: OperatorId): boolean {
  if (seenBy.includes(operator)) return true
  return seenBy.includes(ANY_OPERATOR) && !seenBy.includes(NOT_OPERATOR + operator)
}
