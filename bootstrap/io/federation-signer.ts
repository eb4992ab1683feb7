// Orders to go on in another federation become and are checked as signatures here (jose on OpenSSL); what they say is
// in federation-order.ts.

import { CompactSign, compactVerify, decodeProtectedHeader } from 'jose'
import type { FederationId, OperatorId } from '../../overlay/kernel/ids.ts'
import { err, type Result } from '../../overlay/kernel/result.ts'
import type { UnixMillis } from '../../overlay/kernel/time.ts'
import type { CharterView } from '../charter.ts'
import { operatorPublicKey } from '../charter-entry.ts'
import {
  checkFederationOrder,
  draftFederationOrder,
  FEDERATION_ORDER_BYTES_MAX,
  FEDERATION_ORDER_TYPE,
  type FederationOrder,
  readFederationOrder,
} from '../federation-order.ts'
import { publicKeyObject } from './crypto.ts'
import type { OperatorKey } from './key-file.ts'

/** One line of text. */
export function signFederationOrder(
  from: FederationId,
  to: FederationId,
  operatorKey: OperatorKey,
  wall: UnixMillis,
): Promise<string> {
  const order = draftFederationOrder({ iss: operatorKey.operator, from, to }, wall)
  return new CompactSign(new TextEncoder().encode(JSON.stringify(order)))
    .setProtectedHeader({ alg: 'EdDSA', typ: FEDERATION_ORDER_TYPE, kid: operatorKey.operator })
    .sign(operatorKey.privateKey)
}

/** The order, where it is good and for devices of this operator; the error is for people. */
export async function openFederationOrder(
  text: string,
  operator: OperatorId,
  charter: CharterView,
  wall: UnixMillis,
): Promise<Result<FederationOrder, string>> {
  if (text.length > FEDERATION_ORDER_BYTES_MAX) return err(`more than ${FEDERATION_ORDER_BYTES_MAX} bytes`)
  try {
    if (decodeProtectedHeader(text).typ !== FEDERATION_ORDER_TYPE) return err('a token for something else')
  } catch {
    return err('not an order')
  }
  const order = readFederationOrder(new Uint8Array(Buffer.from(text.split('.')[1] ?? '', 'base64url')))
  if (!order.ok) return order
  const checked = checkFederationOrder(order.value, operator, charter, wall)
  if (!checked.ok) return checked
  const raw = operatorPublicKey(order.value.iss)
  const key = raw === null ? null : publicKeyObject(raw)
  if (key === null) return err(`${order.value.iss} is not a key`)
  try {
    await compactVerify(text, key, { algorithms: ['EdDSA'] })
    return checked
  } catch {
    return err(`it was not signed by ${order.value.iss}`)
  }
}
