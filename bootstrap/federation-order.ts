// An operator's order that its devices go on in another federation (`coppice federate`): a compact JWS (RFC 7515) that
// each device checks before anything about it changes. Here is what it says and what that is worth under the charter
// that the device has; the signature is checked in io/.

import type { FederationId, OperatorId } from '../overlay/kernel/ids.ts'
import { err, ok, type Result } from '../overlay/kernel/result.ts'
import type { UnixMillis } from '../overlay/kernel/time.ts'
import { type Infer, object, readWith, text, whole } from '../overlay/wire/schema.ts'
import type { CharterView } from './charter.ts'
import { operatorOfKey } from './charter-authority.ts'
import { CLOCK_SKEW_MS } from './credential.ts'

/** The longest order, in bytes: one has about 500. */
export const FEDERATION_ORDER_BYTES_MAX = 2_048
/** How long an order is good for: the devices are told at once; a guess, the same as of an order of recovery. */
export const FEDERATION_ORDER_LIFETIME_MS = 24 * 3_600_000
/** `typ` of the JWS header, so that no other token of the operator's passes for an order. */
export const FEDERATION_ORDER_TYPE = 'coppice-federate'

const orderSchema = object({
  /** Issuer: the operator's key. */
  iss: text<OperatorId>(64),
  from: text<FederationId>(64),
  to: text<FederationId>(64),
  /** Issued at and expiring at, in seconds since 1970 (RFC 7519, section 4.1). */
  iat: whole(),
  exp: whole(),
})
export type FederationOrder = Infer<typeof orderSchema>

export const draftFederationOrder = (
  facts: Pick<FederationOrder, 'iss' | 'from' | 'to'>,
  wall: UnixMillis,
): FederationOrder => ({
  ...facts,
  iat: Math.floor(wall / 1_000),
  exp: Math.floor((wall + FEDERATION_ORDER_LIFETIME_MS) / 1_000),
})

/** Reads the payload of an order; the error names what is wrong. */
export function readFederationOrder(payload: Uint8Array): Result<FederationOrder, string> {
  try {
    const raw: unknown = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(payload))
    return readWith(orderSchema, raw, () => err('no envelope belongs here'))
  } catch {
    return err('not JSON')
  }
}

/** Whether a device of this operator, a member under this charter, is meant, and now; the error is for people. */
export function checkFederationOrder(
  order: FederationOrder,
  operator: OperatorId,
  charter: CharterView,
  wall: UnixMillis,
): Result<FederationOrder, string> {
  if (order.from !== charter.federation) return err('it is for devices of another federation')
  if (operatorOfKey(charter, order.iss) !== operator) return err(`${order.iss} is no key of this device’s operator`)
  if (wall > order.exp * 1_000 + CLOCK_SKEW_MS) return err('it has expired')
  if (wall < order.iat * 1_000 - CLOCK_SKEW_MS) return err('it is from the future, by the clock of this device')
  return ok(order)
}
