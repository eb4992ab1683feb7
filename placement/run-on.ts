// The leader's part of `disconnect.stop_after`: it says of an instance that it may run on where it is placed, and
// nothing at all where it is not, or where another leader may say otherwise.

import { instanceKey } from '../overlay/kernel/ids.ts'
import type { Opened } from '../overlay/wire/envelope.ts'
import { placementOf } from './desire.ts'
import type { MayRunMessage } from './messages.ts'
import { send, type Turn } from './scheduler-state.ts'

export function onMayRun(turn: Turn, { from, message }: Opened<MayRunMessage>): void {
  const { state } = turn
  const { lead, domain, view } = state
  if (lead === null || lead.listenUntil !== null || view.isDoubtful()) return
  const { service, number, incarnation, askedAt } = message
  const placed = placementOf(state, instanceKey(service, number))
  if (placed === null || (placed.child !== from && placed.previous !== from)) return
  const said = { domain, fence: lead.fence, service, number, incarnation, askedAt }
  send(turn, from, { kind: 'placement/run-on', ...said })
}
