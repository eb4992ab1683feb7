// The asks that a leader has under way: which instance each is about, and of how many services there are any. Both have
// a limit; what is beyond waits in the queue.

import { type InstanceKey, type ServiceId, splitInstanceKey } from '../overlay/kernel/ids.ts'
import { ASKS_MAX, SERVICES_ASKED_MAX } from './constants.ts'

export interface Asks {
  readonly byId: Map<string, InstanceKey>
  /** How many of them are about a service; none that has none. */
  readonly perService: Map<ServiceId, number>
}

export const createAsks = (): Asks => ({ byId: new Map(), perService: new Map() })

/** Whether an instance of the service may be asked for now. */
export const mayAsk = ({ byId, perService }: Asks, service: ServiceId): boolean =>
  byId.size < ASKS_MAX && (perService.size < SERVICES_ASKED_MAX || perService.has(service))

/** Whether those who wait are served: many at a time, since what leaves in one step leaves in few messages. */
export const mayServe = ({ byId }: Asks): boolean => byId.size <= ASKS_MAX / 2

export function beginAsk(asks: Asks, askId: string, key: InstanceKey): void {
  asks.byId.set(askId, key)
  count(asks, key, 1)
}

export function endAsk(asks: Asks, askId: string): void {
  const key = asks.byId.get(askId)
  if (key === undefined) return
  asks.byId.delete(askId)
  count(asks, key, -1)
}

function count({ perService }: Asks, key: InstanceKey, change: 1 | -1): void {
  const { service } = splitInstanceKey(key)
  const next = (perService.get(service) ?? 0) + change
  if (next > 0) perService.set(service, next)
  else perService.delete(service)
}
