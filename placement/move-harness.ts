// For the tests of this folder only: what people do to a fleet that runs, and what no finished move leaves behind.

import { type DomainPath, type NodeId, ROOT, type ServiceId } from '../overlay/kernel/ids.ts'
import type { Fleet } from './fleet-harness.ts'

/** Asks the domain that owns a service, as a device of it, to move an instance. */
export function migrate(
  fleet: Fleet,
  service: ServiceId,
  number: number,
  to: string | null = null,
  { domain = ROOT, requestId = `request-${fleet.sent.length}` }: { domain?: DomainPath; requestId?: string } = {},
): void {
  const requester = fleet.leaderOf(domain)
  const asked = { domain, requestId, requester, service, number, to, by: null, refused: '' }
  fleet.say(requester, domain, { kind: 'placement/move', ...asked })
}

/** Opens or closes a device, as its owner would. */
export function setIntake(fleet: Fleet, id: NodeId, intake: 'open' | 'cordoned' | 'draining'): void {
  const device = fleet.devices.get(id)
  if (device !== undefined) device.summary = { ...device.summary, intake }
}

/** The placements that name a former place still, as any device that is up has them. */
export function previousPlaces(fleet: Fleet): string[] {
  const up = [...fleet.devices.values()].filter(({ isUp }) => isUp)
  const records = up.flatMap(({ stores }) => [...stores.values()].flatMap(({ entries }) => [...entries.values()]))
  return records.flatMap(({ record: { message } }) =>
    message.kind === 'record/placement' && message.previous !== undefined
      ? [`${message.service}#${message.number}: ${message.previous} to ${message.child}`]
      : [],
  )
}
