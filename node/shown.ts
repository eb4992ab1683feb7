// What the people of a node are shown of what it holds: services of its operator, those that others show to it, and
// those that it runs for them. A device that speaks for its cluster holds records of others as well, to place and to
// find by; those are not for people.

import type { ServiceId } from '../overlay/kernel/ids.ts'
import { maySee, type SealedRecord, type StoreView } from '../services-registry/index.ts'
import type { AuditEntry } from './audit-log.ts'
import type { CoreView } from './core/core-view.ts'

/** The same view, in which no store knows what is not shown. */
export function shownOf(core: CoreView): CoreView {
  const isShown = (service: ServiceId): boolean => {
    const stores = core.stores()
    const spec = stores.flatMap((store) => store.spec(service) ?? [])
    if (maySee(spec, core.self)) return true
    return stores.some(
      (store) => maySee(store.placements(service), core.self) || maySee(store.instances(service), core.self),
    )
  }
  const only = <R extends SealedRecord>(records: Iterable<R>): R[] =>
    [...records].filter(({ message }) => isShown(message.service))
  const shown = (store: StoreView): StoreView => ({
    ...store,
    spec: (service) => (isShown(service) ? store.spec(service) : null),
    specs: () => only(store.specs()),
    rollout: (service) => (isShown(service) ? store.rollout(service) : null),
    placements: (service) => (isShown(service) ? store.placements(service) : []),
    placement: (service, number) => (isShown(service) ? store.placement(service, number) : null),
    instances: (service) => (isShown(service) ? store.instances(service) : []),
    instancesOf: (service, number) => (isShown(service) ? store.instancesOf(service, number) : []),
    allInstances: () => only(store.allInstances()),
  })
  return { ...core, stores: () => core.stores().map(shown) }
}

/** Of what was kept, what concerns this node's operator: its services, and what ran on its devices. */
export function shownServices(
  core: CoreView,
  entries: readonly AuditEntry[],
  uses: readonly SealedRecord[],
): ReadonlySet<ServiceId> {
  const all = [...entries.map(({ record }) => record), ...uses]
  // What ran here is this operator's affair also when it is over.
  const concerns = (record: SealedRecord): boolean =>
    record.signer.operator === core.self.operator && record.message.kind === 'record/instance'
  const shown = all.filter((record) => concerns(record) || maySee([record], core.self))
  return new Set(shown.map(({ message }) => message.service))
}
