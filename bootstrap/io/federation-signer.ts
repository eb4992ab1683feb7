// Orders to go on in another federation, signed and opened; what they say is in federation-order.ts.

import type { FederationId, OperatorId } from '../../overlay/kernel/ids.ts'
import { ok, type Result } from '../../overlay/kernel/result.ts'
import type { UnixMillis } from '../../overlay/kernel/time.ts'
import type { CharterView } from '../charter.ts'
import {
  checkFederationOrder,
  draftFederationOrder,
  FEDERATION_ORDER_BYTES_MAX,
  FEDERATION_ORDER_TYPE,
  type FederationOrder,
  readFederationOrder,
} from '../federation-order.ts'
import type { OperatorKey } from './key-file.ts'
import { openToken, signToken, type TokenForm } from './operator-token.ts'

const FORM: TokenForm = { type: FEDERATION_ORDER_TYPE, bytesMax: FEDERATION_ORDER_BYTES_MAX, name: 'an order' }

/** One line of text. */
export const signFederationOrder = (
  from: FederationId,
  to: FederationId,
  operatorKey: OperatorKey,
  wall: UnixMillis,
): Promise<string> => signToken(FORM, draftFederationOrder({ iss: operatorKey.operator, from, to }, wall), operatorKey)

/** The order, where it is good and for devices of this operator; the error is for people. */
export const openFederationOrder = (
  text: string,
  operator: OperatorId,
  charter: CharterView,
  wall: UnixMillis,
): Promise<Result<FederationOrder, string>> =>
  openToken(text, FORM, (payload) => {
    const order = readFederationOrder(payload)
    const checked = order.ok ? checkFederationOrder(order.value, operator, charter, wall) : order
    return checked.ok ? ok({ signer: checked.value.iss, value: checked.value }) : checked
  })
