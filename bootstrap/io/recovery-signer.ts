// Orders of recovery become and are checked as signatures here (jose on OpenSSL); what they say is in
// recovery-order.ts.

import { CompactSign, compactVerify, decodeProtectedHeader } from 'jose'
import type { DomainPath, FederationId, OperatorId } from '../../overlay/kernel/ids.ts'
import { err, type Result } from '../../overlay/kernel/result.ts'
import type { UnixMillis } from '../../overlay/kernel/time.ts'
import type { CharterView } from '../charter.ts'
import { operatorPublicKey } from '../charter-entry.ts'
import {
  checkRecoveryOrder,
  draftRecoveryOrder,
  RECOVERY_ORDER_BYTES_MAX,
  RECOVERY_ORDER_TYPE,
  readRecoveryOrder,
} from '../recovery-order.ts'
import { publicKeyObject } from './crypto.ts'
import type { OperatorKey } from './key-file.ts'

/** One line of text. */
export function signRecoveryOrder(
  domain: DomainPath,
  federation: FederationId,
  operatorKey: OperatorKey,
  wall: UnixMillis,
): Promise<string> {
  const order = draftRecoveryOrder({ iss: operatorKey.operator, federation, domain }, wall)
  return new CompactSign(new TextEncoder().encode(JSON.stringify(order)))
    .setProtectedHeader({ alg: 'EdDSA', typ: RECOVERY_ORDER_TYPE, kid: operatorKey.operator })
    .sign(operatorKey.privateKey)
}

/** The operator that ordered the domain's recovery; the error is for people. */
export async function openRecoveryOrder(
  text: string,
  domain: DomainPath,
  charter: CharterView,
  wall: UnixMillis,
): Promise<Result<OperatorId, string>> {
  if (text.length > RECOVERY_ORDER_BYTES_MAX) return err(`more than ${RECOVERY_ORDER_BYTES_MAX} bytes`)
  try {
    if (decodeProtectedHeader(text).typ !== RECOVERY_ORDER_TYPE) return err('a token for something else')
  } catch {
    return err('not an order of recovery')
  }
  const order = readRecoveryOrder(new Uint8Array(Buffer.from(text.split('.')[1] ?? '', 'base64url')))
  if (!order.ok) return order
  const checked = checkRecoveryOrder(order.value, domain, charter, wall)
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
