// An operator's order that a domain goes on without its majority (DESIGN section 6, `coppice domain recover`): a
// compact JWS (RFC 7515) that can be carried to the device by hand. Here is what it says and what that is worth under a
// charter; the signature itself is checked in io/.

import { type DomainPath, type FederationId, type OperatorId, parseDomainPath } from '../overlay/kernel/ids.ts'
import { err, ok, type Result } from '../overlay/kernel/result.ts'
import type { UnixMillis } from '../overlay/kernel/time.ts'
import { type Infer, object, readWith, text, whole } from '../overlay/wire/schema.ts'
import type { CharterView } from './charter.ts'
import { CLOCK_SKEW_MS } from './credential.ts'

/** The longest order, in bytes: one for a path of 256 has about 700. */
export const RECOVERY_ORDER_BYTES_MAX = 2_048
/** How long an order is good for: enough to carry it to the site, too short to lie about (a guess). */
export const RECOVERY_ORDER_LIFETIME_MS = 24 * 3_600_000
/** `typ` of the JWS header, so that no other token of the operator's passes for an order. */
export const RECOVERY_ORDER_TYPE = 'coppice-recovery'

const recoveryOrderSchema = object({
  /** Issuer: the operator's key. */
  iss: text<OperatorId>(64),
  federation: text<FederationId>(64),
  domain: text<DomainPath>(256),
  /** Issued at and expiring at, in seconds since 1970 (RFC 7519, section 4.1). */
  iat: whole(),
  exp: whole(),
})
export type RecoveryOrder = Infer<typeof recoveryOrderSchema>

export const draftRecoveryOrder = (
  facts: Pick<RecoveryOrder, 'iss' | 'federation' | 'domain'>,
  wall: UnixMillis,
): RecoveryOrder => ({
  ...facts,
  iat: Math.floor(wall / 1_000),
  exp: Math.floor((wall + RECOVERY_ORDER_LIFETIME_MS) / 1_000),
})

/** Reads the payload of an order; the error names what is wrong. */
export function readRecoveryOrder(payload: Uint8Array): Result<RecoveryOrder, string> {
  try {
    const raw: unknown = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(payload))
    return readWith(recoveryOrderSchema, raw, () => err('no envelope belongs here'))
  } catch {
    return err('not JSON')
  }
}

/** Whether the charter's operators stand behind an order for this domain, now; the error is for people. */
export function checkRecoveryOrder(
  order: RecoveryOrder,
  domain: DomainPath,
  charter: CharterView,
  wall: UnixMillis,
): Result<OperatorId, string> {
  if (order.federation !== charter.federation) return err('it is for another federation')
  const operator = charter.operators.find(({ key }) => key === order.iss)
  if (operator === undefined) return err(`${order.iss} is not an operator of "${charter.name}"`)
  const path = parseDomainPath(order.domain)
  if (!path.ok || path.value !== domain) return err(`it is for ${order.domain}`)
  if (wall > order.exp * 1_000 + CLOCK_SKEW_MS) return err('it has expired')
  if (wall < order.iat * 1_000 - CLOCK_SKEW_MS) return err('it is from the future, by the clock of this device')
  return ok(operator.id)
}
