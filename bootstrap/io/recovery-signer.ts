// Orders of recovery, signed and opened; what they say is in recovery-order.ts.

import type { DomainPath, FederationId, OperatorId } from '../../overlay/kernel/ids.ts'
import { ok, type Result } from '../../overlay/kernel/result.ts'
import type { UnixMillis } from '../../overlay/kernel/time.ts'
import type { CharterView } from '../charter.ts'
import {
  checkRecoveryOrder,
  draftRecoveryOrder,
  RECOVERY_ORDER_BYTES_MAX,
  RECOVERY_ORDER_TYPE,
  readRecoveryOrder,
} from '../recovery-order.ts'
import type { OperatorKey } from './key-file.ts'
import { openToken, signToken, type TokenForm } from './operator-token.ts'

const FORM: TokenForm = { type: RECOVERY_ORDER_TYPE, bytesMax: RECOVERY_ORDER_BYTES_MAX, name: 'an order of recovery' }

/** One line of text. */
export const signRecoveryOrder = (
  domain: DomainPath,
  federation: FederationId,
  operatorKey: OperatorKey,
  wall: UnixMillis,
): Promise<string> =>
  signToken(FORM, draftRecoveryOrder({ iss: operatorKey.operator, federation, domain }, wall), operatorKey)

/** The operator that ordered the domain's recovery; the error is for people. */
export const openRecoveryOrder = (
  text: string,
  domain: DomainPath,
  charter: CharterView,
  wall: UnixMillis,
): Promise<Result<OperatorId, string>> =>
  openToken(text, FORM, (payload) => {
    const order = readRecoveryOrder(payload)
    if (!order.ok) return order
    const checked = checkRecoveryOrder(order.value, domain, charter, wall)
    return checked.ok ? ok({ signer: order.value.iss, value: checked.value }) : checked
  })
